//! The services on a store in memory.

mod stage;
mod targets;
mod triage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::TryStreamExt as _;
use kastrel_actors::model::{
    DomainEvent, Grants, Principal, ProjectRole, Put, RequestContext, SavedFilter, ScanId, ScanNotes, ShareRight,
    SharedScan,
};
use kastrel_actors::ports::FindingStore as _;
use kastrel_actors::testing::fixtures;
use kastrel_findings::Severity;
use kastrel_findings::identity::FindingId;
use kastrel_findings::lifecycle::{Proof, SlaPolicy, State};
use kastrel_findings::registry::Approach;

use self::stage::{Stage, field};
use super::testing::{finding, observed, order, result};
use super::*;

fn query(line: &str) -> FindingQuery {
    FindingQuery { filter: line.parse().unwrap(), limit: 100, ..FindingQuery::default() }
}

#[tokio::test(start_paused = true)]
async fn findings_are_read_without_a_list_and_a_list_waits_for_it() {
    let all = Stage::new().await;
    let target = all.target("team", "shop.example", 1).await;
    all.finding(finding(&target, "zap", "xss", "a", Severity::High, 1)).await;
    let is_read = Arc::<AtomicBool>::default();
    let mark = Arc::clone(&is_read);
    all.between.run_before("finding_changes", async move { mark.store(true, Ordering::SeqCst) });
    all.findings().preload().await.unwrap();
    assert!(is_read.load(Ordering::SeqCst));
    let total = async || all.findings().list(&fixtures::context(), &query("")).await.unwrap().total;
    assert_eq!(total().await, 1);
    all.finding(finding(&target, "zap", "xss", "b", Severity::High, 1)).await;
    all.between.run_before("finding_changes", tokio::task::yield_now());
    let _loads = all.findings().preload();
    tokio::task::yield_now().await;
    assert_eq!(total().await, 2);
}

