mod measure;
mod slow;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;
use kastrel_actors::model::{
    FindingChanges, FindingEntry, FindingRecord, LastCheck, LogChange, ProjectFilter, ProjectId, Put, TargetRecord,
};
use kastrel_actors::ports::FindingStore as _;
use kastrel_actors::testing::{MemoryStore, PausedClock};
use kastrel_findings::Severity;
use kastrel_findings::identity::FindingId;
use kastrel_findings::lifecycle::{Check, Finding, Proof, ScanOrder, Sla, SlaPolicy, State};
use proptest::prelude::*;

use self::slow::{filters, findings, holds, now, policies, slow_facet, table, targets};
use super::*;
use crate::service::findings::query::{FindingFilter, FindingQuery, FindingSort, MOST_ON_PAGE, TargetQuery};
use crate::service::findings::testing::{finding, order, result, target};
use crate::service::findings::views::Facet;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn pages_groups_and_facets_are_those_of_a_slow_count(
        findings in findings(),
        filter in filters(),
        may_read_all in any::<bool>(),
        sort in prop::sample::select(&FindingSort::ALL[..]),
        (skip, limit) in (0_usize..6, 0_usize..12),
    ) {
        let targets = targets();
        let table = table(&targets, &findings);
        let all = ["default", "team"].map(|id| id.parse::<ProjectId>().unwrap()).into();
        let readable = if may_read_all { ProjectFilter::All } else { ProjectFilter::Only(all) };
        let policies = policies();
        let asked = Asked { readable: &readable, policies: &policies, now: now() };
        let target_of = |record: &FindingRecord| targets.iter().find(|target| target.id == record.target).unwrap();
        let expected: BTreeMap<FindingId, &FindingRecord> = findings
            .iter()
            .filter(|record| readable.holds(&record.project) && holds(&filter, record, target_of(record)))
            .map(|record| (record.id, record))
            .collect();

        let everything = FindingQuery { filter: filter.clone(), sort, skip: 0, limit: MOST_ON_PAGE };
        let page = table.list(&everything, asked);
        let ids: BTreeSet<FindingId> = page.rows.iter().map(|row| row.id).collect();
        prop_assert_eq!(&ids, &expected.keys().copied().collect());
        prop_assert_eq!((page.total, page.rows.len()), (expected.len(), expected.len()));
        let of_targets: BTreeSet<_> = expected.values().map(|record| record.target).collect();
        prop_assert_eq!(page.targets, of_targets.len());
        for row in &page.rows {
            let record = expected[&row.id];
            let none = SlaPolicy::default();
            prop_assert_eq!(row.status, record.status(now()));
            prop_assert_eq!(row.sla, record.sla(policies.get(&record.project).unwrap_or(&none), now()));
            prop_assert_eq!(row.not_checked_since, record.life.not_checked_since());
            prop_assert_eq!(&row.place, &record.place.to_string());
            prop_assert_eq!((&row.owner, &row.category), (&record.owner, &record.category));
            prop_assert_eq!(&row.title, &record.title);
        }
        for Facet { name, values } in &page.facets {
            prop_assert_eq!(values, &slow_facet(name, &filter, &findings, &readable), "{}", name);
        }

        let part = table.list(&FindingQuery { skip, limit, ..everything }, asked);
        let wanted: Vec<_> = page.rows.iter().skip(skip).take(limit).collect();
        prop_assert_eq!(part.rows.iter().collect::<Vec<_>>(), wanted);
        let is_sorted = page.rows.is_sorted_by_key(|row| match sort {
            FindingSort::Severity => (row.severity as i64, -row.open_since.as_second(), String::new()),
            FindingSort::Newest => (-row.open_since.as_second(), row.severity as i64, String::new()),
            FindingSort::Target => (0, 0, row.origin.to_string()),
            FindingSort::Due => match row.sla {
                Sla::Due { at } | Sla::Overdue { at } => (at.as_second(), row.severity as i64, String::new()),
                Sla::None | Sla::Paused { .. } => (i64::MAX, row.severity as i64, String::new()),
            },
        });
        prop_assert!(is_sorted, "{:?}", sort);

        let by_target = table.by_target(&filter, asked);
        let flat: BTreeSet<FindingId> = by_target.iter().flat_map(|(_, ids)| ids.clone()).collect();
        prop_assert_eq!(&flat, &ids);
        prop_assert_eq!(table.matching(&filter, usize::MAX, asked).len(), ids.len());
        prop_assert_eq!(table.matching(&filter, limit, asked).len(), limit.min(ids.len()));

        let groups = table.grouped(&filter, 0, MOST_ON_PAGE, asked);
        let mut slow: BTreeMap<(&str, &str), (usize, BTreeSet<_>, Severity)> = BTreeMap::new();
        for record in expected.values() {
            let key = (record.plugin.as_str(), record.issue.as_str());
            let sum = slow.entry(key).or_insert((0, BTreeSet::new(), Severity::Unknown));
            sum.0 += 1;
            sum.1.insert(record.target);
            sum.2 = sum.2.min(record.severity);
        }
        prop_assert_eq!((groups.total, groups.findings), (slow.len(), expected.len()));
        prop_assert_eq!(groups.facets, page.facets);
        for group in &groups.groups {
            let sum = &slow[&(group.plugin.as_str(), group.issue.as_str())];
            prop_assert_eq!((group.findings, group.targets, group.severity), (sum.0, sum.1.len(), sum.2));
        }
        prop_assert!(groups.groups.is_sorted_by_key(|group| (group.severity, usize::MAX - group.targets)));
    }

    #[test]
    fn changes_in_any_portions_lead_to_the_rows_of_the_end(
        before in findings(),
        after in findings(),
        gone in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let mut table = table(&targets(), &before);
        table.apply(FindingChanges { findings: after.clone(), mark: 2, ..FindingChanges::default() });
        let mut expected: BTreeMap<FindingId, &FindingRecord> = before.iter().map(|one| (one.id, one)).collect();
        expected.extend(after.iter().map(|one| (one.id, one)));
        if !before.is_empty() {
            let gone: BTreeSet<FindingId> = gone.iter().map(|at| before[at.index(before.len())].id).collect();
            expected.retain(|id, _| !gone.contains(id));
            let changes = FindingChanges { gone: gone.iter().copied().collect(), mark: 3, ..FindingChanges::default() };
            table.apply(changes.clone());
            table.apply(changes);
        }
        let policies = Policies::default();
        let asked = Asked { readable: &ProjectFilter::All, policies: &policies, now: now() };
        let filter: FindingFilter = "status:any".parse().unwrap();
        let page = table.list(&FindingQuery { filter, limit: MOST_ON_PAGE, ..FindingQuery::default() }, asked);
        let rows: BTreeMap<FindingId, Severity> = page.rows.iter().map(|row| (row.id, row.severity)).collect();
        prop_assert_eq!(rows, expected.iter().map(|(id, record)| (*id, record.severity)).collect());
    }
}

