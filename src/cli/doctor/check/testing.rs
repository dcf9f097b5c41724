//! A configuration and the facts of a sound machine, for the tests of this folder.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kastrel_actors::model::{PluginInfo, PluginKind, ScannerInfo, ScannerKind};
use kastrel_actors::policy::backups::BackupMark;

use crate::cli::backend::PluginList;
use crate::cli::doctor::model::{BackupFacts, Collector, Engine, Facts, Folder, Listen, Probe, ServerFileFact, Store};
use crate::config::{Config, Sources};
use crate::telemetry::variables::Silence;

pub(super) fn config(pairs: &[(&str, &str)]) -> Config {
    let env: BTreeMap<_, _> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sources::of(&env).resolve().unwrap().config
}

pub(super) fn list(kind: ScannerKind, available: bool) -> PluginList {
    let plugin = PluginInfo {
        name: "testssl".into(),
        display_name: "x".into(),
        description: "x".into(),
        kind: PluginKind::Passive,
        available,
        dependencies: vec![],
    };
    PluginList {
        scanner: Some(ScannerInfo { kind, version: "3.0.40".into(), configuration: None }),
        plugins: vec![plugin],
    }
}

pub(super) fn made(sequence: u64, second: i64) -> BackupMark {
    BackupMark { sequence, made_at: Timestamp::from_second(second).unwrap(), before_migration_of: None, missing: 0 }
}

pub(super) fn good() -> Facts {
    Facts {
        data: Ok(Folder { free: 50 << 30 }),
        data_rights: None,
        results_rights: None,
        backups_rights: None,
        results: Ok(Folder { free: 50 << 30 }),
        store: Store::Opens { probe: Ok(Probe { skew: None }), engine: Engine::Embedded },
        backups: BackupFacts { files: Ok(vec![made(2, 1_799_996_400), made(1, 1_799_910_000)]), failure: None },
        rows: None,
        redis: None,
        mail: None,
        provider: None,
        collector: Collector { tried: Vec::new(), silence: Some(Silence::NotAsked), warnings: Vec::new() },
        leftovers: 0,
        surroundings: None,
        isolation: None,
        held: Vec::new(),
        dead_letters: Some(0),
        lacks_admin: Some(false),
        key: Ok(None),
        sealed_with: BTreeSet::new(),
        scanner: Ok(list(ScannerKind::Kast, true)),
        listen: Listen::Free,
        tls: None,
        open_files: Some(1024),
        processes: None,
        now: Timestamp::from_second(1_800_000_000).unwrap(),
        server_file: ServerFileFact::Fits,
    }
}