#[tokio::test(start_paused = true)]
async fn lists_and_findings_are_those_of_readable_projects() {
    let all = Stage::new().await;
    let own = all.target("team", "shop.example", 1).await;
    let other = all.target("other", "api.other.example", 1).await;
    let mine = all.finding(finding(&own, "zap", "xss", "a", Severity::High, 1)).await;
    let hidden = all.finding(finding(&other, "zap", "xss", "a", Severity::High, 1)).await;
    let viewer = all.member("vic", ProjectRole::Viewer).await;
    let page = all.findings().list(&viewer, &query("")).await.unwrap();
    assert_eq!(page.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [mine.id]);
    assert_eq!((page.total, page.targets), (1, 1));
    assert!(page.facets.iter().all(|facet| facet.values.iter().all(|(value, _)| !value.contains("other"))));
    let groups = all.findings().groups(&viewer, &"".parse().unwrap(), 0, 10).await.unwrap();
    assert_eq!((groups.findings, groups.groups[0].targets), (1, 1));
    assert_eq!(all.findings().matching(&viewer, &"".parse().unwrap(), 10).await.unwrap(), [mine.id]);
    assert_eq!(all.findings().get(&viewer, hidden.id).await.unwrap(), None);
    assert_eq!(all.findings().explain(&viewer, hidden.id).await.unwrap(), None);
    let detail = all.findings().get(&viewer, mine.id).await.unwrap().unwrap();
    assert_eq!((&detail.row, &detail.record, detail.may_triage), (&page.rows[0], &mine, false));
    let system = all.findings().get(&fixtures::context(), hidden.id).await.unwrap().unwrap();
    assert!(system.may_triage);
    let missing: FindingId = "0123456789abcdef0123".parse().unwrap();
    assert_eq!(all.findings().get(&fixtures::context(), missing).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn texts_of_an_issue_are_those_of_the_first_known_id() {
    let all = Stage::new().await;
    let target = all.target("team", "shop.example", 1).await;
    let mut record = finding(&target, "testssl", "BEAST", "a", Severity::Low, 1);
    record.sighting = record.sighting.registry_ids(["unknown", "weak-cipher"]);
    let known = all.finding(record).await;
    let unknown = all.finding(finding(&target, "testssl", "other", "a", Severity::Low, 1)).await;
    let get = async |id| all.findings().get(&fixtures::context(), id).await.unwrap().unwrap();
    assert_eq!(get(known.id).await.description, None, "no scanner is known yet");
    all.load_catalogue();
    let detail = get(known.id).await;
    assert_eq!(detail.description.as_deref(), Some("The server offers a weak cipher."));
    assert_eq!(detail.remediation.as_deref(), Some("Turn it off."));
    let fix = detail.fix.unwrap();
    assert_eq!((fix.waf_addressable, fix.approach), (Some(false), Some(Approach::Infrastructure)));
    let other = get(unknown.id).await;
    assert_eq!((other.description, other.fix), (None, None));
}

#[tokio::test(start_paused = true)]
async fn records_are_all_matches_in_bounded_chunks() {
    let all = Stage::new().await;
    let (one, two) = (all.target("team", "b.example", 1).await, all.target("team", "a.example", 1).await);
    let hidden = all.target("other", "c.example", 1).await;
    let issue = |at: usize| format!("issue-{at}");
    let of_one: Vec<_> = (0..450).map(|at| finding(&one, "zap", &issue(at), "a", Severity::Low, 1)).collect();
    assert_eq!(all.store.put_findings(of_one).await.unwrap(), Put::Stored);
    all.finding(finding(&two, "zap", "x", "a", Severity::Low, 1)).await;
    all.finding(finding(&two, "katana", "x", "a", Severity::Low, 1)).await;
    all.finding(finding(&hidden, "zap", "x", "a", Severity::Low, 1)).await;
    let viewer = all.member("vic", ProjectRole::Viewer).await;
    let filter = "plugin:zap".parse().unwrap();
    let chunks: Vec<_> = all.findings().records(&viewer, &filter).try_collect().await.unwrap();
    assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [1, 200, 200, 50]);
    assert_eq!(chunks[0][0].target, two.id);
    let ids: std::collections::BTreeSet<_> = chunks.iter().flatten().map(|record| record.id).collect();
    assert_eq!(ids.len(), 451);
}

#[tokio::test(start_paused = true)]
async fn result_of_a_scan_is_for_those_who_may_read_the_scan() {
    let all = Stage::new().await;
    let scan = all.cluster.submit_to("shop.example").await;
    let target = all.target("default", "shop.example", scan.0).await;
    let records: Vec<_> =
        (0..250).map(|at| finding(&target, "zap", &format!("issue-{at}"), "a", Severity::Low, scan.0)).collect();
    assert_eq!(all.findings().result_of(&fixtures::context(), scan).await.unwrap().unwrap().findings, 0);
    let stored = all.store.target(target.id).await.unwrap().unwrap();
    for (chunk, records) in (0..).zip(records.chunks(200)) {
        all.store.put_observed(scan, chunk, records.iter().map(observed).collect()).await.unwrap();
    }
    assert_eq!(all.store.put_result(result(&target, scan.0, &records), stored, Vec::new()).await.unwrap(), Put::Stored);
    let read = all.findings().result_of(&fixtures::context(), scan).await.unwrap().unwrap();
    let chunks: Vec<_> = all.findings().observed(&read).try_collect().await.unwrap();
    assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [200, 50]);
    let viewer = all.member("vic", ProjectRole::Viewer).await;
    assert_eq!(all.findings().result_of(&viewer, scan).await.unwrap(), None);
    assert_eq!(all.findings().result_of(&fixtures::context(), ScanId(99)).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn explanation_has_the_rule_the_first_sighting_and_the_proof() {
    let all = Stage::new().await;
    let target = all.target("team", "shop.example", 5).await;
    let mut record = finding(&target, "zap", "xss", "Shop/17", Severity::High, 5);
    let before = all.store.target(target.id).await.unwrap().unwrap();
    let earlier = finding(&target, "zap", "xss", "Shop/16", Severity::High, 2);
    assert_eq!(earlier.id, record.id, "ids in paths make no difference");
    all.store.put_observed(ScanId(2), 0, vec![observed(&earlier)]).await.unwrap();
    let older = result(&target, 2, std::slice::from_ref(&earlier));
    all.store.suppose_scan(ScanId(2), Some(&target.project));
    assert_eq!(all.store.put_result(older, before, Vec::new()).await.unwrap(), Put::Stored);
    record.life.first_seen = earlier.life.first_seen;
    record.life.state = State::Fixed { proof: vec![Proof::new(order(6), "2.14"), Proof::new(order(7), "2.14")] };
    record.members = vec!["a".into(), "b".into()];
    record.members_count = 5;
    let record = all.finding(record).await;
    let lines = all.findings().explain(&fixtures::context(), record.id).await.unwrap().unwrap();
    let text = lines.join("\n");
    for part in [
        &format!("Finding {} of target https://shop.example ({})", record.id, target.id),
        &format!("  Fingerprint: {}", record.fingerprint),
        "Members (5): a, b and 3 more",
        "Its first sighting, in scan 2, and the newest one:",
        "  One finding: ",
        "First seen in scan 2, which ended at 1970-01-01T02:00:00Z",
        "Last seen in scan 5, which ended at 1970-01-01T05:00:00Z",
        "Fixed: these complete checks on the same scope did not see it:",
        "  scan 7, which ended at 1970-01-01T07:00:00Z: zap (2.14)",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn filters_are_saved_for_each_principal() {
    let all = Stage::new().await;
    let (ana, ben) = (all.member("ana", ProjectRole::Viewer).await, all.member("ben", ProjectRole::Viewer).await);
    let findings = all.findings();
    findings.save_filter(&ana, " my\u{1b}[2J highs ", " severity:high ").await.unwrap();
    findings.save_filter(&ana, "my highs", "severity:high,critical").await.unwrap();
    let saved = SavedFilter { name: "my highs".into(), filter: "severity:high,critical".into() };
    assert_eq!(findings.saved_filters(&ana).await.unwrap(), [saved]);
    assert_eq!(findings.saved_filters(&ben).await.unwrap(), []);
    let long = "a".repeat(MOST_FILTER_NAME_CHARS + 1);
    for (name, filter, wrong) in [("", "", "name"), (&long, "", "name"), ("a", "colour:red", "filter")] {
        let error = findings.save_filter(&ana, name, filter).await.unwrap_err();
        assert_eq!(field(&error), wrong);
        assert!(wrong != "filter" || error.to_string().contains("`colour:red`"), "{error}");
    }
    for at in 1..MOST_SAVED_FILTERS {
        findings.save_filter(&ana, &at.to_string(), "").await.unwrap();
    }
    assert_eq!(field(&findings.save_filter(&ana, "one more", "").await.unwrap_err()), "name");
    findings.save_filter(&ana, "1", "is:overdue").await.unwrap();
    findings.save_filter(&ben, "one more", "").await.unwrap();
    assert!(findings.delete_filter(&ana, "1").await.unwrap());
    assert!(!findings.delete_filter(&ana, "1").await.unwrap());
    let link = Principal::Link("a1B2c3D4e5".parse().unwrap());
    let visitor = RequestContext { principal: link, ..ana };
    assert!(findings.saved_filters(&visitor).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn times_to_fix_are_set_by_the_owner_and_count_at_once() {
    let all = Stage::new().await;
    let target = all.target("team", "shop.example", 1).await;
    all.finding(finding(&target, "zap", "xss", "a", Severity::High, 1)).await;
    let (owner, operator) =
        (all.member("own", ProjectRole::Owner).await, all.member("opa", ProjectRole::Operator).await);
    let (team, findings) = ("team".parse().unwrap(), all.findings());
    let overdue = async || findings.list(&operator, &query("is:overdue")).await.unwrap().total;
    assert_eq!(overdue().await, 0);
    let policy = |days| SlaPolicy { days: BTreeMap::from([(Severity::High, days)]) };
    findings.set_sla_policy(&owner, &team, policy(30)).await.unwrap();
    assert_eq!(overdue().await, 1);
    findings.set_sla_policy(&owner, &team, policy(30)).await.unwrap();
    let changed = DomainEvent::SlaPolicySet { project: team.clone() };
    assert_eq!(all.events().await, [(owner.principal.clone(), changed)], "the same times again are no change");
    assert_eq!(findings.sla_policy(&operator, &team).await.unwrap(), policy(30));
    assert!(stage::lacks(&findings.set_sla_policy(&operator, &team, policy(1)).await.unwrap_err()));
    for days in [0, 3_651] {
        assert_eq!(field(&findings.set_sla_policy(&owner, &team, policy(days)).await.unwrap_err()), "high");
    }
    let (other, missing) = ("other".parse().unwrap(), "missing".parse().unwrap());
    assert!(stage::is_invisible(&findings.sla_policy(&owner, &other).await.unwrap_err()));
    assert!(stage::is_invisible(&findings.sla_policy(&fixtures::context(), &missing).await.unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn scans_have_tags_and_notes() {
    let all = Stage::new().await;
    let (scan, findings, context) = (all.cluster.submit().await, all.findings(), fixtures::context());
    let notes = |tags: &[&str], notes: &str| ScanNotes {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        notes: notes.to_owned(),
    };
    assert_eq!(findings.scan_notes(&context, scan).await.unwrap(), Some(ScanNotes::default()));
    assert!(findings.set_scan_notes(&context, scan, notes(&["b", "a"], " two\nlines ")).await.unwrap());
    assert!(findings.set_scan_notes(&context, scan, notes(&["a", "b"], "two\nlines")).await.unwrap());
    assert_eq!(findings.scan_notes(&context, scan).await.unwrap(), Some(notes(&["a", "b"], "two\nlines")));
    let changes = all.events().await.into_iter().filter(|(_, event)| *event == DomainEvent::ScanNotesChanged);
    assert_eq!(changes.count(), 1);
    for (given, wrong) in [(notes(&["a b"], ""), "tags"), (notes(&[], &"x".repeat(4_001)), "notes")] {
        assert_eq!(field(&findings.set_scan_notes(&context, scan, given).await.unwrap_err()), wrong);
    }
    let stranger = all.member("vic", ProjectRole::Owner).await;
    assert_eq!(findings.scan_notes(&stranger, scan).await.unwrap(), None);
    assert!(!findings.set_scan_notes(&stranger, scan, notes(&[], "x")).await.unwrap());
    assert!(!findings.set_scan_notes(&context, ScanId(99), notes(&[], "x")).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn share_of_a_scan_does_not_show_the_notes_of_the_team() {
    let all = Stage::new().await;
    let (scan, findings, context) = (all.cluster.submit().await, all.findings(), fixtures::context());
    let notes = ScanNotes { tags: vec!["prod".into()], notes: "ask the owner first".into() };
    assert!(findings.set_scan_notes(&context, scan, notes.clone()).await.unwrap());
    let record = all.cluster.service.scan(&context, scan).await.unwrap().unwrap().record.clone();
    let member = all.member("gus", ProjectRole::Operator).await;
    for right in [ShareRight::View, ShareRight::Edit] {
        let mut shared = SharedScan::default();
        shared.add(right, record.created_at);
        let grants = Grants::clone(&member.grants).with_shares(BTreeMap::from([(scan, shared)]));
        let guest = RequestContext { grants: Arc::new(grants), ..member.clone() };
        assert!(all.cluster.service.scan(&guest, scan).await.unwrap().is_some(), "the guest sees the scan");
        assert_eq!(findings.scan_notes(&guest, scan).await.unwrap(), None, "{right}");
        let change = findings.set_scan_notes(&guest, scan, ScanNotes::default()).await;
        assert!(stage::lacks(&change.unwrap_err()), "{right}");
    }
    assert_eq!(findings.scan_notes(&context, scan).await.unwrap(), Some(notes));
}
