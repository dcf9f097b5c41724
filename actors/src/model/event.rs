//! What happened to a scan or to the queue: the events of commands and of ends of attempts, and the
//! entries that a store keeps of them.

use std::time::Duration;

use jiff::Timestamp;
use kastrel_findings::identity::{FindingId, TargetId};
use serde::{Deserialize, Serialize};

use super::{
    AccountKind, AccountName, CancelledBy, ClearanceLevel, DeviceDecision, DeviceLogin, FencingToken, Grantee,
    HostPattern, NodeId, PasskeyId, Principal, ProjectId, ProjectRole, PublicLinkId, ScanId, ScanStatus, ServerRole,
    Session, ShareRight, TokenId, TriageKind,
};

/// Something that was committed. The store writes it in the transaction of the change itself: as an
/// entry of the audit log, and as an entry of the outbox if a consumer wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum DomainEvent {
    /// A scan was accepted.
    ScanSubmitted {
        /// The scan that it repeats.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rerun_of: Option<ScanId>,
    },
    /// The cancel of a running scan was requested.
    CancelRequested {
        /// The origin of the request.
        by: CancelledBy,
    },
    /// An attempt ended, and the scan waits for another one.
    AttemptEnded {
        /// The token of the attempt.
        token: FencingToken,
        /// The node that ran it.
        node: NodeId,
    },
    /// A scan ended, with its last attempt or before the first.
    ScanEnded {
        /// Its state.
        status: ScanStatus,
        /// The time of the end.
        at: Timestamp,
        /// Its project.
        #[serde(default, skip_serializing_if = "ProjectId::is_default")]
        project: ProjectId,
    },
    /// A scan that had ended was deleted.
    ScanDeleted {
        /// The state in which it ended.
        status: ScanStatus,
        /// The time of its end.
        at: Timestamp,
        /// Its project.
        #[serde(default, skip_serializing_if = "ProjectId::is_default")]
        project: ProjectId,
    },
    /// A scan that had ended was transferred to another project.
    ScanTransferred {
        /// The state in which it ended.
        status: ScanStatus,
        /// The time of its end.
        at: Timestamp,
        /// Its project before.
        from: ProjectId,
        /// Its project now.
        to: ProjectId,
    },
    /// The queue was paused.
    QueuePaused {
        /// The reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The pause of the queue was ended.
    QueueResumed,
    /// A node was ordered to drain.
    DrainOrdered {
        /// The node.
        node: NodeId,
        /// The time limit, in milliseconds.
        within_ms: u64,
    },
    /// The order to drain a node was revoked.
    DrainRevoked {
        /// The node.
        node: NodeId,
    },
    /// A dead letter of a scan was sent again.
    DeadLetterResent {
        /// The version in the key of the dead letter.
        version: u64,
    },
    /// An account was created.
    AccountCreated {
        /// The account.
        account: AccountName,
        /// What it belongs to.
        kind: AccountKind,
        /// Its role on the server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<ServerRole>,
    },
    /// An account was disabled.
    AccountDisabled {
        /// The account.
        account: AccountName,
    },
    /// A disabled account was enabled again.
    AccountEnabled {
        /// The account.
        account: AccountName,
    },
    /// The role of an account on the server was changed.
    ServerRoleChanged {
        /// The account.
        account: AccountName,
        /// Its role now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<ServerRole>,
    },
    /// The password of an account was changed.
    PasswordChanged {
        /// The account.
        account: AccountName,
    },
    /// A one-time link was made with which the password of an account can be set.
    PasswordLinkCreated {
        /// The account.
        account: AccountName,
    },
    /// A one-time link was mailed with which the password of an account can be set.
    PasswordLinkMailed {
        /// The account.
        account: AccountName,
        /// The network address of the client that requested it on the login page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
    },
    /// A new mail address of an account was entered. It counts when it is confirmed.
    MailRequested {
        /// The account.
        account: AccountName,
    },
    /// The mail address of an account was changed or removed.
    MailChanged {
        /// The account.
        account: AccountName,
    },
    /// A project was created.
    ProjectCreated {
        /// The project.
        project: ProjectId,
    },
    /// The role of a member of a project was changed.
    MemberChanged {
        /// The project.
        project: ProjectId,
        /// The member.
        account: AccountName,
        /// Its role now; none if it is not a member any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<ProjectRole>,
    },
    /// Somebody signed in.
    SignedIn {
        /// The account.
        account: AccountName,
        /// The network address of the client.
        address: String,
    },
    /// Somebody tried to sign in, with a wrong password or a wrong code, or to an account that
    /// cannot sign in.
    SignInFailed {
        /// The account, if there is one of the given name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<AccountName>,
        /// The network address of the client.
        address: String,
    },
    /// Somebody signed in with the identity provider.
    SignedInWithProvider {
        /// The account.
        account: AccountName,
        /// The network address of the client.
        address: String,
    },
    /// A sign-in with the identity provider was refused.
    ProviderSignInFailed {
        /// The account, if the person has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<AccountName>,
        /// The reason, in our own words.
        reason: String,
        /// The network address of the client.
        address: String,
    },
    /// An identity of the provider was linked to an account: its person signs in to it.
    IdentityLinked {
        /// The account.
        account: AccountName,
        /// The issuer of the identity.
        issuer: String,
        /// The id of the person at the issuer.
        subject: String,
    },
    /// The identity of an account was unlinked.
    IdentityUnlinked {
        /// The account.
        account: AccountName,
    },
    /// Sessions of an account were ended.
    SessionsEnded {
        /// The account.
        account: AccountName,
        /// How many.
        count: u64,
    },
    /// An API token was created.
    TokenCreated {
        /// Its account.
        account: AccountName,
        /// The token.
        token: TokenId,
    },
    /// An API token was revoked.
    TokenRevoked {
        /// Its account.
        account: AccountName,
        /// The token.
        token: TokenId,
    },
    /// A principal was denied an operation.
    AccessDenied {
        /// The name of the operation.
        operation: String,
        /// The project, if the operation is in one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        project: Option<ProjectId>,
    },
    /// A list of scans was exported.
    ScansExported,
    /// Findings of a scan or of targets were exported.
    FindingsExported,
    /// A file or an archive of a scan was downloaded.
    FilesDownloaded,
    /// A backup was downloaded.
    BackupDownloaded,
    /// The clearance of hosts was set in a project.
    ClearanceSet {
        /// The project.
        project: ProjectId,
        /// The hosts.
        pattern: HostPattern,
        /// What may be done to them.
        level: ClearanceLevel,
        /// When the level ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// Who gave the permission, and where that is written. Empty if nothing was entered.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        text: String,
    },
    /// The clearance of hosts was removed from a project.
    ClearanceRemoved {
        /// The project.
        project: ProjectId,
        /// The hosts.
        pattern: HostPattern,
    },
    /// The audit log was exported.
    AuditExported,
    /// Entries of the audit log were deleted because of their age.
    AuditPruned {
        /// The last seal whose entries were deleted.
        through: u64,
        /// How many entries.
        entries: u64,
    },
    /// A second factor was added to an account.
    SecondFactorAdded {
        /// The account.
        account: AccountName,
    },
    /// The second factor of an account was removed, with its recovery codes.
    SecondFactorRemoved {
        /// The account.
        account: AccountName,
    },
    /// A recovery code was used in place of the second factor.
    RecoveryCodeUsed {
        /// The account.
        account: AccountName,
    },
    /// The recovery codes of an account were replaced.
    RecoveryCodesCreated {
        /// The account.
        account: AccountName,
    },
    /// A passkey was added to an account.
    PasskeyAdded {
        /// The account.
        account: AccountName,
        /// The passkey.
        passkey: PasskeyId,
    },
    /// A passkey got another label.
    PasskeyRenamed {
        /// The account.
        account: AccountName,
        /// The passkey.
        passkey: PasskeyId,
    },
    /// A passkey was removed from an account.
    PasskeyRemoved {
        /// The account.
        account: AccountName,
        /// The passkey.
        passkey: PasskeyId,
    },
    /// A sign-in was made with a passkey.
    PasskeyUsed {
        /// The account.
        account: AccountName,
        /// The passkey.
        passkey: PasskeyId,
    },
    /// A right signature of a passkey was refused because its counter went back: there may be a
    /// copy of it.
    PasskeyRefused {
        /// The account.
        account: AccountName,
        /// The passkey.
        passkey: PasskeyId,
    },

    /// An account allowed a command line to have a token.
    DeviceLoginAllowed {
        /// The account.
        account: AccountName,
        /// The machine, in the words of the command line.
        label: String,
        /// The network address of the command line.
        address: String,
    },
    /// An account denied a command line a token.
    DeviceLoginDenied {
        /// The account.
        account: AccountName,
        /// The machine, in the words of the command line.
        label: String,
        /// The network address of the command line.
        address: String,
    },
    /// A public link of a scan was created.
    PublicLinkCreated {
        /// The link.
        link: PublicLinkId,
        /// When it expires.
        expires_at: Timestamp,
    },
    /// A public link of a scan was revoked.
    PublicLinkRevoked {
        /// The link.
        link: PublicLinkId,
    },
    /// A scan was opened by its public link.
    PublicLinkOpened {
        /// The link.
        link: PublicLinkId,
        /// The network address of the client.
        address: String,
    },
    /// A wrong password was entered for a public link.
    PublicLinkRefused {
        /// The link.
        link: PublicLinkId,
        /// The network address of the client.
        address: String,
    },
    /// A scan was shared, or its share with the same grantee was replaced.
    ScanShared {
        /// Who gets the right.
        grantee: Grantee,
        /// The right.
        right: ShareRight,
        /// When the share expires.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    },
    /// A share of a scan was revoked.
    ShareRevoked {
        /// Who had the right.
        grantee: Grantee,
    },
    /// A person changed a finding.
    FindingTriaged {
        /// The project.
        project: ProjectId,
        /// The finding.
        finding: FindingId,
        /// What the person did.
        did: TriageKind,
        /// The reason, or the account to which the finding was given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// The end of an acceptance.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// A person changed the tags or the notes of a target.
    TargetChanged {
        /// The project.
        project: ProjectId,
        /// The target.
        target: TargetId,
    },
    /// A person changed the tags or the notes of a scan.
    ScanNotesChanged,
    /// The times within which the findings of a project must be fixed were set.
    SlaPolicySet {
        /// The project.
        project: ProjectId,
    },
}

/// Why a stored event cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event cannot be read: {reason}")]
pub struct EventError {
    /// The reason, for people.
    pub reason: String,
    /// True if the event has an action that this version does not know: a newer version wrote it
    /// and can read it.
    pub is_of_newer_version: bool,
}

impl Session {
    /// Returns the event of the sign-in.
    #[must_use]
    pub fn signed_in(&self) -> DomainEvent {
        let (account, address) = (self.account.clone(), self.address.clone());
        if self.with_provider {
            DomainEvent::SignedInWithProvider { account, address }
        } else {
            DomainEvent::SignedIn { account, address }
        }
    }
}

impl DomainEvent {
    /// The names of all actions.
    pub const ACTIONS: [&'static str; 61] = [
        "scan_submitted",
        "cancel_requested",
        "attempt_ended",
        "scan_ended",
        "scan_deleted",
        "scan_transferred",
        "queue_paused",
        "queue_resumed",
        "drain_ordered",
        "drain_revoked",
        "dead_letter_resent",
        "account_created",
        "account_disabled",
        "account_enabled",
        "server_role_changed",
        "password_changed",
        "password_link_created",
        "password_link_mailed",
        "mail_requested",
        "mail_changed",
        "project_created",
        "member_changed",
        "signed_in",
        "sign_in_failed",
        "signed_in_with_provider",
        "provider_sign_in_failed",
        "identity_linked",
        "identity_unlinked",
        "sessions_ended",
        "token_created",
        "token_revoked",
        "access_denied",
        "scans_exported",
        "findings_exported",
        "files_downloaded",
        "backup_downloaded",
        "clearance_set",
        "clearance_removed",
        "audit_exported",
        "audit_pruned",
        "second_factor_added",
        "second_factor_removed",
        "recovery_code_used",
        "recovery_codes_created",
        "passkey_added",
        "passkey_renamed",
        "passkey_removed",
        "passkey_used",
        "passkey_refused",
        "device_login_allowed",
        "device_login_denied",
        "public_link_created",
        "public_link_revoked",
        "public_link_opened",
        "public_link_refused",
        "scan_shared",
        "share_revoked",
        "finding_triaged",
        "target_changed",
        "scan_notes_changed",
        "sla_policy_set",
    ];

    /// Reads a stored event.
    ///
    /// # Errors
    /// The text is no event of this version.
    pub fn read(text: &str) -> Result<Self, EventError> {
        #[derive(Deserialize)]
        struct Named {
            action: String,
        }
        serde_json::from_str(text).map_err(|error| EventError {
            reason: error.to_string(),
            is_of_newer_version: serde_json::from_str::<Named>(text)
                .is_ok_and(|named| !Self::ACTIONS.contains(&named.action.as_str())),
        })
    }

    /// The event of the decision of an account about a device login.
    #[must_use]
    pub fn of_device_decision(login: &DeviceLogin, account: &AccountName, decision: DeviceDecision) -> Self {
        let (account, label, address) = (account.clone(), login.label.clone(), login.address.clone());
        match decision {
            DeviceDecision::Allow => Self::DeviceLoginAllowed { account, label, address },
            DeviceDecision::Deny => Self::DeviceLoginDenied { account, label, address },
        }
    }

    /// The name of what happened, as in the stored event.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Self::ScanSubmitted { .. } => "scan_submitted",
            Self::CancelRequested { .. } => "cancel_requested",
            Self::AttemptEnded { .. } => "attempt_ended",
            Self::ScanEnded { .. } => "scan_ended",
            Self::ScanDeleted { .. } => "scan_deleted",
            Self::ScanTransferred { .. } => "scan_transferred",
            Self::QueuePaused { .. } => "queue_paused",
            Self::QueueResumed => "queue_resumed",
            Self::DrainOrdered { .. } => "drain_ordered",
            Self::DrainRevoked { .. } => "drain_revoked",
            Self::DeadLetterResent { .. } => "dead_letter_resent",
            Self::AccountCreated { .. } => "account_created",
            Self::AccountDisabled { .. } => "account_disabled",
            Self::AccountEnabled { .. } => "account_enabled",
            Self::ServerRoleChanged { .. } => "server_role_changed",
            Self::PasswordChanged { .. } => "password_changed",
            Self::PasswordLinkCreated { .. } => "password_link_created",
            Self::PasswordLinkMailed { .. } => "password_link_mailed",
            Self::MailRequested { .. } => "mail_requested",
            Self::MailChanged { .. } => "mail_changed",
            Self::ProjectCreated { .. } => "project_created",
            Self::MemberChanged { .. } => "member_changed",
            Self::SignedIn { .. } => "signed_in",
            Self::SignInFailed { .. } => "sign_in_failed",
            Self::SignedInWithProvider { .. } => "signed_in_with_provider",
            Self::ProviderSignInFailed { .. } => "provider_sign_in_failed",
            Self::IdentityLinked { .. } => "identity_linked",
            Self::IdentityUnlinked { .. } => "identity_unlinked",
            Self::SessionsEnded { .. } => "sessions_ended",
            Self::TokenCreated { .. } => "token_created",
            Self::TokenRevoked { .. } => "token_revoked",
            Self::AccessDenied { .. } => "access_denied",
            Self::ScansExported => "scans_exported",
            Self::FindingsExported => "findings_exported",
            Self::FilesDownloaded => "files_downloaded",
            Self::BackupDownloaded => "backup_downloaded",
            Self::ClearanceSet { .. } => "clearance_set",
            Self::ClearanceRemoved { .. } => "clearance_removed",
            Self::AuditExported => "audit_exported",
            Self::AuditPruned { .. } => "audit_pruned",
            Self::SecondFactorAdded { .. } => "second_factor_added",
            Self::SecondFactorRemoved { .. } => "second_factor_removed",
            Self::RecoveryCodeUsed { .. } => "recovery_code_used",
            Self::RecoveryCodesCreated { .. } => "recovery_codes_created",
            Self::PasskeyAdded { .. } => "passkey_added",
            Self::PasskeyRenamed { .. } => "passkey_renamed",
            Self::PasskeyRemoved { .. } => "passkey_removed",
            Self::PasskeyUsed { .. } => "passkey_used",
            Self::PasskeyRefused { .. } => "passkey_refused",
            Self::DeviceLoginAllowed { .. } => "device_login_allowed",
            Self::DeviceLoginDenied { .. } => "device_login_denied",
            Self::PublicLinkCreated { .. } => "public_link_created",
            Self::PublicLinkRevoked { .. } => "public_link_revoked",
            Self::PublicLinkOpened { .. } => "public_link_opened",
            Self::PublicLinkRefused { .. } => "public_link_refused",
            Self::ScanShared { .. } => "scan_shared",
            Self::ShareRevoked { .. } => "share_revoked",
            Self::FindingTriaged { .. } => "finding_triaged",
            Self::TargetChanged { .. } => "target_changed",
            Self::ScanNotesChanged => "scan_notes_changed",
            Self::SlaPolicySet { .. } => "sla_policy_set",
        }
    }
}

