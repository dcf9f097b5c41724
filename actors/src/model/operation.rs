//! The operations that principals do.

named_enum! {
    /// What a principal wants to do.
    pub enum Operation {
        /// Reads the scans of a project, their results and their files.
        ReadScans = "read_scans",
        /// Submits a scan that runs passive plugins only.
        SubmitPassive = "submit_passive",
        /// Submits a scan that can run active plugins.
        SubmitActive = "submit_active",
        /// Cancels scans, and renders their reports again.
        CancelScans = "cancel_scans",
        /// Deletes scans.
        DeleteScans = "delete_scans",
        /// Reads the members of a project.
        ReadMembers = "read_members",
        /// Changes the members of a project.
        ManageMembers = "manage_members",
        /// Reads the state of the server: its settings, nodes, queue and backups.
        ReadServer = "read_server",
        /// Reads the audit log.
        ReadAudit = "read_audit",
        /// Changes the state of the server: pauses the queue, drains nodes, takes backups.
        ChangeServer = "change_server",
        /// Reads all accounts.
        ReadAccounts = "read_accounts",
        /// Changes accounts, and creates projects.
        ManageAccounts = "manage_accounts",
        /// Reads the clearances of targets in a project.
        ReadClearances = "read_clearances",
        /// Changes the clearances of targets in a project.
        ManageClearances = "manage_clearances",
        /// Creates and revokes public links and shares of scans, and reads which there are.
        ShareScans = "share_scans",
        /// Reads the targets of a project and their findings.
        ReadFindings = "read_findings",
        /// Decides about findings, assigns them and writes comments.
        TriageFindings = "triage_findings",
        /// Changes the tags and notes of targets and scans.
        EditTargets = "edit_targets",
        /// Sets the times within which the findings of a project must be fixed.
        ManageSla = "manage_sla",
    }
}
