//! The times to fix of projects, and the tags and notes of scans.

use kastrel_actors::model::{Operation, ProjectId, RequestContext, ScanId, ScanNotes};
use kastrel_actors::policy::access::{Denial, decide};
use kastrel_actors::service::CommandError;
use kastrel_findings::lifecycle::SlaPolicy;

use super::fields::{MOST_NOTE_CHARS, lines, tags, wrong};
use super::service::FindingService;

/// The longest time to fix in days.
const MOST_DAYS: u32 = 3_650;

impl FindingService {
    /// Returns the times within which the findings of a project must be fixed. Empty if it has
    /// none.
    ///
    /// # Errors
    /// The principal may not see the project or it does not exist, or a failure of the store.
    pub async fn sla_policy(&self, context: &RequestContext, project: &ProjectId) -> Result<SlaPolicy, CommandError> {
        self.allow_in(context, Operation::ReadFindings, project).await?;
        Ok(self.store.sla_policy(project).await?)
    }

    /// Sets the times within which the findings of a project must be fixed. The same times again
    /// change nothing.
    ///
    /// # Errors
    /// The principal may not see the project or it does not exist, it lacks
    /// [`Operation::ManageSla`], a number of days is not 1 to 3,650 (the field is the name of the
    /// severity), or a failure of the store.
    pub async fn set_sla_policy(
        &self,
        context: &RequestContext,
        project: &ProjectId,
        policy: SlaPolicy,
    ) -> Result<(), CommandError> {
        self.allow_in(context, Operation::ManageSla, project).await?;
        if let Some((severity, _)) = policy.days.iter().find(|(_, days)| !(1..=MOST_DAYS).contains(*days)) {
            return Err(wrong(severity.name(), format!("expected 1 to {MOST_DAYS} days")));
        }
        if self.store.sla_policy(project).await? != policy {
            self.store.set_sla_policy(project, policy, &context.principal).await?;
            self.index.forget_policies();
        }
        Ok(())
    }

    /// Returns the tags and notes of a scan; `None` if there is no such scan, or if the principal
    /// may not read its project. A share or a link of a scan does not show them: they are the
    /// team's.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn scan_notes(&self, context: &RequestContext, scan: ScanId) -> Result<Option<ScanNotes>, CommandError> {
        let Some(seen) = self.scans.scan(context, scan).await? else { return Ok(None) };
        if decide(&context.grants, Operation::ReadFindings, Some(&seen.record.project)).is_err() {
            return Ok(None);
        }
        Ok(Some(self.store.scan_notes(scan).await?))
    }

    /// Sets the tags and notes of a scan. Returns `false` if there is no such scan, or if the
    /// principal may not see it. The same ones again change nothing.
    ///
    /// # Errors
    /// A field is invalid (`tags`, `notes`), the principal lacks [`Operation::EditTargets`], or a
    /// failure of the store.
    pub async fn set_scan_notes(
        &self,
        context: &RequestContext,
        scan: ScanId,
        notes: ScanNotes,
    ) -> Result<bool, CommandError> {
        let is_visible = self.scans.scan(context, scan).await?.is_some();
        if !is_visible || !self.scans.authorize(context, scan, Operation::EditTargets).await? {
            return Ok(false);
        }
        let notes = ScanNotes { tags: tags(&notes.tags)?, notes: lines("notes", &notes.notes, MOST_NOTE_CHARS)? };
        if self.store.scan_notes(scan).await? == notes {
            return Ok(true);
        }
        Ok(self.store.set_scan_notes(scan, notes, &context.principal).await?)
    }

    /// Decides about an operation in a project that must exist. A role in all projects says nothing
    /// about whether one exists.
    async fn allow_in(
        &self,
        context: &RequestContext,
        operation: Operation,
        project: &ProjectId,
    ) -> Result<(), CommandError> {
        decide(&context.grants, operation, Some(project))?;
        let exists = project.is_default() || self.access.projects().await?.iter().any(|known| known.id == *project);
        if exists { Ok(()) } else { Err(Denial::NotVisible.into()) }
    }
}