/// An entry of the audit log: who did what, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When it was committed, by the store's clock.
    pub at: Timestamp,
    /// Who did it.
    pub principal: Principal,
    /// The scan, if it happened to one.
    pub scan: Option<ScanId>,
    /// What happened.
    pub event: DomainEvent,
}

/// The identity of an entry of the outbox: the scan and the version of its row after the change. No
/// other change has the same, so a consumer can recognize an entry that it has seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxKey {
    /// The scan.
    pub scan: ScanId,
    /// The version of its row after the change.
    pub version: u64,
}

impl std::fmt::Display for OutboxKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.scan, self.version)
    }
}

impl std::str::FromStr for OutboxKey {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scan, version) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self { scan: ScanId(scan.parse()?), version: version.parse()? })
    }
}

/// An entry of the outbox, leased to one relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Its identity.
    pub key: OutboxKey,
    /// What happened.
    pub event: DomainEvent,
    /// How often its delivery has failed.
    pub failures: u32,
    /// The consumers that have already accepted it.
    pub accepted_by: Vec<String>,
}

/// An entry of the outbox whose event cannot be read, leased to one relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableEntry {
    /// Its identity.
    pub key: OutboxKey,
    /// Why its event cannot be read.
    pub error: EventError,
    /// How often its delivery has failed.
    pub failures: u32,
    /// The consumers that have already accepted it.
    pub accepted_by: Vec<String>,
}

