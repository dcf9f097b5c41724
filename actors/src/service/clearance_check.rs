//! The check of the clearance of targets at a submission. The check before an attempt is in the
//! Scan actor.

use jiff::Timestamp;

use super::scans::ScanService;
use super::submission::SubmitError;
use crate::model::{Clearance, ProjectId, RequestContext, ScanMode, ScanRequest, ScanRequestDraft, Target};
use crate::policy::access::{Denial, decide};
use crate::policy::clearance::{self, ClearanceRule, NotCleared};
use crate::policy::permission;
use crate::ports::StoreError;

/// The clearances that decide about the targets of several submissions with the same options.
#[derive(Debug, Clone, Default)]
pub struct TargetCheck(Option<(ScanMode, Vec<Clearance>, Timestamp)>);

impl TargetCheck {
    /// Checks a target.
    ///
    /// # Errors
    /// The clearance that it lacks.
    pub fn check(&self, target: &Target) -> Result<(), NotCleared> {
        let Some((mode, given, now)) = &self.0 else { return Ok(()) };
        clearance::decide(target.host(), *mode, given, *now)
    }
}

impl ScanService {
    /// Checks that the target of a request has the clearance that its mode needs.
    pub(super) async fn check_clearance(&self, project: &ProjectId, request: &ScanRequest) -> Result<(), SubmitError> {
        if self.ports.clearance == ClearanceRule::NotRequired {
            return Ok(());
        }
        let host = request.target.host();
        let given = self.ports.store.clearances.clearances_for(project, host).await?;
        let decision = clearance::decide(host, request.options.mode, &given, self.ports.clock.now());
        decision.map_err(|missing| Denial::NotCleared(missing).into())
    }

