//! The scanner of this process: its command, its runner and its catalogue.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::live::SnapshotCache;
use kastrel_actors::model::{ScannerKind, ScannerOffer, SettingsSchema, merge_offers};
use kastrel_actors::policy::override_policy::natures_of;
use kastrel_actors::ports::Stores;
use tokio::sync::watch;
use tracing::{debug, warn};

use super::AppError;
use crate::adapters::kast_runner::{
    Catalogue, EgressLimit, Grace, Isolation, IssueKind, KastRunner, KastRunnerConfig, Limits, NodeConfig, RunAs,
    RunAsError, ScannerCommand,
};
use crate::config::{Config, ScannerChoice};
use crate::ports::{ArtifactSink, IssueText, ScannerCatalog};

/// How often a process without a scanner reads the nodes' catalogues.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// How long a submission waits after the start for the scanner's catalogue. KAST starts several
/// times to provide it.
const FIRST_OFFER: Duration = Duration::from_secs(10);

/// Returns the configured scanner: `KAST_CLI_PATH` or `kast` on the PATH comes first, then the
/// built-in scanner.
pub(super) fn scanner(config: &Config) -> Result<ScannerCommand, AppError> {
    let own_exe = std::env::current_exe().map_err(AppError::Runner)?;
    let path = std::env::var_os("PATH");
    let found = ScannerCommand::find(config.kast.path.as_deref().map(Path::as_os_str), path.as_deref(), &own_exe);
    match config.kast.scanner {
        ScannerChoice::Auto => Ok(found),
        ScannerChoice::Builtin => Ok(ScannerCommand::builtin(own_exe)),
        ScannerChoice::Kast if found.kind == ScannerKind::Kast => Ok(found),
        ScannerChoice::Kast => Err(AppError::NoKast),
    }
}

/// Checks the KAST configuration that attempts get.
///
/// # Errors
/// The configuration is missing or broken. KAST would ignore that and scan with other settings.
pub(super) fn check_configuration(config: &Config, scanner: &ScannerCommand) -> Result<(), AppError> {
    if scanner.kind == ScannerKind::Kast {
        let home = std::env::var_os("HOME");
        NodeConfig::read(config.kast.config_file.as_deref(), home.as_deref().map(Path::new))?;
    }
    Ok(())
}

/// Returns the configured isolation of attempts.
///
/// # Errors
/// The user of `scans.run_as` cannot be used.
pub(crate) fn isolation(config: &Config, data_dir: &Path) -> Result<Isolation, RunAsError> {
    let scans = &config.scans;
    let limited = |value: usize| (value > 0).then_some(value as u64);
    let limits = Limits {
        memory_bytes: limited(scans.memory_limit_mib).map(|mib| mib.saturating_mul(1 << 20)),
        processes: limited(scans.process_limit),
        cpu_percent: limited(scans.cpu_limit_percent),
    };
    Ok(Isolation {
        run_as: scans.run_as.as_ref().map(|user| RunAs::resolve(user.as_str())).transpose()?,
        limits,
        private_tmp: scans.private_tmp,
        egress: scans.egress_limit.then(|| EgressLimit { allow: scans.egress_allow.rules().to_vec() }),
        at_once: scans.concurrency,
        wall_clock: scans.wall_clock_limit_seconds,
        own_folders: vec![data_dir.to_owned()],
        ..Isolation::default()
    })
}

pub(super) fn runner(
    config: &Config,
    scanner: ScannerCommand,
    results_dir: &Path,
    data_dir: &Path,
    id: &str,
    sink: Option<Arc<dyn ArtifactSink>>,
    runs_scans: bool,
) -> Result<KastRunner, AppError> {
    let defaults = KastRunnerConfig::new(scanner, results_dir, data_dir.join("cache"), id);
    KastRunner::new(KastRunnerConfig {
        log_cap: config.kast.log_cap_bytes as u64,
        grace: Grace { interrupt: config.kast.interrupt_grace_seconds, terminate: config.kast.terminate_grace_seconds },
        scope: config.scope_policy(),
        overrides: config.override_policy(),
        sealer: super::common::sealer(config)?,
        file_folders: config.kast.file_folders.paths().to_vec(),
        env_allow: config.kast.environment.names().to_vec(),
        kast_config: config.kast.config_file.clone(),
        logo: config.kast.logo.clone(),
        isolation: runs_scans.then(|| isolation(config, data_dir)).transpose()?,
        sink,
        ..defaults
    })
    .map_err(AppError::Runner)
}

