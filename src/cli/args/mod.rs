//! The arguments of the commands, and what they ask for: a file for each group of commands.

mod accounts;
mod clearances;
mod cluster;
mod common;
mod compare;
mod data;
mod events;
mod exports;
mod findings;
mod findings_rebuild;
mod links;
mod login;
mod mcp;
mod notes;
mod scan;
mod scans;
mod serve;
mod setup;
mod shares;
mod targets;

use std::ffi::OsString;

pub use accounts::{
    AccountArgs, GrantArgs, LinkIdentityArgs, MembersArgs, ProjectCommand, ProjectCreateArgs, RevokeMemberArgs,
    RightsArgs, RoleArgs, ServiceAccountCommand, ServiceAccountCreateArgs, TokenCommand, TokenCreateArgs,
    TokenListArgs, TokenRevokeArgs, UserCommand, UserCreateArgs, UserMailArgs,
};
pub use clearances::{ClearanceCommand, ClearanceListArgs, ClearanceRemoveArgs, ClearanceSetArgs};
pub use cluster::{DrainArgs, PauseArgs, ResumeArgs};
pub use common::{ConfigArgs, ReadArgs, ScannerArgs, ServerArgs};
pub use compare::CompareArgs;
pub use data::{BackupArgs, BackupsArgs, RestoreArgs};
pub use events::{AuditArgs, AuditCommand, AuditExportArgs, AuditVerifyArgs, DeadLettersCommand, ResendArgs};
pub use exports::FindingExportArgs;
pub use findings::{
    AcceptArgs, AssignArgs, Assignee, CommentArgs, FalsePositiveArgs, FindingArgs, FindingListArgs, FindingsArgs,
    FindingsCommand, SlaArgs,
};
pub use findings_rebuild::FindingsRebuildArgs;
pub use links::{LinkCommand, LinkCreateArgs, LinkListArgs, LinkRevokeArgs};
pub use login::{LoginArgs, LogoutArgs};
pub use mcp::McpArgs;
pub use notes::{ScanNoteArgs, ScanTagArgs};
pub use scan::ScanArgs;
pub use scans::{ListArgs, OneScanArgs};
pub use serve::{ReadyArgs, ServeArgs, WorkerArgs};
pub use setup::{CompletionsArgs, ConfigCommand, DoctorArgs, ManArgs, PluginsArgs};
pub use shares::{ShareCommand, ShareCreateArgs, ShareListArgs, ShareRevokeArgs, TransferArgs};
pub use targets::{
    TagChange, TargetArgs, TargetCheckArgs, TargetCommand, TargetListArgs, TargetNoteArgs, TargetTagArgs, WantedTarget,
};

/// The arguments of the built-in scanner, with a program name before them, if the command line asks
/// for it.
///
/// Looked at before the command line is parsed, so that nothing of what is the scanner's is taken
/// for ours.
#[must_use]
pub fn scanner_arguments(args: &[OsString]) -> Option<Vec<OsString>> {
    let [_, command, rest @ ..] = args else { return None };
    (command == "scanner")
        .then(|| std::iter::once(OsString::from("kastrel scanner")).chain(rest.iter().cloned()).collect())
}

#[cfg(test)]
mod tests;
