//! Submissions: the checks of a draft, of a batch of drafts, and the place in the queue.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tracing::warn;

use super::scans::ScanService;
use crate::live::{Client, Place};
use crate::model::{
    ConfigOverride, FieldError, IdempotencyKey, KeptSecret, NewScan, ProjectFilter, ProjectId, ProjectRole,
    RequestContext, ScanId, ScanMode, ScanRecord, ScanRequest, ScanRequestDraft, ScanSnapshot, ScanStatus, Submitted,
    Target, TargetError,
};
use crate::policy::access::{Denial, decide};
use crate::policy::admission::{QueueLimit, QueueRefusal};
use crate::policy::permission;
use crate::policy::selection::{Selection, select, unknown};
use crate::policy::waiting::Waiting;
use crate::ports::{JobSignal, StoreError, secret_sealer};

/// A scan that was accepted and committed.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The scan.
    pub scan: Arc<ScanSnapshot>,
    /// True if this submission created it, false if an earlier one with the same idempotency key
    /// did.
    pub created: bool,
    /// Notes about what is left out or cannot run, one sentence each.
    pub notes: Vec<String>,
    /// The reasons why it does not start, except the wait for a free slot; the decisive one first.
    pub waiting: Vec<Waiting>,
}

impl Accepted {
    /// Returns the warnings for the user, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let waits = self.waiting.iter().map(|waiting| format!("Scan accepted and stored. {waiting}"));
        self.notes.iter().cloned().chain(waits).collect()
    }

    /// Returns the warnings in one line.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let reasons = self.waiting.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let waits = (!reasons.is_empty()).then(|| format!("Scan accepted and stored. {reasons}"));
        let all: Vec<String> = self.notes.iter().cloned().chain(waits).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// A submission that was not accepted. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// All invalid fields.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldError>),
    /// The idempotency key belongs to a scan with another request.
    #[error("the idempotency key was used for a different request (scan {0})")]
    KeyReused(ScanId),
    /// The scan that is to be repeated has not ended.
    #[error("scan {} is {}; it can be re-run when it has finished", .0, .1.word())]
    NotEnded(ScanId, ScanStatus),
    /// The principal lacks a right, or the target the clearance.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// A limit of the queue is reached.
    #[error(transparent)]
    Queue(#[from] QueueRefusal),
    /// The store did not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A submission that passed all checks, and is not stored yet.
struct Checked {
    scan: NewScan,
    notes: Vec<String>,
}

/// How many scans of a batch are committed at once, so that they share the writes to the disk.
const BATCH_COMMITS: usize = 8;

impl ScanService {
    /// Checks and accepts a scan, and counts it against the share of `client`. When this returns
    /// `Ok`, the scan is committed. A second submission of the same principal with the same key
    /// returns the first one's scan.
    ///
    /// # Errors
    /// All invalid fields, a lacking right or clearance, a reached limit of the queue, or a failure
    /// of the store.
    pub async fn submit(
        &self,
        context: &RequestContext,
        client: Client,
        draft: &ScanRequestDraft,
        idempotency_key: Option<&IdempotencyKey>,
    ) -> Result<Accepted, SubmitError> {
        let Checked { scan, notes } = self.prepare(context, draft, idempotency_key).await?;
        self.accept(client, scan, notes).await
    }

    /// Checks all drafts, and accepts them if all pass. Each draft has the key of its place in the
    /// batch ([`IdempotencyKey::at`]). Returns a result for each draft, in their order: an error is
    /// a limit of the queue that was reached meanwhile, a used key, or a failure of the store.
    ///
    /// # Errors
    /// The drafts that do not pass their checks, by their places. Nothing was stored.
    pub async fn submit_all(
        &self,
        context: &RequestContext,
        client: Client,
        drafts: &[ScanRequestDraft],
        idempotency_key: Option<&IdempotencyKey>,
    ) -> Result<Vec<Result<Accepted, SubmitError>>, Vec<(usize, SubmitError)>> {
        let (mut checked, mut refused) = (Vec::new(), Vec::new());
        for (place, draft) in drafts.iter().enumerate() {
            let prepared = match idempotency_key.map(|key| key.at(place)).transpose() {
                Ok(key) => self.prepare(context, draft, key.as_ref()).await,
                Err(why) => Err(SubmitError::Invalid(vec![FieldError::new("Idempotency-Key", why.to_string())])),
            };
            match prepared {
                Ok(one) => checked.push(one),
                // The others would wait for the store as well.
                Err(error @ SubmitError::Store(_)) => return Err(vec![(place, error)]),
                Err(error) => refused.push((place, error)),
            }
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        let accept = |Checked { scan, notes }| self.accept(client, scan, notes);
        Ok(stream::iter(checked).map(accept).buffered(BATCH_COMMITS).collect().await)
    }

    /// Checks a draft and the rights that it needs.
    async fn prepare(
        &self,
        context: &RequestContext,
        draft: &ScanRequestDraft,
        idempotency_key: Option<&IdempotencyKey>,
    ) -> Result<Checked, SubmitError> {
        if !draft.plugins.is_empty()
            || !draft.overrides.is_empty()
            || draft.mode.as_deref().is_some_and(|mode| mode != ScanMode::Passive.as_str())
        {
            self.ports.snapshots.offered.first().await;
        }
        let project = self.project_of(context, draft).await?;
        let (request, Selection { left_out, warnings }) = match (self.examine(draft), &project) {
            (Ok(examined), Ok(_)) => examined,
            (examined, project) => {
                let errors = project.as_ref().err().cloned().into_iter().chain(examined.err().unwrap_or_default());
                return Err(SubmitError::Invalid(errors.collect()));
            }
        };
        let Ok(project) = project else { return Err(SubmitError::Invalid(Vec::new())) };
        decide(&context.grants, permission::operation(request.options.mode), Some(&project))?;
        self.check_clearance(&project, &request).await?;
        let idempotency_key = idempotency_key.map(|key| key.of(&context.principal));
        let scan = NewScan {
            request,
            left_out,
            idempotency_key,
            trace: context.trace,
            rerun_of: None,
            submitted_by: context.principal.clone(),
            project,
        };
        Ok(Checked { scan, notes: warnings })
    }

    /// Returns the project of a draft: the one that it names, or else the default project, or the
    /// only one in which the principal may submit scans.
    pub(super) async fn project_of(
        &self,
        context: &RequestContext,
        draft: &ScanRequestDraft,
    ) -> Result<Result<ProjectId, FieldError>, StoreError> {
        let own = context.grants.projects_with(ProjectRole::Scanner);
        let Some(text) = draft.project.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(default_project(own));
        };
        self.named_project(context, text).await
    }

    /// Returns the project with this id, if there is one and the principal may see it.
    pub(super) async fn named_project(
        &self,
        context: &RequestContext,
        text: &str,
    ) -> Result<Result<ProjectId, FieldError>, StoreError> {
        let unknown = || Err(FieldError::new("project", ProjectId::UNKNOWN));
        let Ok(project) = text.parse::<ProjectId>() else { return Ok(unknown()) };
        if context.grants.role_in(&project).is_none() {
            return Ok(unknown());
        }
        // A role in all projects says nothing about whether one exists.
        let exists = project.is_default()
            || context.grants.projects_with(ProjectRole::Scanner).is_some()
            || self.ports.store.access.projects().await?.iter().any(|known| known.id == project);
        Ok(if exists { Ok(project) } else { unknown() })
    }

    /// Checks a draft like a submission, without submitting it. Returns all errors, those of the
    /// target first; empty if a submission accepts the draft.
    #[must_use]
    pub fn check(&self, _context: &RequestContext, draft: &ScanRequestDraft) -> Vec<FieldError> {
        self.examine(draft).err().unwrap_or_default()
    }

    /// Checks a target alone, and returns it.
    ///
    /// # Errors
    /// The text is no target, or the target is out of scope.
    pub fn check_target(&self, _context: &RequestContext, text: &str) -> Result<Target, FieldError> {
        let target = text.trim_matches(' ').parse().map_err(|error: TargetError| wrong_target(&error))?;
        self.wrong_targets(&target).into_iter().next().map_or(Ok(target), Err)
    }

    /// Checks every field of a draft, and what it asks for. An invalid field hides no error in
    /// another one.
    fn examine(&self, draft: &ScanRequestDraft) -> Result<(ScanRequest, Selection), Vec<FieldError>> {
        let mut fields = draft.read();
        let errors = std::mem::take(&mut fields.errors);
        // The errors of the target come first.
        let (mut all, others): (Vec<_>, Vec<_>) = errors.into_iter().partition(|error| error.field == "target");
        all.extend(fields.target.iter().flat_map(|target| self.wrong_targets(target)));
        all.extend(others);
        let plugins = fields.plugins.as_deref();
        let selection = match (fields.mode, plugins) {
            (Some(mode), Some(plugins)) => self.selection(mode, plugins, &mut all),
            _ => Selection::default(),
        };
        all.extend(unknown(plugins.unwrap_or_default(), &self.ports.snapshots.offered.get()));
        all.extend(self.wrong_overrides(&fields.overrides));
        let is_confirmed = draft.confirm_active.unwrap_or(false);
        all.extend(permission::check(fields.mode.unwrap_or(ScanMode::Passive), is_confirmed).err());
        all.extend(self.resolve(fields.target.as_ref(), &mut fields.overrides, &draft.kept));
        fields.errors = all;
        draft.request(fields).map(|request| (request, selection))
    }

    /// Returns why a target may not be scanned.
    fn wrong_targets(&self, target: &Target) -> Vec<FieldError> {
        // A scan of an earlier version may have a target that the current rules refuse.
        let refused = target.check().err().map(|why| wrong_target(&why));
        refused.into_iter().chain(self.ports.scope.check(target).err().map(|why| wrong_target(&why))).collect()
    }

    fn selection(&self, mode: ScanMode, plugins: &[String], errors: &mut Vec<FieldError>) -> Selection {
        select(mode, plugins, &self.ports.snapshots.offered.get()).unwrap_or_else(|error| {
            errors.push(error);
            Selection::default()
        })
    }

    /// Returns why settings are refused: they are locked, or their values are invalid or name an
    /// address out of scope.
    fn wrong_overrides(&self, overrides: &[ConfigOverride]) -> Vec<FieldError> {
        let offered = &self.ports.snapshots.offered;
        let (known, schema) = (offered.settings(), offered.schema());
        let check = |one: &[ConfigOverride]| {
            // A locked setting is not checked further, so each setting has one reason.
            let locked = self.ports.overrides.check(one, &known);
            if !locked.is_empty() {
                return locked;
            }
            let mut errors = schema.as_ref().map(|schema| schema.check(one)).unwrap_or_default();
            errors.extend(self.ports.scope.check_overrides(one, &known));
            errors
        };
        overrides.chunks(1).flat_map(check).collect()
    }

    /// Turns the values of secret settings into secrets, and inserts the values that a form kept.
    /// Returns why that is not possible. Kept values belong to a target: without one, only a value
    /// that is not kept at all is an error.
    pub(super) fn resolve(
        &self,
        target: Option<&Target>,
        overrides: &mut [ConfigOverride],
        kept: &[KeptSecret],
    ) -> Vec<FieldError> {
        let Some(target) = target else { return secret_sealer::missing(overrides, kept) };
        let known = self.ports.snapshots.offered.known_settings();
        secret_sealer::resolve(&*self.ports.sealer, target, overrides, kept, known.as_deref()).err().unwrap_or_default()
    }

    /// Checks whether a request may be submitted again: its target and the addresses in its
    /// settings are in scope, the client may set its settings, the scanner can run at least part of
    /// the selection, and the user has confirmed active plugins.
    pub(super) fn permit(&self, request: &ScanRequest, is_confirmed: bool) -> Result<Selection, Vec<FieldError>> {
        let mut errors = self.wrong_targets(&request.target);
        let selection = self.selection(request.options.mode, &request.options.plugins, &mut errors);
        errors.extend(self.wrong_overrides(&request.overrides));
        errors.extend(permission::check(request.options.mode, is_confirmed).err());
        if errors.is_empty() { Ok(selection) } else { Err(errors) }
    }

    /// Reserves a place in the queue for a scan of `client`.
    async fn enter(&self, client: Client) -> Result<Result<Place<'_>, QueueRefusal>, StoreError> {
        let count = || async { Ok(self.ports.store.queries.stats(&ProjectFilter::All).await?.pending) };
        let refusal = match self.ports.snapshots.gate.enter(client, self.ports.limits, count()).await? {
            Err(refusal) if matches!(refusal.limit, QueueLimit::ClientShare { .. }) => refusal,
            other => return Ok(other),
        };
        // Another process may have started them.
        let mut is_less = false;
        for id in self.ports.snapshots.gate.doubtful(client) {
            if self.ports.store.scans.get(id).await?.is_none_or(|record| record.status() != ScanStatus::Pending) {
                self.ports.snapshots.gate.left(id);
                is_less = true;
            }
        }
        if is_less {
            self.ports.snapshots.gate.enter(client, self.ports.limits, count()).await
        } else {
            Ok(Err(refusal))
        }
    }

    pub(super) async fn accept(
        &self,
        client: Client,
        mut scan: NewScan,
        notes: Vec<String>,
    ) -> Result<Accepted, SubmitError> {
        let target = scan.request.target.clone();
        secret_sealer::seal_all(&*self.ports.sealer, &target, &mut scan.request.overrides)
            .map_err(|error| SubmitError::Invalid(vec![error]))?;
        let (request, project) = (scan.request.clone(), scan.project.clone());
        let submitted = match self.enter(client).await? {
            Ok(place) => {
                let submitted = self.ports.store.scans.submit(scan).await?;
                if let Submitted::Created(record) = &submitted {
                    place.accepted(record.id);
                }
                submitted
            }
            // A repeated submission of an accepted scan is not refused.
            Err(refusal) => match &scan.idempotency_key {
                Some(key) => Submitted::Existing(self.ports.store.scans.submitted(key).await?.ok_or(refusal)?),
                None => return Err(refusal.into()),
            },
        };
        let (record, created) = match submitted {
            Submitted::Created(record) => (record, true),
            // A scan of another project is another request, and its reader may have left that
            // project.
            Submitted::Existing(record) if record.project != project || !self.is_same(&record.request, &request) => {
                return Err(SubmitError::KeyReused(record.id));
            }
            Submitted::Existing(record) => (record, false),
        };
        self.publish(record.clone());
        // The signal is sent first, so that nothing that follows delays the start.
        let silent = if created { self.wake(&record).await } else { None };
        let mut waiting = self.reasons(&record).await;
        if let Some(why) = silent
            && !waiting.iter().any(|reason| matches!(reason, Waiting::QueueDown { .. }))
        {
            waiting.insert(0, Waiting::QueueDown { why });
        }
        waiting.retain(Waiting::is_unusual);
        let scan = self.ports.snapshots.get(record.id).unwrap_or_else(|| Arc::new(ScanSnapshot::of(record)));
        Ok(Accepted { scan, created, notes, waiting })
    }

    /// Returns true if two requests are the same, even if one was sealed before it was known which
    /// of its settings are secrets.
    fn is_same(&self, one: &ScanRequest, other: &ScanRequest) -> bool {
        let without = |request: &ScanRequest| ScanRequest { overrides: Vec::new(), ..request.clone() };
        one == other
            || (without(one) == without(other)
                && secret_sealer::are_same(&*self.ports.sealer, &one.target, &one.overrides, &other.overrides))
    }

    /// Signals the scan. Returns the reason if the queue did not accept the signal.
    async fn wake(&self, record: &ScanRecord) -> Option<String> {
        let signal = JobSignal {
            id: record.id,
            priority: record.request.options.priority,
            due: record.created_at,
            trace: record.trace,
        };
        let error = self.ports.queue.signal(signal, Duration::ZERO).await.err()?;
        warn!(
            scan.id = record.id.0,
            error = &error as &dyn std::error::Error,
            "accepted a scan but could not signal it; it starts when the queue is back"
        );
        Some(self.ports.queue.trouble().unwrap_or_else(|| error.0.to_string()))
    }
}