#[test]
fn targets_have_their_open_findings_and_what_the_newest_scan_changed() {
    let mut all = targets();
    all[0].checks.insert("zap".into(), LastCheck { complete: None, newest: (order(9), Check::Failed) });
    let of = |target: &TargetRecord, path: &str, severity, scan| finding(target, "zap", "x", path, severity, scan);
    let mut fixed = of(&all[0], "fixed", Severity::High, 1);
    fixed.life.state = State::Fixed { proof: vec![Proof::new(order(9), "1")] };
    let mut earlier = of(&all[0], "earlier", Severity::High, 1);
    earlier.life.state = State::Fixed { proof: vec![Proof::new(order(8), "1")] };
    let mut back = of(&all[0], "back", Severity::Low, 1);
    (back.life.regressed, back.life.open_since) = (true, order(9).at);
    let findings = [
        fixed,
        earlier,
        back,
        of(&all[0], "new", Severity::Low, 9),
        of(&all[0], "old", Severity::Low, 2),
        of(&all[1], "high", Severity::High, 2),
        of(&all[4], "other", Severity::Critical, 2),
    ];
    let table = table(&all, &findings);
    let readable = ProjectFilter::Only(["default", "team"].map(|id| id.parse::<ProjectId>().unwrap()).into());
    let policies = Policies::default();
    let asked = Asked { readable: &readable, policies: &policies, now: now() };
    let page = table.targets(&TargetQuery { limit: 10, ..TargetQuery::default() }, asked);
    let origins: Vec<String> = page.rows.iter().map(|row| format!("{} {}", row.project, row.origin)).collect();
    assert_eq!(
        origins,
        [
            "default https://shop.example:8443",
            "default https://shop.example",
            "team https://shop.example",
            "default https://www.shop.example",
        ]
    );
    assert_eq!(page.tags, [("eu".to_owned(), 2), ("prod".to_owned(), 2)]);
    let row = &page.rows[1];
    assert_eq!(row.open, BTreeMap::from([(Severity::Low, 3)]));
    assert_eq!((row.new, row.fixed, row.unchecked, row.is_checked), (2, 1, 1, false));
    assert_eq!(table.target_row(all[0].id, asked).as_ref(), Some(row));
    assert_eq!(table.target_row(all[4].id, asked), None);
    let query = |words: &[&str], tags: &[&str]| TargetQuery {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        limit: 1,
        skip: 1,
        ..TargetQuery::default()
    };
    let page = table.targets(&query(&["SHOP"], &["prod"]), asked);
    assert_eq!((page.total, page.rows.len(), page.rows[0].id), (2, 1, all[0].id));
    assert_eq!(table.targets(&query(&[], &["prod", "eu"]), asked).total, 1);
}

