use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kastrel_actors::model::{
    AuditQuery, DomainEvent, FindingEntry, FindingRecord, Grants, LogChange, MOST_LOG_ENTRIES, ProjectId, ProjectRole,
    Put, RequestContext, TriageKind,
};
use kastrel_actors::ports::{AuditLog as _, Clock as _, FindingStore as _};
use kastrel_actors::testing::fixtures;
use kastrel_findings::Severity;
use kastrel_findings::identity::FindingId;
use kastrel_findings::lifecycle::{Action, Event, Proof, State, Status};

use super::stage::{Stage, field, lacks};
use crate::service::findings::testing::{finding, order};
use crate::service::findings::{MOST_COMMENT_CHARS, MOST_TRIAGED};

fn false_positive(reason: &str) -> Action {
    Action::MarkFalsePositive { reason: reason.into() }
}

fn accept(reason: &str, owner: &str, until: Timestamp) -> Action {
    Action::Accept { reason: reason.into(), owner: owner.into(), until }
}

/// A finding of the project `team`, and one of `other`.
async fn two_findings(all: &Stage) -> (FindingRecord, FindingRecord) {
    let own = all.target("team", "shop.example", 1).await;
    let other = all.target("other", "api.other.example", 1).await;
    let mine = all.finding(finding(&own, "zap", "xss", "a", Severity::High, 1)).await;
    (mine, all.finding(finding(&other, "zap", "xss", "a", Severity::High, 1)).await)
}

/// Triages one finding, and returns its result.
async fn one(all: &Stage, context: &RequestContext, id: FindingId, action: &Action) -> Result<Status, String> {
    let mut results = all.findings().triage(context, &[id], action).await.unwrap();
    assert_eq!((results.len(), results[0].id), (1, id));
    results.remove(0).outcome
}

#[tokio::test(start_paused = true)]
async fn every_finding_of_a_bulk_change_has_its_result() {
    let all = Stage::new().await;
    let (mine, hidden) = two_findings(&all).await;
    let target = all.stored_target(mine.target).await;
    let mut fixed = finding(&target, "zap", "xss", "b", Severity::High, 1);
    fixed.life.state = State::Fixed { proof: vec![Proof::new(order(2), "1")] };
    let fixed = all.finding(fixed).await;
    let operator = all.member("opa", ProjectRole::Operator).await;
    let missing: FindingId = "0123456789abcdef0123".parse().unwrap();
    let ids = [fixed.id, hidden.id, mine.id, missing, mine.id];
    let results = all.findings().triage(&operator, &ids, &false_positive("  a\u{1b}[2J test page ")).await.unwrap();
    let outcomes: Vec<(FindingId, Result<Status, &str>)> =
        results.iter().map(|one| (one.id, one.outcome.as_ref().copied().map_err(String::as_str))).collect();
    assert_eq!(
        outcomes,
        [
            (fixed.id, Err("the finding is fixed")),
            (hidden.id, Err("there is no such finding")),
            (mine.id, Ok(Status::FalsePositive)),
            (missing, Err("there is no such finding")),
        ]
    );
    let stored = all.stored(mine.id).await;
    let last = stored.log.last().unwrap();
    assert_eq!((last.at, last.by.as_deref()), (all.clock.now(), Some("user:opa")));
    let decided = LogChange::Life { event: Event::Decided, reason: Some("a test page".into()) };
    assert_eq!(last.change, decided);
    let event = DomainEvent::FindingTriaged {
        project: "team".parse().unwrap(),
        finding: mine.id,
        did: TriageKind::FalsePositive,
        text: Some("a test page".into()),
        until: None,
    };
    assert_eq!(all.events().await, [(operator.principal.clone(), event)]);
    assert_eq!((all.stored(hidden.id).await, all.stored(fixed.id).await), (hidden, fixed));
}

#[tokio::test(start_paused = true)]
async fn decisions_follow_the_life_of_the_finding() {
    let all = Stage::new().await;
    let (mine, _) = two_findings(&all).await;
    let context = fixtures::context();
    let until = all.clock.now() + SignedDuration::from_hours(48);
    for (action, outcome) in [
        (Action::Withdraw, Err("there is no decision and no confirmation")),
        (Action::Confirm, Ok(Status::Confirmed)),
        (Action::Confirm, Err("the finding is confirmed already")),
        (accept("known", "Ana", until), Ok(Status::Accepted)),
        (false_positive("x"), Err("a decision is in force: withdraw it first")),
        (Action::Withdraw, Ok(Status::Confirmed)),
        (accept("known", "Ana", until), Ok(Status::Accepted)),
    ] {
        let result = one(&all, &context, mine.id, &action).await;
        assert_eq!(result.as_ref().copied().map_err(String::as_str), outcome, "{action:?}");
    }
    tokio::time::advance(std::time::Duration::from_hours(49)).await;
    let query = "status:confirmed".parse().unwrap();
    assert_eq!(all.findings().matching(&context, &query, 9).await.unwrap(), [mine.id], "the acceptance has expired");
    assert_eq!(one(&all, &context, mine.id, &Action::Withdraw).await, Ok(Status::Open));
    let log = all.stored(mine.id).await.log;
    let expired = log
        .iter()
        .find(|entry| matches!(&entry.change, LogChange::Life { event, .. } if *event == Event::AcceptanceExpired));
    assert_eq!(expired.unwrap().by, None, "the clock did it");
}

