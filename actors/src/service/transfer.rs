//! Transfers of scans to other projects.

use super::error::CommandError;
use super::scans::ScanService;
use crate::model::{Command, FieldError, Operation, RequestContext, ScanId, ScanRecord};
use crate::policy::access::{decide, decide_scan};
use crate::policy::permission;
use crate::policy::transition::Refusal;
use crate::ports::Applied;

/// The field that names the destination of a transfer.
const PROJECT: &str = "project";

/// How often a transfer is decided again because somebody else has just transferred the scan.
const TRIES: usize = 3;

/// The result of a transfer.
#[derive(Debug, Clone)]
pub enum TransferOutcome {
    /// The scan is in the other project. Its public links and shares have ended.
    Transferred(ScanRecord),
    /// The scan has not ended.
    NotEnded(ScanRecord),
    /// There is no such scan, or the principal may not see it.
    Missing,
}

impl ScanService {
    /// Transfers a scan that has ended to the project with this id. The principal needs
    /// [`Operation::DeleteScans`] in the scan's project, and the right to submit such a scan in the
    /// other one.
    ///
    /// # Errors
    /// The principal lacks a right, the field `project` is invalid (there is no such project, the
    /// principal may not see it, or the scan is in it), or the store fails.
    pub async fn transfer(
        &self,
        context: &RequestContext,
        id: ScanId,
        project: &str,
    ) -> Result<TransferOutcome, CommandError> {
        for _ in 0..TRIES {
            // The row itself: a snapshot can have the project from before another transfer.
            let Some(record) = self.ports.store.scans.get(id).await? else { return Ok(TransferOutcome::Missing) };
            if decide_scan(&context.grants, Operation::ReadScans, &record).is_err() {
                return Ok(TransferOutcome::Missing);
            }
            decide_scan(&context.grants, Operation::DeleteScans, &record)?;
            let to = self.named_project(context, project).await??;
            if to == record.project {
                return Err(FieldError::new(PROJECT, "the scan is in this project").into());
            }
            decide(&context.grants, permission::operation(record.request.options.mode), Some(&to))?;
            let from = record.project;
            let command = Command::Transfer { from: from.clone(), to, principal: context.principal.clone() };
            match self.ports.store.scans.apply(id, command).await? {
                Applied::Missing => return Ok(TransferOutcome::Missing),
                Applied::Committed(record) => {
                    // The change log may not know the scan, and its readers of both projects get
                    // the change.
                    self.ports.snapshots.changes().note(id, Some(&from));
                    self.publish(record.clone());
                    return Ok(TransferOutcome::Transferred(record));
                }
                Applied::Refused(Refusal::NotEnded(_), record) => return Ok(TransferOutcome::NotEnded(record)),
                Applied::Refused(..) => {}
            }
        }
        Err(FieldError::new(PROJECT, "somebody else transfers the scan at this moment; try again").into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::live::Client;
    use crate::model::{
        CancelledBy, Deleted, DomainEvent, Grants, Principal, Project, ProjectId, ProjectRole, ScanRequestDraft,
        ScanStatus,
    };
    use crate::policy::access::Denial;
    use crate::ports::{AccessStore as _, AuditLog as _};
    use crate::testing::{Cluster, Script, ScriptedRunner, fixtures};

    fn project(id: &str) -> ProjectId {
        id.parse().unwrap()
    }

    async fn cluster() -> Cluster {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let web = Project { id: project("web"), title: "Web".into(), created_at: cluster.now() };
        assert!(cluster.store.create_project(web, &Principal::System).await.unwrap());
        cluster
    }

    /// The context of `ana` with these roles.
    fn ana(roles: &[(&str, ProjectRole)]) -> RequestContext {
        let roles: BTreeMap<_, _> = roles.iter().map(|(id, role)| (project(id), *role)).collect();
        RequestContext {
            principal: Principal::User("ana".parse().unwrap()),
            grants: Arc::new(Grants::new(None, roles)),
            ..fixtures::context()
        }
    }

    /// Submits a scan in the default project.
    async fn queued(cluster: &Cluster) -> ScanId {
        let draft = ScanRequestDraft { target: "example.com".into(), ..ScanRequestDraft::default() };
        let accepted = cluster.service.submit(&fixtures::context(), Client::Local, &draft, None).await.unwrap();
        accepted.scan.record.id
    }

    async fn ended(cluster: &Cluster) -> ScanId {
        let id = queued(cluster).await;
        cluster.service.cancel(&fixtures::context(), id, CancelledBy::User).await.unwrap();
        id
    }

    const BOTH: [(&str, ProjectRole); 2] = [("default", ProjectRole::Operator), ("web", ProjectRole::Scanner)];

    #[tokio::test(start_paused = true)]
    async fn transferred_scan_is_one_of_the_other_project_at_once() {
        let cluster = cluster().await;
        let id = ended(&cluster).await;
        let before = cluster.service.changes_since(&fixtures::context(), 0).revision;
        let outcome = cluster.service.transfer(&ana(&BOTH), id, "web").await.unwrap();
        let TransferOutcome::Transferred(record) = outcome else { panic!("{outcome:?}") };
        assert_eq!((&record.project, record.status()), (&project("web"), ScanStatus::Cancelled));
        let (source, other) = (ana(&[("default", ProjectRole::Owner)]), ana(&[("web", ProjectRole::Viewer)]));
        assert!(cluster.service.scan(&source, id).await.unwrap().is_none());
        assert!(cluster.service.scan(&other, id).await.unwrap().is_some());
        for (context, count) in [(&source, 0), (&other, 1)] {
            assert_eq!(cluster.services.reporting.stats(context).await.unwrap().cancelled, count);
            let changed = cluster.service.changes_since(context, before);
            assert_eq!(changed.scans, [id], "the lists of both projects change");
        }
        let last = cluster.store.audit(&crate::model::AuditQuery::of_scan(id, 1)).await.unwrap().entries.remove(0);
        assert_eq!(last.principal, ana(&BOTH).principal);
        let DomainEvent::ScanTransferred { from, to, .. } = last.event else { panic!("{:?}", last.event) };
        assert_eq!((from, to), (ProjectId::default(), project("web")));
    }

    #[tokio::test(start_paused = true)]
    async fn transfer_needs_a_right_in_each_project() {
        let cluster = cluster().await;
        let id = ended(&cluster).await;
        for (roles, expected) in [
            (vec![("web", ProjectRole::Owner)], "missing"),
            (vec![("default", ProjectRole::Scanner), ("web", ProjectRole::Owner)], "denied"),
            (vec![("default", ProjectRole::Owner), ("web", ProjectRole::Viewer)], "denied"),
            (vec![("default", ProjectRole::Owner)], "no project"),
        ] {
            let found = match cluster.service.transfer(&ana(&roles), id, "web").await {
                Ok(TransferOutcome::Missing) => "missing",
                Err(CommandError::Denied(Denial::Lacks { .. })) => "denied",
                Err(CommandError::Invalid(error)) if error.message == "there is no such project" => "no project",
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected, "{roles:?}");
        }
        for (name, message) in [
            ("default", "the scan is in this project"),
            ("nowhere", "there is no such project"),
            ("", "there is no such project"),
            ("A b", "there is no such project"),
        ] {
            let refused = cluster.service.transfer(&fixtures::context(), id, name).await.unwrap_err();
            assert_eq!(refused.to_string(), format!("{PROJECT}: {message}"), "{name}");
        }
        let there = cluster.service.scan(&fixtures::context(), id).await.unwrap().unwrap();
        assert!(there.record.project.is_default());
    }

    #[tokio::test(start_paused = true)]
    async fn scan_that_has_not_ended_is_not_transferred() {
        let cluster = cluster().await;
        let id = queued(&cluster).await;
        let outcome = cluster.service.transfer(&ana(&BOTH), id, "web").await.unwrap();
        assert!(matches!(&outcome, TransferOutcome::NotEnded(record) if record.id == id), "{outcome:?}");
        let missing = cluster.service.transfer(&ana(&BOTH), ScanId(99), "web").await.unwrap();
        assert!(matches!(missing, TransferOutcome::Missing), "{missing:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn process_that_did_not_know_the_scan_tells_the_readers_of_both_projects() {
        let cluster = cluster().await;
        let id = ended(&cluster).await;
        let other = cluster.services_elsewhere().scans;
        let before = other.changes_since(&fixtures::context(), 0).revision;
        other.transfer(&ana(&BOTH), id, "web").await.unwrap();
        for project in ["default", "web"] {
            let changed = other.changes_since(&ana(&[(project, ProjectRole::Viewer)]), before);
            assert_eq!(changed.scans, [id], "{project}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn scan_that_another_process_transferred_is_not_deleted_by_the_earlier_project() {
        let cluster = cluster().await;
        let id = ended(&cluster).await;
        let (other, owner) = (cluster.services_elsewhere().scans, ana(&[("default", ProjectRole::Owner)]));
        assert!(other.scan(&owner, id).await.unwrap().is_some());
        cluster.service.transfer(&ana(&BOTH), id, "web").await.unwrap();
        assert!(other.scan(&owner, id).await.unwrap().is_some(), "its snapshot is from before the transfer");
        assert!(matches!(other.delete_row(&owner, id).await.unwrap(), Deleted::Missing));
        assert!(cluster.service.scan(&fixtures::context(), id).await.unwrap().is_some());
    }
}