/// Returns the offer of the runner's scanner, once known: for the rows of nodes.
pub(super) fn offer_of(runner: &KastRunner) -> watch::Receiver<Option<Arc<ScannerOffer>>> {
    derived(runner.catalogue(), |catalogue| ScannerOffer {
        scanner: catalogue.scanner.clone(),
        plugins: catalogue.plugins.clone(),
        settings: catalogue.settings.as_ref().map(natures_of).unwrap_or_default(),
        schema: catalogue.settings.as_ref().and_then(SettingsSchema::in_short),
    })
}

/// Returns the complete catalogue of the runner's scanner, once known: for pages and commands.
pub(super) fn view_of(runner: &KastRunner) -> watch::Receiver<Option<Arc<ScannerCatalog>>> {
    derived(runner.catalogue(), view)
}

/// Returns the catalogue that a request brings; it stays unknown without an answer.
pub(super) fn answer_of(
    asking: impl Future<Output = Result<Arc<ScannerCatalog>, AppError>> + Send + 'static,
) -> watch::Receiver<Option<Arc<ScannerCatalog>>> {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        match asking.await {
            Ok(catalogue) => drop(sender.send_replace(Some(catalogue))),
            Err(error) => warn!(error = &error as &dyn std::error::Error, "the scanner did not list its issues"),
        }
    });
    receiver
}

/// Returns a receiver that follows `source` and converts its values.
fn derived<S: Send + Sync + 'static, T: Send + Sync + 'static>(
    mut source: watch::Receiver<Option<Arc<S>>>,
    words: impl Fn(&S) -> T + Send + 'static,
) -> watch::Receiver<Option<Arc<T>>> {
    let now = move |told: &Option<Arc<S>>| told.as_deref().map(|told| Arc::new(words(told)));
    let (sender, receiver) = watch::channel(now(&source.borrow_and_update()));
    tokio::spawn(async move {
        while source.changed().await.is_ok() {
            let told = now(&source.borrow_and_update());
            if sender.send(told).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Keeps the snapshot cache's copy of the catalogue up to date. Submissions are checked against
/// that copy.
pub(super) fn show_on(snapshots: &Arc<SnapshotCache>, mut catalogue: watch::Receiver<Option<Arc<ScannerCatalog>>>) {
    snapshots.offered.expect_within(FIRST_OFFER);
    let snapshots = Arc::downgrade(snapshots);
    tokio::spawn(async move {
        loop {
            let known = catalogue.borrow_and_update().clone();
            let Some(snapshots) = snapshots.upgrade() else { return };
            if let Some(known) = known {
                snapshots.offered.set(&known.plugins, &known.natures, known.settings.as_ref());
            }
            drop(snapshots);
            if catalogue.changed().await.is_err() {
                return;
            }
        }
    });
}

/// Converts the catalogue into the web server's type.
pub(super) fn view(catalogue: &Catalogue) -> ScannerCatalog {
    let issue = |(id, kind): (&String, &IssueKind)| {
        let IssueKind { severity, title, description, remediation, category, fix } = kind.clone();
        (id.clone(), IssueText { severity, title, description, remediation, category, fix })
    };
    ScannerCatalog {
        scanner: catalogue.scanner.clone(),
        plugins: catalogue.plugins.clone(),
        issues: catalogue.registry.iter().map(issue).collect(),
        natures: catalogue.settings.as_ref().map(natures_of).unwrap_or_default(),
        settings: catalogue.settings.clone(),
    }
}

/// Returns the common offer of the nodes that hold a lease: for a process that runs no scans
/// itself.
pub(super) fn view_of_the_nodes(store: Stores) -> watch::Receiver<Option<Arc<ScannerCatalog>>> {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        while !sender.is_closed() {
            match store.nodes.all().await {
                Ok(nodes) => {
                    // If no node is left, keep the last known offer, which is still useful.
                    if let Some(offer) = merge_offers(nodes.iter().filter_map(|node| node.registration.offer.as_ref()))
                    {
                        let view = ScannerCatalog::from(&offer);
                        sender.send_if_modified(|known| {
                            let changed = known.as_deref() != Some(&view);
                            *known = Some(Arc::new(view));
                            changed
                        });
                    }
                }
                Err(error) => debug!(error = &error as &dyn std::error::Error, "could not ask what the nodes offer"),
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    });
    receiver
}