#[tokio::test(start_paused = true)]
async fn wrong_fields_are_named_and_change_nothing() {
    let all = Stage::new().await;
    let (mine, _) = two_findings(&all).await;
    let context = fixtures::context();
    let now = all.clock.now();
    let days = |days: i64| now + SignedDuration::from_hours(24 * days);
    for (action, wrong, message) in [
        (false_positive(" \u{0} "), "reason", "reason: it must not be empty"),
        (false_positive(&"x".repeat(2_001)), "reason", "reason: expected at most 2000 characters"),
        (accept("", "Ana", days(1)), "reason", "reason: it must not be empty"),
        (accept("x", " ", days(1)), "owner", "owner: it must not be empty"),
        (accept("x", "Ana", now), "until", "until: it must be in the future"),
        (accept("x", "Ana", days(800)), "until", "until: it must be within two years"),
    ] {
        let error = all.findings().triage(&context, &[mine.id], &action).await.unwrap_err();
        assert_eq!((field(&error), error.to_string().as_str()), (wrong, message));
    }
    let many = vec![mine.id; MOST_TRIAGED + 1];
    let error = all.findings().triage(&context, &many, &Action::Confirm).await.unwrap_err();
    assert_eq!(field(&error), "ids");
    assert_eq!(all.findings().triage(&context, &[], &Action::Confirm).await.unwrap(), []);
    assert_eq!((all.stored(mine.id).await, all.events().await), (mine, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn viewer_may_change_nothing_and_stranger_sees_nothing() {
    let all = Stage::new().await;
    let (mine, hidden) = two_findings(&all).await;
    let viewer = all.member("vic", ProjectRole::Viewer).await;
    let findings = all.findings();
    assert!(lacks(&findings.triage(&viewer, &[hidden.id, mine.id], &Action::Confirm).await.unwrap_err()));
    assert!(lacks(&findings.assign(&viewer, &[mine.id], None).await.unwrap_err()));
    assert!(lacks(&findings.comment(&viewer, mine.id, "text").await.unwrap_err()));
    assert_eq!(one(&all, &viewer, hidden.id, &Action::Confirm).await, Err("there is no such finding".into()));
    assert!(!findings.comment(&viewer, hidden.id, "text").await.unwrap());
    assert_eq!(all.events().await, []);
}

#[tokio::test(start_paused = true)]
async fn denial_of_a_part_of_a_bulk_change_is_recorded_once() {
    let all = Stage::new().await;
    let (mine, other) = two_findings(&all).await;
    let target = all.stored_target(other.target).await;
    let second = all.finding(finding(&target, "zap", "sqli", "b", Severity::High, 1)).await;
    let member = all.member("opa", ProjectRole::Operator).await;
    let project = |id: &str| id.parse::<ProjectId>().unwrap();
    let roles = [(project("team"), ProjectRole::Operator), (project("other"), ProjectRole::Viewer)];
    let context = RequestContext { grants: Arc::new(Grants::new(None, roles.into())), ..member };
    let ids = [other.id, mine.id, second.id];
    let results = all.findings().triage(&context, &ids, &Action::Confirm).await.unwrap();
    let lacking = "this needs the role `operator` in this project";
    let outcomes: Vec<Result<Status, &str>> =
        results.iter().map(|one| one.outcome.as_ref().copied().map_err(String::as_str)).collect();
    assert_eq!(outcomes, [Err(lacking), Ok(Status::Confirmed), Err(lacking)]);
    let denials = async || {
        let entries = all.store.audit(&AuditQuery::newest(usize::MAX)).await.unwrap().entries;
        let denied = entries.into_iter().filter(|entry| matches!(entry.event, DomainEvent::AccessDenied { .. }));
        denied.map(|entry| (entry.principal, entry.event)).collect::<Vec<_>>()
    };
    let event = DomainEvent::AccessDenied { operation: "triage_findings".into(), project: Some(project("other")) };
    assert_eq!(denials().await, [(context.principal.clone(), event)]);
    // The answer to a request that is denied as a whole is recorded with its route.
    assert!(lacks(&all.findings().triage(&context, &[other.id], &Action::Confirm).await.unwrap_err()));
    assert_eq!(denials().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn change_between_read_and_write_is_not_lost() {
    let all = Stage::new().await;
    let (mine, _) = two_findings(&all).await;
    let (store, id) = (Arc::clone(&all.store), mine.id);
    all.between.run_before("edit_finding", async move {
        let mut record = store.finding(id).await.unwrap().unwrap();
        record.title = "Title of a scan".into();
        assert_eq!(store.put_findings(vec![record]).await.unwrap(), Put::Stored);
    });
    assert_eq!(one(&all, &fixtures::context(), id, &Action::Confirm).await, Ok(Status::Confirmed));
    let stored = all.stored(id).await;
    assert_eq!((stored.title.as_str(), stored.life.confirmed.is_some()), ("Title of a scan", true));
    let (store, id) = (Arc::clone(&all.store), mine.id);
    all.between.run_before("edit_finding", async move {
        let record = store.finding(id).await.unwrap().unwrap();
        assert_eq!(store.delete_findings(vec![record]).await.unwrap(), Put::Stored);
    });
    let outcome = one(&all, &fixtures::context(), id, &Action::Withdraw).await;
    assert_eq!(outcome, Err("there is no such finding".into()));
    assert_eq!(all.events().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn findings_are_given_to_active_accounts_that_may_read_them() {
    let all = Stage::new().await;
    let (mine, hidden) = two_findings(&all).await;
    let (context, findings) = (fixtures::context(), all.findings());
    let ana = Some("ana".parse().unwrap());
    let give = async |owner, ids: &[FindingId]| -> Vec<Result<Status, String>> {
        let results = findings.assign(&context, ids, owner).await.unwrap();
        results.into_iter().map(|one| one.outcome).collect()
    };
    assert_eq!(give(ana.clone(), &[mine.id]).await, [Ok(Status::Open)], "a server without accounts knows no names");
    all.member("ben", ProjectRole::Viewer).await;
    let error = findings.assign(&context, &[mine.id], Some("cy".parse().unwrap())).await.unwrap_err();
    assert_eq!(error.to_string(), "owner: there is no active account `cy`");
    let ben = Some("ben".parse().unwrap());
    let refused = Err("ben may not read the project other".to_owned());
    assert_eq!(give(ben.clone(), &[mine.id, hidden.id]).await, [Ok(Status::Open), refused]);
    assert_eq!(give(ben.clone(), &[mine.id]).await, [Ok(Status::Open)], "it is so already");
    let stored = all.stored(mine.id).await;
    let assigned = stored.log.iter().filter(|entry| matches!(entry.change, LogChange::Assigned { .. })).count();
    assert_eq!((stored.owner, assigned), (ben, 2));
    let query = "owner:ben".parse().unwrap();
    assert_eq!(findings.matching(&context, &query, 9).await.unwrap(), [mine.id]);
    assert_eq!(give(None, &[mine.id]).await, [Ok(Status::Open)]);
    assert_eq!(all.stored(mine.id).await.owner, None);
}

#[tokio::test(start_paused = true)]
async fn comments_are_bounded_and_stay_when_the_log_is_full() {
    let all = Stage::new().await;
    let (mine, _) = two_findings(&all).await;
    let (context, findings) = (fixtures::context(), all.findings());
    assert!(findings.comment(&context, mine.id, " two\u{7}\nlines ").await.unwrap());
    let stored = all.stored(mine.id).await;
    assert_eq!(stored.log.last().unwrap().change, LogChange::Comment { text: "two\nlines".into() });
    for text in ["", " \u{0}", &"x".repeat(MOST_COMMENT_CHARS + 1)] {
        assert_eq!(field(&findings.comment(&context, mine.id, text).await.unwrap_err()), "text");
    }
    // One entry is of a scan, the others are of persons.
    for at in stored.log.len()..MOST_LOG_ENTRIES {
        assert!(findings.comment(&context, mine.id, &at.to_string()).await.unwrap());
    }
    assert!(findings.comment(&context, mine.id, "in place of the entry of the scan").await.unwrap());
    let full = all.stored(mine.id).await;
    assert_eq!(full.log.len(), MOST_LOG_ENTRIES);
    assert!(full.log.iter().all(|entry| entry.by.is_some()));
    let error = findings.comment(&context, mine.id, "one more").await.unwrap_err();
    assert!(error.to_string().starts_with("text: the log of the finding is full"), "{error}");
    for action in [Action::Confirm, Action::Withdraw, Action::Confirm] {
        one(&all, &context, mine.id, &action).await.unwrap();
    }
    let stored = all.stored(mine.id).await;
    let is_comment = |entry: &&FindingEntry| matches!(entry.change, LogChange::Comment { .. });
    assert_eq!(stored.log.iter().filter(is_comment).count(), MOST_LOG_ENTRIES);
    assert!(stored.log.len() <= MOST_LOG_ENTRIES + 1, "{}", stored.log.len());
}
