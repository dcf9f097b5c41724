//! Random findings and filters, and the conditions of a filter one by one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use kastrel_actors::model::{FindingChanges, FindingRecord, ProjectFilter, TargetRecord};
use kastrel_findings::Severity;
use kastrel_findings::lifecycle::{Check, Confirmation, Decision, Proof, Sla, SlaPolicy, State, Status};
use proptest::prelude::*;

use super::super::{Policies, Table};
use crate::service::findings::query::{FindingFilter, FindingFlag, OwnerFilter};
use crate::service::findings::testing::{finding, order, target};

const ORIGINS: [(&str, &str, &[&str]); 5] = [
    ("default", "shop.example", &["prod", "eu"]),
    ("default", "shop.example:8443", &["prod"]),
    ("default", "www.shop.example", &[]),
    ("team", "shop.example", &["eu"]),
    ("other", "api.other.example", &["prod"]),
];
const ISSUES: [(&str, &str, Option<&str>); 4] = [
    ("testssl", "tls1", Some("Encryption")),
    ("testssl", "cert-expired", Some("Certificate")),
    ("zap", "tls1", None),
    ("zap", "XSS-reflected", Some("Injection")),
];

pub(super) fn targets() -> Vec<TargetRecord> {
    let with_tags = |(project, origin, tags): (&str, &str, &[&str])| TargetRecord {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..target(project, origin, 9)
    };
    ORIGINS.map(with_tags).to_vec()
}

/// The time of all questions: 100 days after the first scans.
pub(super) fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 100)
}

pub(super) fn policies() -> Policies {
    let of = |days: &[(Severity, u32)]| SlaPolicy { days: days.iter().copied().collect() };
    Policies::from([
        ("default".parse().unwrap(), of(&[(Severity::High, 30), (Severity::Low, 98)])),
        ("team".parse().unwrap(), of(&[(Severity::High, 9_999)])),
    ])
}

pub(super) fn table(targets: &[TargetRecord], findings: &[FindingRecord]) -> Table {
    let mut table = Table::default();
    table.apply(FindingChanges {
        findings: findings.to_vec(),
        targets: targets.to_vec(),
        mark: 1,
        ..FindingChanges::default()
    });
    table
}

prop_compose! {
    fn lives()(
        (at, issue, path) in (0..ORIGINS.len(), 0..ISSUES.len(), "[abC]"),
        severity in prop::sample::select(&Severity::ALL[..]),
        opened in -9_600_i64..2_400,
        state in 0..6,
        decision_hours in -50_i64..50,
        (is_regressed, is_confirmed, is_unchecked) in any::<(bool, bool, bool)>(),
        owner in prop::option::of(prop::sample::select(vec!["ana", "ben"])),
    ) -> FindingRecord {
        let target = &targets()[at];
        let (plugin, key, category) = ISSUES[issue];
        let mut record = finding(target, plugin, key, &path, severity, 3);
        record.category = category.map(str::to_owned);
        record.owner = owner.map(|owner| owner.parse().unwrap());
        let life = &mut record.life;
        life.open_since = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(opened);
        life.regressed = is_regressed;
        life.confirmed = is_confirmed.then(|| Confirmation { by: "user:ana".into(), at: life.open_since });
        life.unchecked = is_unchecked.then(|| (order(8), Check::Failed));
        let (reason, owner, by) = ("why".to_owned(), "ana".to_owned(), "user:ana".to_owned());
        let at = life.open_since;
        match state {
            0 | 1 => {}
            2 => life.state = State::Fixed { proof: vec![Proof::new(order(9), "1")] },
            3 => life.decision = Some(Decision::FalsePositive { reason, by, at }),
            _ => {
                let until = now() + SignedDuration::from_hours(decision_hours);
                life.decision = Some(Decision::Accepted { reason, owner, until, by, at });
            }
        }
        record
    }
}