/// Returns the project of a draft that names none. `own` are the projects in which the principal
/// may submit scans; `None` means all.
fn default_project(own: Option<BTreeSet<ProjectId>>) -> Result<ProjectId, FieldError> {
    let default = ProjectId::default();
    let Some(own) = own else { return Ok(default) };
    let mut projects = own.iter();
    match (projects.next(), projects.next()) {
        _ if own.contains(&default) => Ok(default),
        (Some(only), None) => Ok(only.clone()),
        (Some(_), Some(_)) => {
            let names = own.iter().map(ProjectId::as_str).collect::<Vec<_>>().join(", ");
            Err(FieldError::new("project", format!("name the project of the scan: {names}")))
        }
        // The decision names the right that is lacking.
        (None, _) => Ok(default),
    }
}

fn wrong_target(why: &impl std::fmt::Display) -> FieldError {
    FieldError::new("target", format!("the target {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Principal, Project, ScannerKind};
    use crate::ports::{AccessStore as _, ScanRepository as _};
    use crate::testing::{Cluster, Script, ScriptedRunner, fixtures};

    fn contexts() -> [RequestContext; 2] {
        [Principal::System, Principal::Anonymous].map(|principal| RequestContext { principal, ..fixtures::context() })
    }

    #[tokio::test(start_paused = true)]
    async fn key_of_one_principal_never_returns_the_scan_of_another() {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let key: IdempotencyKey = "system".parse().unwrap();
        let draft = ScanRequestDraft { target: "example.com".into(), ..ScanRequestDraft::default() };
        for round in [true, false] {
            for (context, id) in contexts().iter().zip(1..) {
                let accepted = cluster.service.submit(context, Client::Local, &draft, Some(&key)).await.unwrap();
                assert_eq!((accepted.scan.record.id, accepted.created), (ScanId(id), round), "{context:?}");
            }
        }
        // The refusal names the principal's own scan.
        let other = ScanRequestDraft { target: "example.org".into(), ..draft };
        let refused = cluster.service.submit(&contexts()[1], Client::Local, &other, Some(&key)).await.unwrap_err();
        assert!(matches!(refused, SubmitError::KeyReused(ScanId(2))), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn key_never_returns_the_scan_of_another_project() {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let web = Project { id: "web".parse().unwrap(), title: "Web".into(), created_at: cluster.now() };
        assert!(cluster.store.create_project(web, &Principal::System).await.unwrap());
        let key: IdempotencyKey = "a-1".parse().unwrap();
        let draft = |project: &str| ScanRequestDraft {
            target: "example.com".into(),
            project: Some(project.into()),
            ..ScanRequestDraft::default()
        };
        let submit = async |project| {
            cluster.service.submit(&fixtures::context(), Client::Local, &draft(project), Some(&key)).await
        };
        let id = submit("web").await.unwrap().scan.record.id;
        assert_eq!(submit("web").await.unwrap().scan.record.id, id);
        let refused = submit("default").await.unwrap_err();
        assert!(matches!(refused, SubmitError::KeyReused(of) if of == id), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn key_stored_by_an_earlier_version_belongs_to_anonymous_clients() {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let stored = NewScan { idempotency_key: Some("a-1".into()), ..fixtures::new_scan("example.com") };
        let stored = cluster.store.submit(stored).await.unwrap().into_record();
        let key: IdempotencyKey = "a-1".parse().unwrap();
        let draft = ScanRequestDraft { target: "example.com".into(), ..ScanRequestDraft::default() };
        let [system, anonymous] = contexts();
        let submit = async |context| {
            let accepted = cluster.service.submit(context, Client::Local, &draft, Some(&key)).await.unwrap();
            (accepted.scan.record.id == stored.id, accepted.created)
        };
        assert_eq!(submit(&anonymous).await, (true, false));
        assert_eq!(submit(&system).await, (false, true));
    }

    #[tokio::test(start_paused = true)]
    async fn batch_is_accepted_as_a_whole_and_once() {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let draft = |target: &str| ScanRequestDraft { target: target.into(), ..ScanRequestDraft::default() };
        let key: IdempotencyKey = "a-1".parse().unwrap();
        let submit = async |targets: &[&str], key: Option<&IdempotencyKey>| {
            let drafts: Vec<_> = targets.iter().map(|target| draft(target)).collect();
            cluster.service.submit_all(&fixtures::context(), Client::Local, &drafts, key).await
        };
        // One wrong draft keeps all from being stored.
        let refused = submit(&["a.test", "-oX", "b.test", "10.0.0.1"], Some(&key)).await.unwrap_err();
        assert_eq!(refused.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1, 3], "{refused:?}");
        assert!(cluster.store.get(ScanId(1)).await.unwrap().is_none());
        let long: IdempotencyKey = "x".repeat(254).parse().unwrap();
        let refused = submit(&["a.test"], Some(&long)).await.unwrap_err();
        assert!(matches!(&refused[0].1, SubmitError::Invalid(errors) if errors[0].field == "Idempotency-Key"));

        let targets = ["a.test", "b.test", "a.test"];
        let mut ids = Vec::new();
        for round in [true, false] {
            let accepted = submit(&targets, Some(&key)).await.unwrap();
            let of_round: Vec<_> = accepted.into_iter().map(Result::unwrap).collect();
            assert!(of_round.iter().all(|one| one.created == round));
            let answered = of_round.iter().map(|one| one.scan.record.request.target.to_string());
            assert_eq!(answered.collect::<Vec<_>>(), targets, "in the order of the drafts");
            ids.push(of_round.iter().map(|one| one.scan.record.id).collect::<Vec<_>>());
        }
        assert_eq!(ids[0], ids[1]);
        // A repetition with another target at a place names that place alone.
        let results = submit(&["a.test", "c.test", "a.test"], Some(&key)).await.unwrap();
        let is_refused = |one: &Result<Accepted, SubmitError>| matches!(one, Err(SubmitError::KeyReused(_)));
        assert_eq!(results.iter().map(is_refused).collect::<Vec<_>>(), [false, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn invalid_target_hides_no_error_of_another_field() {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let offer = fixtures::offer(ScannerKind::Kast, &["whatweb"]);
        let draft = ScanRequestDraft {
            target: "-oX".into(),
            mode: Some("both".into()),
            plugins: vec!["whatweb".into(), "nmap".into()],
            overrides: vec!["zap.image=evil".into(), "zap.token=••••••".into(), "novalue".into()],
            ..ScanRequestDraft::default()
        };
        let fields = || {
            let errors = cluster.service.check(&fixtures::context(), &draft);
            errors.into_iter().map(|error| error.field).collect::<Vec<_>>()
        };
        assert_eq!(fields(), ["target", "overrides", "overrides", "confirm_active", "overrides"]);
        // Once a scanner is known, its plugins are checked as well.
        cluster.snapshots.offered.set(&offer.plugins, &offer.settings, None);
        assert_eq!(fields(), ["target", "overrides", "plugins", "overrides", "confirm_active", "overrides"]);
        let refused = cluster.service.submit(&fixtures::context(), Client::Local, &draft, None).await.unwrap_err();
        assert!(matches!(refused, SubmitError::Invalid(errors) if errors.len() == 6));
    }

    #[tokio::test(start_paused = true)]
    async fn target_is_checked_alone_like_in_a_submission() {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let check = |text: &str| cluster.service.check_target(&fixtures::context(), text);
        assert_eq!(check(" example.com ").unwrap().to_string(), "example.com");
        for text in ["-oX", "10.0.0.1", "127.0.0.1", ""] {
            let alone = check(text).unwrap_err();
            let draft = ScanRequestDraft { target: text.into(), ..ScanRequestDraft::default() };
            assert_eq!(cluster.service.check(&fixtures::context(), &draft), [alone], "{text:?}");
        }
    }
}