#[test]
fn finding_that_moved_is_not_fixed_and_what_a_kept_check_saw_is_new() {
    let mut target = target("default", "shop.example", 9);
    let complete = LastCheck { complete: Some(order(9)), newest: (order(9), Check::Completed) };
    target.checks.insert("zap".into(), complete);
    let mut old = finding(&target, "zap", "x", "old", Severity::High, 1);
    old.life.state = State::Fixed { proof: vec![Proof::new(order(9), "1")] };
    let mut moved = finding(&target, "zap", "x", "moved", Severity::High, 1);
    let mut kept = finding(&target, "zap", "y", "kept", Severity::High, 9);
    // An earlier attempt of the newest scan saw it.
    kept.life = Finding::first(ScanOrder { scan: 9, token: 0, ..order(7) });
    let numbers = |findings: &[FindingRecord]| {
        let policies = Policies::default();
        let asked = Asked { readable: &ProjectFilter::All, policies: &policies, now: now() };
        let row = table(std::slice::from_ref(&target), findings).target_row(target.id, asked).unwrap();
        (row.new, row.fixed, row.is_checked)
    };
    assert_eq!(numbers(&[old.clone(), moved.clone(), kept.clone()]), (1, 1, true));
    let change = LogChange::Continues { finding: old.id };
    moved.log.push(FindingEntry { at: order(9).at, by: None, scan: Some(9), change });
    assert_eq!(numbers(&[old, moved, kept]), (1, 0, true));
}

#[test]
fn finding_of_a_target_that_is_not_stored_is_left_out() {
    let targets = targets();
    let findings = [finding(&targets[0], "zap", "x", "a", Severity::High, 1)];
    let policies = Policies::default();
    let asked = Asked { readable: &ProjectFilter::All, policies: &policies, now: now() };
    let total = |table: &Table| table.list(&FindingQuery { limit: 10, ..FindingQuery::default() }, asked).total;
    let mut table = table(&[], &findings);
    assert_eq!(total(&table), 0);
    table.apply(FindingChanges { targets: targets.clone(), mark: 2, ..FindingChanges::default() });
    assert_eq!(total(&table), 1);
    table.apply(FindingChanges { gone_targets: vec![targets[0].id], mark: 3, ..FindingChanges::default() });
    assert_eq!(total(&table), 0);
}