pub(super) fn findings() -> impl Strategy<Value = Vec<FindingRecord>> {
    // Of two with one place, the last counts.
    let unique = |all: Vec<FindingRecord>| {
        all.into_iter().map(|one| (one.id, one)).collect::<BTreeMap<_, _>>().into_values().collect()
    };
    prop::collection::vec(lives(), 0..40).prop_map(unique)
}

fn some_of(values: &'static [&'static str]) -> impl Strategy<Value = BTreeSet<String>> {
    prop_oneof![
        3 => Just(BTreeSet::new()),
        1 => prop::collection::btree_set(prop::sample::select(values).prop_map(str::to_owned), 1..3),
    ]
}

prop_compose! {
    pub(super) fn filters()(
        severities in prop::collection::btree_set(prop::sample::select(&Severity::ALL[..]), 0..3),
        statuses in prop::collection::btree_set(prop::sample::select(vec![
            Status::Open, Status::Confirmed, Status::Fixed, Status::FalsePositive, Status::Accepted,
        ]), 0..5),
        plugins in some_of(&["testssl", "zap", "none"]),
        categories in some_of(&["encryption", "INJECTION"]),
        issues in some_of(&["tls1", "XSS-reflected", "other"]),
        targets in some_of(&["shop", "https://shop.example", "8443", "x"]),
        projects in some_of(&["default", "team"]),
        tags in some_of(&["prod", "eu", "x"]),
        owners in prop::collection::btree_set(prop::sample::select(vec![
            OwnerFilter::Nobody, OwnerFilter::Account("ana".parse().unwrap()),
        ]), 0..2),
        min_age_days in prop::option::weighted(0.2, 0_u32..120),
        new_within_days in prop::option::weighted(0.2, 0_u32..120),
        since_hours in prop::option::weighted(0.2, 0_i64..2_400),
        flags in prop::collection::btree_set(prop::sample::select(&FindingFlag::ALL[..]), 0..2),
        words in prop::collection::vec(prop::sample::select(vec!["TLS1", "title", "/c", "shop", "8443/a", "zz"]), 0..2),
    ) -> FindingFilter {
        FindingFilter {
            severities, statuses, plugins, categories, issues, targets, tags, owners, min_age_days, new_within_days,
            flags,
            projects: projects.iter().map(|id| id.parse().unwrap()).collect(),
            new_since: since_hours.map(|hours| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)),
            words: words.into_iter().map(str::to_owned).collect(),
        }
    }
}

/// The conditions of a filter one by one, from the stored finding.
pub(super) fn holds(filter: &FindingFilter, record: &FindingRecord, target: &TargetRecord) -> bool {
    let is_in = |wanted: &BTreeSet<String>, value: &str| wanted.is_empty() || wanted.contains(value);
    let origin = target.origin.to_string();
    let statuses = if filter.statuses.is_empty() {
        BTreeSet::from([Status::Open, Status::Confirmed])
    } else {
        filter.statuses.clone()
    };
    let category = record.category.as_deref().unwrap_or_default().to_lowercase();
    let owner = record.owner.clone().map_or(OwnerFilter::Nobody, OwnerFilter::Account);
    let names_target = |text: &String| if text.contains("://") { origin == *text } else { origin.contains(text) };
    let texts = [&record.title, record.issue.as_str(), &record.place.to_string(), &origin].map(str::to_lowercase);
    (filter.severities.is_empty() || filter.severities.contains(&record.severity))
        && statuses.contains(&record.status(now()))
        && is_in(&filter.plugins, &record.plugin)
        && (filter.categories.is_empty() || filter.categories.iter().any(|one| one.to_lowercase() == category))
        && is_in(&filter.issues, record.issue.as_str())
        && (filter.targets.is_empty() || filter.targets.iter().any(names_target))
        && (filter.projects.is_empty() || filter.projects.contains(&record.project))
        && (filter.tags.is_empty() || target.tags.iter().any(|tag| filter.tags.contains(tag)))
        && (filter.owners.is_empty() || filter.owners.contains(&owner))
        && filter.min_age_days.is_none_or(|age| record.life.open_since <= days_ago(age))
        && filter.new_within_days.is_none_or(|age| record.life.open_since >= days_ago(age))
        && filter.new_since.is_none_or(|since| record.life.open_since >= since)
        && filter.flags.iter().all(|flag| flags_of(record).contains(flag))
        && filter.words.iter().all(|word| texts.iter().any(|text| text.contains(&word.to_lowercase())))
}