/// The entries of one lease.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeasedEntries {
    /// The entries to deliver, in the order of their keys.
    pub entries: Vec<OutboxEntry>,
    /// The entries that no consumer can get.
    pub unreadable: Vec<UnreadableEntry>,
}

impl LeasedEntries {
    /// Adds an entry with the stored text of its event.
    pub fn add(&mut self, key: OutboxKey, event: &str, failures: u32, accepted_by: Vec<String>) {
        match DomainEvent::read(event) {
            Ok(event) => self.entries.push(OutboxEntry { key, event, failures, accepted_by }),
            Err(error) => self.unreadable.push(UnreadableEntry { key, error, failures, accepted_by }),
        }
    }

    /// Returns how many entries were leased.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len() + self.unreadable.len()
    }

    /// Returns true if no entry was leased.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How many events wait for their consumers, and how many were given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryBacklog {
    /// The number of entries in the outbox; counted to 10,000.
    pub waiting: u64,
    /// The age of the oldest of them, by the store's clock; `None` if none waits.
    pub oldest: Option<Duration>,
    /// The number of dead letters; counted to 10,000.
    pub dead_letters: u64,
}

/// An entry that was given up after many tries, or at once because no try can succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its identity.
    pub key: OutboxKey,
    /// What happened; `None` if this version cannot read it.
    pub event: Option<DomainEvent>,
    /// The event as it is stored.
    pub text: String,
    /// When it was given up, by the store's clock.
    pub at: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// The consumer that failed, and why; for people.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_event_has_its_action_and_is_read_as_it_was_written() {
        let at = Timestamp::UNIX_EPOCH;
        let node: NodeId = "a".parse().unwrap();
        let account = || "ana".parse::<AccountName>().unwrap();
        let token = || "a1B2c3D4e5".parse::<TokenId>().unwrap();
        let link = || "a1B2c3D4e5".parse::<PublicLinkId>().unwrap();
        let passkey = || "0123456789abcdef0123456789abcdef".parse::<PasskeyId>().unwrap();
        for event in [
            DomainEvent::ScanSubmitted { rerun_of: Some(ScanId(7)) },
            DomainEvent::CancelRequested { by: CancelledBy::User },
            DomainEvent::AttemptEnded { token: FencingToken(2), node: node.clone() },
            DomainEvent::ScanEnded { status: ScanStatus::Failed, at, project: ProjectId::default() },
            DomainEvent::ScanDeleted { status: ScanStatus::Completed, at, project: "team".parse().unwrap() },
            DomainEvent::QueuePaused { reason: None },
            DomainEvent::QueueResumed,
            DomainEvent::DrainOrdered { node: node.clone(), within_ms: 5 },
            DomainEvent::DrainRevoked { node },
            DomainEvent::DeadLetterResent { version: 3 },
            DomainEvent::AccountCreated { account: account(), kind: AccountKind::User, role: Some(ServerRole::Admin) },
            DomainEvent::AccountDisabled { account: account() },
            DomainEvent::AccountEnabled { account: account() },
            DomainEvent::ServerRoleChanged { account: account(), role: None },
            DomainEvent::PasswordChanged { account: account() },
            DomainEvent::PasswordLinkCreated { account: account() },
            DomainEvent::PasswordLinkMailed { account: account(), address: Some("::1".into()) },
            DomainEvent::PasswordLinkMailed { account: account(), address: None },
            DomainEvent::MailRequested { account: account() },
            DomainEvent::MailChanged { account: account() },
            DomainEvent::ProjectCreated { project: ProjectId::default() },
            DomainEvent::MemberChanged {
                project: ProjectId::default(),
                account: account(),
                role: Some(ProjectRole::Owner),
            },
            DomainEvent::SignedIn { account: account(), address: "::1".into() },
            DomainEvent::SignInFailed { account: None, address: "::1".into() },
            DomainEvent::SignedInWithProvider { account: account(), address: "::1".into() },
            DomainEvent::ProviderSignInFailed { account: None, reason: "refused".into(), address: "::1".into() },
            DomainEvent::IdentityLinked {
                account: account(),
                issuer: "https://id.example".into(),
                subject: "7".into(),
            },
            DomainEvent::IdentityUnlinked { account: account() },
            DomainEvent::SessionsEnded { account: account(), count: 2 },
            DomainEvent::TokenCreated { account: account(), token: token() },
            DomainEvent::TokenRevoked { account: account(), token: token() },
            DomainEvent::AccessDenied { operation: "delete_scans".into(), project: Some(ProjectId::default()) },
            DomainEvent::ScansExported,
            DomainEvent::FindingsExported,
            DomainEvent::FilesDownloaded,
            DomainEvent::BackupDownloaded,
            DomainEvent::ClearanceSet {
                project: ProjectId::default(),
                pattern: "*.example.com".parse().unwrap(),
                level: ClearanceLevel::Active,
                until: Some(at),
                text: "Contract 7".into(),
            },
            DomainEvent::ClearanceRemoved { project: ProjectId::default(), pattern: "[::1]".parse().unwrap() },
            DomainEvent::AuditExported,
            DomainEvent::AuditPruned { through: 7, entries: 40 },
            DomainEvent::SecondFactorAdded { account: account() },
            DomainEvent::SecondFactorRemoved { account: account() },
            DomainEvent::RecoveryCodeUsed { account: account() },
            DomainEvent::RecoveryCodesCreated { account: account() },
            DomainEvent::PasskeyAdded { account: account(), passkey: passkey() },
            DomainEvent::PasskeyRenamed { account: account(), passkey: passkey() },
            DomainEvent::PasskeyRemoved { account: account(), passkey: passkey() },
            DomainEvent::PasskeyUsed { account: account(), passkey: passkey() },
            DomainEvent::PasskeyRefused { account: account(), passkey: passkey() },
            DomainEvent::DeviceLoginAllowed { account: account(), label: "laptop".into(), address: "::1".into() },
            DomainEvent::DeviceLoginDenied { account: account(), label: String::new(), address: "::1".into() },
            DomainEvent::PublicLinkCreated { link: link(), expires_at: at },
            DomainEvent::PublicLinkRevoked { link: link() },
            DomainEvent::PublicLinkOpened { link: link(), address: "::1".into() },
            DomainEvent::PublicLinkRefused { link: link(), address: "::1".into() },
            DomainEvent::ScanShared {
                grantee: "user:ana".parse().unwrap(),
                right: ShareRight::Edit,
                expires_at: Some(at),
            },
            DomainEvent::ShareRevoked { grantee: "project:team".parse().unwrap() },
            DomainEvent::FindingTriaged {
                project: ProjectId::default(),
                finding: "0123456789abcdef0123".parse().unwrap(),
                did: TriageKind::Accepted,
                text: Some("known".into()),
                until: Some(at),
            },
            DomainEvent::TargetChanged { project: ProjectId::default(), target: "0123456789abcdef".parse().unwrap() },
            DomainEvent::ScanNotesChanged,
            DomainEvent::SlaPolicySet { project: ProjectId::default() },
            DomainEvent::ScanTransferred {
                status: ScanStatus::Failed,
                at,
                from: ProjectId::default(),
                to: "team".parse().unwrap(),
            },
        ] {
            let json = serde_json::to_value(&event).unwrap();
            assert_eq!(json["action"], event.action());
            assert!(DomainEvent::ACTIONS.contains(&event.action()), "{event:?}");
            assert_eq!(DomainEvent::read(&json.to_string()), Ok(event));
        }
    }

    #[test]
    fn event_of_an_earlier_version_is_of_the_default_project() {
        let at = Timestamp::UNIX_EPOCH;
        let text = r#"{"action":"scan_ended","status":"failed","at":"1970-01-01T00:00:00Z"}"#;
        let event = DomainEvent::ScanEnded { status: ScanStatus::Failed, at, project: ProjectId::default() };
        assert_eq!(DomainEvent::read(text).as_ref(), Ok(&event));
        assert_eq!(serde_json::to_string(&event).unwrap(), text, "and stays readable for it");
    }

    #[test]
    fn unreadable_event_is_damaged_or_of_a_newer_version() {
        for (text, is_of_newer_version) in [
            ("", false),
            ("{", false),
            ("[]", false),
            (r#"{"status":"failed"}"#, false),
            (r#"{"action":"scan_ended"}"#, false),
            (r#"{"action":"scan_moved"}"#, true),
        ] {
            let error = DomainEvent::read(text).unwrap_err();
            assert_eq!(error.is_of_newer_version, is_of_newer_version, "{text}");
            assert!(error.to_string().starts_with("the event cannot be read: "), "{error}");
        }
    }

    #[test]
    fn outbox_key_is_read_as_it_is_shown() {
        let key = OutboxKey { scan: ScanId(12), version: 3 };
        assert_eq!((key.to_string().as_str(), "12-3".parse()), ("12-3", Ok(key)));
        for wrong in ["", "12", "12-", "-3", "12-3-4", "a-b"] {
            assert!(wrong.parse::<OutboxKey>().is_err(), "{wrong}");
        }
    }
}