#[test]
fn facet_has_at_most_30_values_and_those_of_the_filter() {
    let target = &targets()[0];
    let plugin = |at: usize| format!("plugin-{at:02}");
    let findings: Vec<FindingRecord> = (0..40)
        .flat_map(|at| (0..=at).map(move |issue| (at, format!("issue-{issue}"))))
        .map(|(at, issue)| finding(target, &plugin(at), &issue, "a", Severity::Low, 1))
        .collect();
    let table = table(std::slice::from_ref(target), &findings);
    let policies = Policies::default();
    let asked = Asked { readable: &ProjectFilter::All, policies: &policies, now: now() };
    let filter: FindingFilter = "plugin:plugin-00".parse().unwrap();
    let page = table.list(&FindingQuery { filter, limit: 10, ..FindingQuery::default() }, asked);
    let values = &page.facets.iter().find(|facet| facet.name == "plugin").unwrap().values;
    assert_eq!((values.len(), page.total), (30, 1));
    assert_eq!((values[0].clone(), values[28].clone()), ((plugin(39), 40), (plugin(11), 12)));
    assert_eq!(values[29], (plugin(0), 1));
}

#[test]
fn number_of_an_age_is_that_of_the_list_with_its_token() {
    let target = &targets()[0];
    let opened = |(at, days): (usize, i64)| {
        let mut record = finding(target, "zap", &format!("issue-{at}"), "a", Severity::Low, 1);
        record.life.open_since = now() - SignedDuration::from_hours(24 * days);
        record
    };
    let findings: Vec<FindingRecord> = [1, 7, 8, 40, 90, 400].into_iter().enumerate().map(opened).collect();
    let table = table(std::slice::from_ref(target), &findings);
    let policies = Policies::default();
    let asked = Asked { readable: &ProjectFilter::All, policies: &policies, now: now() };
    let list = |tokens: &str| {
        let filter: FindingFilter = tokens.parse().unwrap();
        table.list(&FindingQuery { filter, limit: 10, ..FindingQuery::default() }, asked)
    };
    let values = |tokens: &str, name: &str| -> Vec<String> {
        let page = list(tokens);
        let facet = page.facets.iter().find(|facet| facet.name == name).unwrap();
        facet.values.iter().map(|(value, count)| format!("{value}={count}")).collect()
    };
    assert_eq!(values("", "new"), ["7d=2", "30d=3", "90d=5"]);
    assert_eq!(values("", "age"), ["30d=3", "90d=2", "365d=1"]);
    // The own token does not narrow a facet, and has its value there. The other one narrows it.
    assert_eq!(values("new:1d", "new"), ["1d=1", "7d=2", "30d=3", "90d=5"]);
    assert_eq!(values("age:40d", "age"), ["30d=3", "40d=3", "90d=2", "365d=1"]);
    assert_eq!(values("new:90d", "age"), ["30d=2", "90d=1"]);
    assert_eq!(values("age:90d", "new"), ["90d=1"]);
    for (token, total) in [("new:7d", 2), ("new:30d", 3), ("new:90d", 5), ("age:30d", 3), ("age:90d", 2)] {
        assert_eq!(list(token).total, total, "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn question_sees_what_was_committed_before_it_and_one_read_serves_many() {
    let store = Arc::new(MemoryStore::new(Arc::new(PausedClock::default())));
    let index = FindingIndex::new(Arc::<MemoryStore>::clone(&store));
    let target = target("default", "shop.example", 1);
    let put = |findings: Vec<FindingRecord>| {
        let store = Arc::clone(&store);
        async move { assert_eq!(store.put_findings(findings).await.unwrap(), Put::Stored) }
    };
    let total = async || {
        let question = |table: &Table, policies: &Policies| {
            let asked = Asked { readable: &ProjectFilter::All, policies, now: now() };
            table.list(&FindingQuery::default(), asked).total
        };
        index.ask(question).await.unwrap()
    };
    assert_eq!(total().await, 0);
    let first = result(&target, 1, &[]);
    store.suppose_scan(first.scan, Some(&target.project));
    assert_eq!(store.put_result(first, target.clone(), Vec::new()).await.unwrap(), Put::Stored);
    // More than one read of the store returns.
    let count = CHANGES_AT_ONCE + 500;
    let many = (0..count).map(|at| finding(&target, "zap", &format!("issue-{at}"), "a", Severity::Low, 1));
    put(many.collect()).await;
    assert_eq!(total().await, count);
    let (one, two, three) = tokio::join!(total(), total(), total());
    assert_eq!((one, two, three), (count, count, count));
}