fn days_ago(days: u32) -> Timestamp {
    now() - SignedDuration::from_hours(24 * i64::from(days))
}

fn flags_of(record: &FindingRecord) -> BTreeSet<FindingFlag> {
    let none = SlaPolicy::default();
    let sla = record.sla(policies().get(&record.project).unwrap_or(&none), now());
    let flags = [
        (FindingFlag::Regressed, record.life.regressed),
        (FindingFlag::Overdue, matches!(sla, Sla::Overdue { .. })),
        (FindingFlag::Unchecked, record.life.not_checked_since().is_some()),
    ];
    flags.into_iter().filter(|(_, has)| *has).map(|(flag, _)| flag).collect()
}

/// The facet of a filter without the facet's own condition, counted finding by finding.
pub(super) fn slow_facet(
    name: &str,
    filter: &FindingFilter,
    findings: &[FindingRecord],
    readable: &ProjectFilter,
) -> Vec<(String, usize)> {
    let mut open = filter.clone();
    match name {
        "severity" => open.severities.clear(),
        "status" => open.statuses = Status::ALL.into(),
        "plugin" => open.plugins.clear(),
        "category" => open.categories.clear(),
        "target" => open.targets.clear(),
        "tag" => open.tags.clear(),
        "owner" => open.owners.clear(),
        "project" => open.projects.clear(),
        "new" => open.new_within_days = None,
        "age" => open.min_age_days = None,
        _ => open.flags.clear(),
    }
    // The fixed values, and that of the filter.
    let days = |fixed: [u32; 3], of_filter: Option<u32>, holds: &dyn Fn(Timestamp) -> bool| -> Vec<String> {
        let all: BTreeSet<u32> = fixed.into_iter().chain(of_filter).collect();
        all.into_iter().filter(|days| holds(days_ago(*days))).map(|days| format!("{days}d")).collect()
    };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for record in findings.iter().filter(|record| readable.holds(&record.project)) {
        let target = targets().into_iter().find(|target| target.id == record.target).unwrap();
        if !holds(&open, record, &target) {
            continue;
        }
        let values: Vec<String> = match name {
            "severity" => vec![record.severity.name().into()],
            "status" => vec![record.status(now()).name().into()],
            "plugin" => vec![record.plugin.clone()],
            "category" => record.category.clone().into_iter().collect(),
            "target" => vec![target.origin.to_string()],
            "tag" => target.tags,
            "owner" => vec![record.owner.as_ref().map_or_else(|| "none".into(), ToString::to_string)],
            "project" => vec![record.project.to_string()],
            "new" => days([7, 30, 90], filter.new_within_days, &|at| record.life.open_since >= at),
            "age" => days([30, 90, 365], filter.min_age_days, &|at| record.life.open_since <= at),
            _ => flags_of(record).into_iter().map(|flag| flag.name().to_owned()).collect(),
        };
        for value in values {
            *counts.entry(value).or_default() += 1;
        }
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    let scale: Vec<String> = match name {
        "severity" => Severity::ALL.iter().map(|severity| severity.name().to_owned()).collect(),
        "status" => Status::ALL.iter().map(|status| status.name().to_owned()).collect(),
        "is" => FindingFlag::ALL.iter().map(|flag| flag.name().to_owned()).collect(),
        "new" | "age" => (0..=365).map(|days| format!("{days}d")).collect(),
        _ => {
            counts.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
            return counts;
        }
    };
    counts.sort_by_key(|(value, _)| scale.iter().position(|one| one == value).unwrap());
    counts
}
