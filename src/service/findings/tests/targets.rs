use std::collections::BTreeMap;
use std::sync::Arc;

use kastrel_actors::Client;
use kastrel_actors::model::{
    DomainEvent, LastCheck, ProjectRole, Put, ScanId, ScanMode, ScanRequestDraft, ScanSnapshot, SeenAsset,
    SettingValue, TargetRecord,
};
use kastrel_actors::ports::FindingStore as _;
use kastrel_actors::service::SubmitError;
use kastrel_actors::testing::fixtures;
use kastrel_findings::identity::current;
use kastrel_findings::lifecycle::{Check, PluginCheck, PluginEnd};
use kastrel_findings::place::{Host, Label};
use kastrel_findings::scope::CheckScope;
use kastrel_findings::{Asset, AssetKind};

use super::stage::{Stage, field, lacks};
use crate::service::findings::check_again::is_whole;
use crate::service::findings::testing::{order, result, target};
use crate::service::findings::{TargetEdit, TargetQuery};

fn edit(tags: Option<&[&str]>, notes: Option<&str>) -> TargetEdit {
    let tags = tags.map(|tags| tags.iter().map(|tag| (*tag).to_owned()).collect());
    TargetEdit { tags, notes: notes.map(str::to_owned) }
}

#[tokio::test(start_paused = true)]
async fn target_has_its_assets_scans_and_coverage() {
    let all = Stage::new().await;
    let target = all.target("team", "shop.example", 1).await;
    let asset = |kind| SeenAsset {
        asset: Asset::new("whatweb", kind),
        first_seen: order(1).at,
        last_seen: order(2).at,
        scan: ScanId(2),
    };
    let host = |name: &str| asset(AssetKind::Host { host: Host::parse(name).unwrap() });
    let (origin, name) = (target.origin.clone(), Label::parse("nginx").unwrap());
    let technology = asset(AssetKind::Technology { origin, name });
    let assets = vec![host("b.example"), technology.clone(), host("a.example")];
    let newer = TargetRecord { last_scan: order(2), ..target.clone() };
    all.store.suppose_scan(ScanId(2), Some(&target.project));
    assert_eq!(all.store.put_result(result(&target, 2, &[]), newer, assets).await.unwrap(), Put::Stored);
    let viewer = all.member("vic", ProjectRole::Viewer).await;
    let detail = all.targets().get(&viewer, target.id).await.unwrap().unwrap();
    assert_eq!(detail.assets, [technology, host("a.example"), host("b.example")]);
    assert_eq!(detail.scans.iter().map(|result| result.scan.0).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((detail.may_edit, detail.row.last_scan), (false, order(2)));
    let page = all.targets().list(&viewer, &TargetQuery { limit: 10, ..TargetQuery::default() }).await.unwrap();
    assert_eq!(page.rows, [detail.row]);
    let hidden = all.target("other", "shop.example", 1).await;
    assert_eq!(all.targets().get(&viewer, hidden.id).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn tags_and_notes_are_changed_by_operators() {
    let all = Stage::new().await;
    let (target, hidden) = (all.target("team", "shop.example", 1).await, all.target("other", "a.example", 1).await);
    let (operator, viewer) =
        (all.member("opa", ProjectRole::Operator).await, all.member("vic", ProjectRole::Viewer).await);
    let targets = all.targets();
    assert!(targets.edit(&operator, target.id, edit(Some(&["prod", "eu"]), Some("call first"))).await.unwrap());
    assert!(targets.edit(&operator, target.id, edit(None, Some(" call first "))).await.unwrap());
    let stored = all.stored_target(target.id).await;
    assert_eq!((stored.tags, stored.notes.as_str()), (vec!["eu".to_owned(), "prod".to_owned()], "call first"));
    let changed = DomainEvent::TargetChanged { project: "team".parse().unwrap(), target: target.id };
    assert_eq!(all.events().await, [(operator.principal.clone(), changed)], "the same notes again are no change");
    let query = TargetQuery { tags: ["prod".to_owned()].into(), limit: 10, ..TargetQuery::default() };
    assert_eq!(targets.list(&viewer, &query).await.unwrap().total, 1);
    for (wrong, given) in [("tags", edit(Some(&["a b"]), None)), ("notes", edit(None, Some(&"x".repeat(4_001))))] {
        assert_eq!(field(&targets.edit(&operator, target.id, given).await.unwrap_err()), wrong);
    }
    assert!(lacks(&targets.edit(&viewer, target.id, edit(None, Some("x"))).await.unwrap_err()));
    assert!(!targets.edit(&operator, hidden.id, edit(None, Some("x"))).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn change_of_a_scan_between_read_and_write_keeps_both() {
    let all = Stage::new().await;
    let target = all.target("team", "shop.example", 1).await;
    let (store, before) = (Arc::clone(&all.store), target.clone());
    store.suppose_scan(ScanId(2), Some(&target.project));
    all.between.run_before("edit_target", async move {
        let newer = TargetRecord { last_scan: order(2), ..before.clone() };
        assert_eq!(store.put_result(result(&before, 2, &[]), newer, Vec::new()).await.unwrap(), Put::Stored);
    });
    assert!(all.targets().edit(&fixtures::context(), target.id, edit(Some(&["prod"]), None)).await.unwrap());
    let stored = all.stored_target(target.id).await;
    assert_eq!((stored.last_scan, stored.tags), (order(2), vec!["prod".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn check_repeats_the_request_of_the_newest_scan_with_one_plugin() {
    let all = Stage::new().await;
    all.load_catalogue();
    let draft = ScanRequestDraft {
        target: "shop.example".into(),
        mode: Some("both".into()),
        confirm_active: Some(true),
        overrides: vec!["testssl.timeout=9".into(), "secret:testssl.key=hunter2".into(), "zap.depth=3".into()],
        project: Some("team".into()),
        max_workers: Some(7),
        ..ScanRequestDraft::default()
    };
    let first = all.cluster.service.submit(&fixtures::context(), Client::Local, &draft, None).await.unwrap();
    let target = all.target("team", "shop.example", first.scan.record.id.0).await;
    let scanner = all.member("sam", ProjectRole::Scanner).await;
    let check = async |context, plugin, confirm| {
        all.targets().check_again(context, Client::Local, target.id, plugin, confirm).await
    };
    let accepted = check(&scanner, Some("testssl"), false).await.unwrap().unwrap();
    let record = &accepted.scan.record;
    assert_eq!((record.project.to_string().as_str(), record.owner.as_deref()), ("team", Some("user:sam")));
    let request = &record.request;
    assert_eq!((request.target.to_string().as_str(), request.options.mode), ("shop.example", ScanMode::Passive));
    assert_eq!(
        (request.options.plugins.as_slice(), request.options.max_workers),
        (["testssl".to_owned()].as_slice(), 7)
    );
    let names: Vec<String> = request.overrides.iter().map(kastrel_actors::model::ConfigOverride::name).collect();
    assert_eq!(names, ["testssl.timeout", "testssl.key", "zap.depth"], "with the settings of the others");
    assert!(matches!(request.overrides[1].value, SettingValue::Sealed(_)), "the secret stays sealed");
    // An active plugin needs the right and the confirmation.
    assert!(matches!(check(&scanner, Some("zap"), true).await, Err(SubmitError::Denied(_))));
    let system = fixtures::context();
    match check(&system, Some("zap"), false).await {
        Err(SubmitError::Invalid(errors)) => assert_eq!(errors[0].field, "confirm_active"),
        other => panic!("{other:?}"),
    }
    let active = check(&system, Some("zap"), true).await.unwrap().unwrap();
    assert_eq!(active.scan.record.request.options.mode, ScanMode::Both);
    let everything = check(&system, None, true).await.unwrap().unwrap();
    assert_eq!(everything.scan.record.request, first.scan.record.request, "with all plugins and settings");
    let stranger = all.target("other", "shop.example", 1).await;
    let unseen = all.targets().check_again(&scanner, Client::Local, stranger.id, None, false).await.unwrap();
    assert!(unseen.is_none());
}

#[tokio::test(start_paused = true)]
async fn checks_in_a_row_keep_the_settings_of_the_whole_scan() {
    let all = Stage::new().await;
    all.load_catalogue();
    let context = fixtures::context();
    let submit = async |mode: &str, plugins: &[&str], overrides: &[&str]| {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let draft = ScanRequestDraft {
            target: "shop.example".into(),
            project: Some("team".into()),
            mode: Some(mode.into()),
            plugins: words(plugins),
            overrides: words(overrides),
            confirm_active: Some(true),
            ..ScanRequestDraft::default()
        };
        all.cluster.service.submit(&context, Client::Local, &draft, None).await.unwrap().scan
    };
    let target = target("team", "shop.example", 1);
    // Stores what a scan checked, as the newest one of the target.
    let ended = async |scan: &Arc<ScanSnapshot>, plugins: &[&str]| {
        let number = scan.record.id.0;
        let stored = all.store.target(target.id).await.unwrap();
        let mut newer = TargetRecord { last_scan: order(number), ..stored.unwrap_or_else(|| target.clone()) };
        let mut result = result(&newer, number, &[]);
        for plugin in plugins {
            let settings = BTreeMap::new();
            let scope = CheckScope { plugin: (*plugin).to_owned(), target: Some(newer.origin.clone()), settings };
            let check = PluginCheck::new(PluginEnd::Completed, "3", scope, None, current());
            result.checks.insert((*plugin).to_owned(), check);
            let last = LastCheck { complete: Some(order(number)), newest: (order(number), Check::Completed) };
            newer.checks.insert((*plugin).to_owned(), last);
        }
        assert_eq!(all.store.put_result(result, newer, Vec::new()).await.unwrap(), Put::Stored);
    };
    let check = async |plugin| {
        let accepted = all.targets().check_again(&context, Client::Local, target.id, plugin, true).await;
        accepted.unwrap().unwrap().scan
    };
    let whole = submit("both", &[], &["zap.exclude=logout", "secret:zap.login=hunter2", "testssl.timeout=9"]).await;
    ended(&whole, &["testssl", "zap"]).await;
    for plugin in ["testssl", "zap", "zap", "testssl"] {
        let checked = check(Some(plugin)).await;
        let request = &checked.record.request;
        assert_eq!(request.options.plugins, [plugin]);
        let names: Vec<String> = request.overrides.iter().map(kastrel_actors::model::ConfigOverride::name).collect();
        assert_eq!(names, ["zap.exclude", "zap.login", "testssl.timeout"], "{plugin}");
        ended(&checked, &[plugin]).await;
    }
    let everything = check(None).await;
    assert_eq!(everything.record.request, whole.record.request, "the newest scan that was no check of one plugin");
    // A scan of one plugin with other settings counts for this plugin alone.
    let deeper = submit("active", &["zap"], &["zap.depth=9"]).await;
    ended(&deeper, &["zap"]).await;
    assert_eq!(check(Some("zap")).await.record.request.overrides, deeper.record.request.overrides);
    assert_eq!(check(Some("testssl")).await.record.request.overrides, whole.record.request.overrides);
    assert_eq!(check(None).await.record.request, whole.record.request);
}

#[test]
fn scan_of_one_plugin_and_rerun_of_some_are_no_whole_scans() {
    for (plugins, is_rerun, expected) in [
        (&[][..], false, true),
        (&[], true, true),
        (&["zap"], false, false),
        (&["zap", "testssl"], false, true),
        (&["zap", "testssl"], true, false),
    ] {
        let mut scan = fixtures::record(2, jiff::Timestamp::UNIX_EPOCH);
        scan.request.options.plugins = plugins.iter().map(|plugin: &&str| (*plugin).to_owned()).collect();
        scan.rerun_of = is_rerun.then_some(ScanId(1));
        assert_eq!(is_whole(&scan), expected, "{plugins:?}, {is_rerun}");
    }
}

#[tokio::test(start_paused = true)]
async fn target_whose_newest_scan_is_deleted_is_checked_with_defaults() {
    let all = Stage::new().await;
    all.load_catalogue();
    let target = all.target("team", "shop.example:8443", 77).await;
    let scanner = all.member("sam", ProjectRole::Scanner).await;
    let accepted = all.targets().check_again(&scanner, Client::Local, target.id, Some("testssl"), false).await;
    let request = accepted.unwrap().unwrap().scan.record.request.clone();
    assert_eq!(request.target.to_string(), "https://shop.example:8443");
    assert_eq!(
        (request.options.mode, request.options.plugins.as_slice()),
        (ScanMode::Passive, ["testssl".to_owned()].as_slice())
    );
}
