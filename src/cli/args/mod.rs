//! The arguments of the commands, and what they ask for: a file for each group of commands.

mod accounts;
mod clearances;
mod cluster;
mod common;
mod data;
mod events;
mod links;
mod login;
mod scan;
mod scans;
mod serve;
mod setup;
mod shares;

use std::ffi::OsString;

pub use accounts::{
    AccountArgs, GrantArgs, LinkIdentityArgs, MembersArgs, ProjectCommand, ProjectCreateArgs, RevokeMemberArgs,
    RightsArgs, RoleArgs, ServiceAccountCommand, ServiceAccountCreateArgs, TokenCommand, TokenCreateArgs,
    TokenListArgs, TokenRevokeArgs, UserCommand, UserCreateArgs, UserMailArgs,
};
pub use clearances::{ClearanceCommand, ClearanceListArgs, ClearanceRemoveArgs, ClearanceSetArgs};
pub use cluster::{DrainArgs, PauseArgs, ResumeArgs};
pub use common::{ConfigArgs, ReadArgs, ScannerArgs, ServerArgs};
pub use data::{BackupArgs, BackupsArgs, RestoreArgs};
pub use events::{AuditArgs, AuditCommand, AuditExportArgs, AuditVerifyArgs, DeadLettersCommand, ResendArgs};
pub use links::{LinkCommand, LinkCreateArgs, LinkListArgs, LinkRevokeArgs};
pub use login::{LoginArgs, LogoutArgs};
pub use scan::ScanArgs;
pub use scans::{ListArgs, OneScanArgs};
pub use serve::{ReadyArgs, ServeArgs, WorkerArgs};
pub use setup::{ConfigCommand, DoctorArgs, PluginsArgs};
pub use shares::{ShareCommand, ShareCreateArgs, ShareListArgs, ShareRevokeArgs, TransferArgs};

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