    /// Returns the check of the targets of a draft by the clearances of its project. A draft whose
    /// project or mode is invalid, or in which the principal may not submit such scans, has no
    /// check: the submission names the other reason.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn target_check(
        &self,
        context: &RequestContext,
        draft: &ScanRequestDraft,
    ) -> Result<TargetCheck, StoreError> {
        let mode = draft.mode.as_deref().map_or(Ok(ScanMode::Passive), str::parse);
        let (Ok(mode), ClearanceRule::Required) = (mode, self.ports.clearance) else { return Ok(TargetCheck(None)) };
        let Ok(project) = self.project_of(context, draft).await? else { return Ok(TargetCheck(None)) };
        if decide(&context.grants, permission::operation(mode), Some(&project)).is_err() {
            return Ok(TargetCheck(None));
        }
        let given = self.ports.store.clearances.clearances(&project).await?;
        Ok(TargetCheck(Some((mode, given, self.ports.clock.now()))))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::super::{ServicePorts, Services};
    use super::*;
    use crate::live::Client;
    use crate::model::{CancelledBy, ClearanceLevel, Grants, Principal, ProjectRole, ScannerKind};
    use crate::ports::ClearanceStore as _;
    use crate::testing::{Cluster, Script, ScriptedRunner, fixtures};

    /// Services that require clearances.
    fn strict(cluster: &Cluster) -> ScanService {
        let ports = ServicePorts { clearance: ClearanceRule::Required, ..cluster.service_ports() };
        Services::new(ports).scans
    }

    async fn clear(cluster: &Cluster, id: &ProjectId, pattern: &str, level: ClearanceLevel) {
        let clearance = Clearance {
            project: id.clone(),
            pattern: pattern.parse().unwrap(),
            level,
            authorised_by: Principal::System,
            at: cluster.now(),
            until: None,
            text: "contract".into(),
        };
        cluster.store.set_clearance(clearance).await.unwrap();
    }

    fn member(role: ProjectRole) -> RequestContext {
        let grants = Grants::new(None, BTreeMap::from([(ProjectId::default(), role)]));
        RequestContext {
            principal: Principal::User("ana".parse().unwrap()),
            grants: Arc::new(grants),
            ..fixtures::context()
        }
    }

    fn active(target: &str) -> ScanRequestDraft {
        ScanRequestDraft {
            target: target.into(),
            mode: Some("both".into()),
            confirm_active: Some(true),
            ..ScanRequestDraft::default()
        }
    }

    const NOT_CLEARED: &str =
        "this scan needs the clearance `active` for example.com in this project, which an owner of the project gives";

    #[tokio::test(start_paused = true)]
    async fn active_scan_needs_the_role_first_and_then_the_clearance() {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        cluster.snapshots.offered.set(
            &fixtures::offer(ScannerKind::Kast, &["whatweb"]).plugins,
            &Default::default(),
            None,
        );
        let service = strict(&cluster);
        let draft = active("https://example.com/a");
        let refused = async |context: &RequestContext, draft: &ScanRequestDraft| match service
            .submit(context, Client::Local, draft, None)
            .await
            .unwrap_err()
        {
            SubmitError::Denied(denial) => denial.to_string(),
            other => panic!("{other:?}"),
        };
        let role = "this needs the role `operator` in this project";
        assert_eq!(refused(&member(ProjectRole::Scanner), &draft).await, role, "both keys are missing");
        assert_eq!(refused(&member(ProjectRole::Operator), &draft).await, NOT_CLEARED);
        assert_eq!(refused(&fixtures::context(), &draft).await, NOT_CLEARED, "the command line needs it too");
        clear(&cluster, &"other".parse().unwrap(), "example.com", ClearanceLevel::Active).await;
        assert_eq!(refused(&member(ProjectRole::Owner), &draft).await, NOT_CLEARED, "that is another project");
        clear(&cluster, &ProjectId::default(), "example.com", ClearanceLevel::Active).await;
        assert_eq!(refused(&member(ProjectRole::Scanner), &draft).await, role, "the other key is there");
        let accepted = service.submit(&member(ProjectRole::Operator), Client::Local, &draft, None).await.unwrap();
        assert!(accepted.created);
        // Without accounts, the confirmation is enough.
        cluster.service.submit(&fixtures::context(), Client::Local, &active("other.test"), None).await.unwrap();
        let passive = ScanRequestDraft { target: "example.com".into(), ..ScanRequestDraft::default() };
        clear(&cluster, &ProjectId::default(), "example.com", ClearanceLevel::None).await;
        let text = NOT_CLEARED.replace("`active`", "`passive`");
        assert_eq!(refused(&member(ProjectRole::Owner), &passive).await, text);
    }

    #[tokio::test(start_paused = true)]
    async fn rerun_needs_the_clearance_that_holds_now() {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        cluster.snapshots.offered.set(
            &fixtures::offer(ScannerKind::Kast, &["whatweb"]).plugins,
            &Default::default(),
            None,
        );
        let (service, context) = (strict(&cluster), member(ProjectRole::Operator));
        clear(&cluster, &ProjectId::default(), "*.com", ClearanceLevel::Active).await;
        let first = service.submit(&context, Client::Local, &active("example.com"), None).await.unwrap();
        let id = first.scan.record.id;
        service.cancel(&context, id, CancelledBy::User).await.unwrap();
        assert!(service.rerun(&context, Client::Local, id, true).await.unwrap().is_some());
        clear(&cluster, &ProjectId::default(), "example.com", ClearanceLevel::Passive).await;
        let refused = service.rerun(&context, Client::Local, id, true).await.unwrap_err();
        assert!(matches!(&refused, SubmitError::Denied(denial) if denial.to_string() == NOT_CLEARED), "{refused:?}");
        assert!(cluster.service.rerun(&context, Client::Local, id, true).await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn targets_of_a_form_are_checked_by_the_clearances_of_its_project() {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let service = strict(&cluster);
        clear(&cluster, &ProjectId::default(), "example.com", ClearanceLevel::Active).await;
        clear(&cluster, &ProjectId::default(), "no.test", ClearanceLevel::None).await;
        let allowed = async |service: &ScanService, context: &RequestContext, draft: &ScanRequestDraft| {
            let check = service.target_check(context, draft).await.unwrap();
            ["example.com", "a.test", "no.test"].map(|target| check.check(&target.parse().unwrap()).is_ok())
        };
        let operator = member(ProjectRole::Operator);
        let passive = ScanRequestDraft::default();
        assert_eq!(allowed(&service, &operator, &active("")).await, [true, false, false]);
        assert_eq!(allowed(&service, &operator, &passive).await, [true, true, false]);
        // The submission names the other reason.
        let (unknown, odd) = (Some("missing".to_owned()), Some("odd".to_owned()));
        assert_eq!(allowed(&service, &member(ProjectRole::Scanner), &active("")).await, [true; 3]);
        assert_eq!(allowed(&service, &operator, &ScanRequestDraft { project: unknown, ..active("") }).await, [true; 3]);
        assert_eq!(allowed(&service, &operator, &ScanRequestDraft { mode: odd, ..active("") }).await, [true; 3]);
        assert_eq!(allowed(&cluster.service, &operator, &active("")).await, [true; 3], "not required");
    }
}
