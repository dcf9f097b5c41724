//! Domain events in words, for pages and terminals.

use super::{AccountKind, DomainEvent, Grantee, ProjectId, TriageKind};

impl DomainEvent {
    /// Returns what happened, as a sentence without a full stop. It does not name the scan, the
    /// principal and the address, which have places of their own. A reason that somebody typed is
    /// part of it, so the text can have any characters.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::ScanSubmitted { rerun_of: None } => "Scan submitted".into(),
            Self::ScanSubmitted { rerun_of: Some(scan) } => format!("Scan submitted as a re-run of scan {scan}"),
            Self::CancelRequested { .. } => "Cancel of the scan requested".into(),
            Self::AttemptEnded { node, .. } => format!("Attempt ended on node {node}; the scan waits for another one"),
            Self::ScanEnded { status, project, .. } => format!("Scan ended: {status}{}", beside_default(project)),
            Self::ScanDeleted { status, project, .. } => {
                format!("Scan deleted; it had ended: {status}{}", beside_default(project))
            }
            Self::ScanTransferred { from, to, .. } => format!("Scan transferred from project {from} to project {to}"),
            Self::QueuePaused { reason: None } => "Queue paused".into(),
            Self::QueuePaused { reason: Some(reason) } => format!("Queue paused: {reason}"),
            Self::QueueResumed => "Queue resumed".into(),
            Self::DrainOrdered { node, within_ms } => {
                format!("Drain of node {node} ordered, within {}", duration(*within_ms))
            }
            Self::DrainRevoked { node } => format!("Drain of node {node} revoked"),
            Self::DeadLetterResent { version } => format!("Dead letter of version {version} of the scan sent again"),
            Self::AccountCreated { account, kind, role } => {
                let kind = match kind {
                    AccountKind::User => "User",
                    AccountKind::Service => "Service account",
                };
                let role = role.map(|role| format!(" with the server role {role}")).unwrap_or_default();
                format!("{kind} {account} created{role}")
            }
            Self::AccountDisabled { account } => format!("Account {account} disabled"),
            Self::AccountEnabled { account } => format!("Account {account} enabled"),
            Self::ServerRoleChanged { account, role: None } => format!("Server role of account {account} removed"),
            Self::ServerRoleChanged { account, role: Some(role) } => {
                format!("Server role of account {account} set to {role}")
            }
            Self::PasswordChanged { account } => format!("Password of account {account} changed"),
            Self::PasswordLinkCreated { account } => {
                format!("One-time link for the password of account {account} created")
            }
            Self::PasswordLinkMailed { account, .. } => {
                format!("One-time link for the password of account {account} mailed")
            }
            Self::MailRequested { account } => {
                format!("New mail address of account {account} entered; it waits for its confirmation")
            }
            Self::MailChanged { account } => format!("Mail address of account {account} changed"),
            Self::ProjectCreated { project } => format!("Project {project} created"),
            Self::MemberChanged { project, account, role: None } => {
                format!("Account {account} removed from project {project}")
            }
            Self::MemberChanged { project, account, role: Some(role) } => {
                format!("Role of account {account} in project {project} set to {role}")
            }
            Self::SignedIn { account, .. } => format!("Account {account} signed in"),
            Self::SignInFailed { account: Some(account), .. } => format!("Sign-in to account {account} failed"),
            Self::SignInFailed { account: None, .. } => "Sign-in failed: there is no such account".into(),
            Self::SignedInWithProvider { account, .. } => {
                format!("Account {account} signed in with the identity provider")
            }
            Self::ProviderSignInFailed { account: Some(account), reason, .. } => {
                format!("Sign-in to account {account} with the identity provider failed: {reason}")
            }
            Self::ProviderSignInFailed { account: None, reason, .. } => {
                format!("Sign-in with the identity provider failed: {reason}")
            }
            Self::IdentityLinked { account, issuer, subject } => {
                format!("Identity {subject} of {issuer} linked to account {account}")
            }
            Self::IdentityUnlinked { account } => format!("Identity of account {account} unlinked"),
            Self::SessionsEnded { account, count: 1 } => format!("1 session of account {account} ended"),
            Self::SessionsEnded { account, count } => format!("{count} sessions of account {account} ended"),
            Self::TokenCreated { account, token } => format!("API token {token} of account {account} created"),
            Self::TokenRevoked { account, token } => format!("API token {token} of account {account} revoked"),
            Self::AccessDenied { operation, project } => {
                let project = project.as_ref().map(|project| format!(" in project {project}")).unwrap_or_default();
                format!("Access denied: {operation}{project}")
            }
            Self::ScansExported => "List of scans exported".into(),
            Self::FindingsExported => "Findings exported".into(),
            Self::FilesDownloaded => "Files of the scan downloaded".into(),
            Self::BackupDownloaded => "Backup downloaded".into(),
            Self::ClearanceSet { project, pattern, level, until, text } => {
                let until = until.map(|until| format!(" until {until:.0}")).unwrap_or_default();
                let text = if text.is_empty() { String::new() } else { format!(": {text}") };
                format!("Clearance of {pattern} in project {project} set to {level}{until}{text}")
            }
            Self::ClearanceRemoved { project, pattern } => {
                format!("Clearance of {pattern} removed from project {project}")
            }
            Self::AuditExported => "Audit log exported".into(),
            Self::AuditPruned { through, entries: 1 } => {
                format!("1 old entry of the audit log deleted, through seal {through}")
            }
            Self::AuditPruned { through, entries } => {
                format!("{entries} old entries of the audit log deleted, through seal {through}")
            }
            Self::SecondFactorAdded { account } => format!("Second factor of account {account} added"),
            Self::SecondFactorRemoved { account } => format!("Second factor of account {account} removed"),
            Self::RecoveryCodeUsed { account } => format!("Recovery code of account {account} used"),
            Self::RecoveryCodesCreated { account } => format!("Recovery codes of account {account} replaced"),
            Self::PasskeyAdded { account, passkey } => format!("Passkey {passkey} of account {account} added"),
            Self::PasskeyRenamed { account, passkey } => format!("Passkey {passkey} of account {account} renamed"),
            Self::PasskeyRemoved { account, passkey } => format!("Passkey {passkey} of account {account} removed"),
            Self::PasskeyUsed { account, passkey } => format!("Passkey {passkey} of account {account} used"),
            Self::PasskeyRefused { account, passkey } => {
                format!("Passkey {passkey} of account {account} refused: its counter went back, so there may be a copy")
            }

            Self::DeviceLoginAllowed { account, label, .. } => {
                format!("Account {account} allowed the login of the command line on {label}")
            }
            Self::DeviceLoginDenied { account, label, .. } => {
                format!("Account {account} denied the login of the command line on {label}")
            }
            Self::PublicLinkCreated { link, expires_at } => {
                format!("Public link {link} of the scan created, valid until {expires_at:.0}")
            }
            Self::PublicLinkRevoked { link } => format!("Public link {link} of the scan revoked"),
            Self::PublicLinkOpened { link, .. } => format!("Scan opened by the public link {link}"),
            Self::PublicLinkRefused { link, .. } => format!("Wrong password entered for the public link {link}"),
            Self::ScanShared { grantee, right, expires_at } => {
                let until = expires_at.map(|at| format!(", valid until {at:.0}")).unwrap_or_default();
                format!("Scan shared with {} with the right {right}{until}", named(grantee))
            }
            Self::ShareRevoked { grantee } => format!("Share of the scan with {} revoked", named(grantee)),
            Self::FindingTriaged { project, finding, did, text, until } => {
                let what = match did {
                    TriageKind::Confirmed => "confirmed".to_owned(),
                    TriageKind::FalsePositive => "marked as a false positive".to_owned(),
                    TriageKind::Accepted => {
                        format!("accepted{}", until.map(|at| format!(" until {at:.0}")).unwrap_or_default())
                    }
                    TriageKind::Withdrawn => "reopened: decision withdrawn".to_owned(),
                    TriageKind::Commented => "commented".to_owned(),
                    TriageKind::Assigned => "assigned".to_owned(),
                };
                let text = text.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
                format!("Finding {finding} in project {project} {what}{text}")
            }
            Self::TargetChanged { project, target } => {
                format!("Tags or notes of target {target} in project {project} changed")
            }
            Self::ScanNotesChanged => "Tags or notes of the scan changed".into(),
            Self::SlaPolicySet { project } => format!("Times to fix findings of project {project} set"),
        }
    }

    /// Returns the network address of the client, if the event has it.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        match self {
            Self::SignedIn { address, .. }
            | Self::SignInFailed { address, .. }
            | Self::SignedInWithProvider { address, .. }
            | Self::ProviderSignInFailed { address, .. }
            | Self::DeviceLoginAllowed { address, .. }
            | Self::DeviceLoginDenied { address, .. }
            | Self::PublicLinkOpened { address, .. }
            | Self::PublicLinkRefused { address, .. } => Some(address),
            Self::PasswordLinkMailed { address, .. } => address.as_deref(),
            _ => None,
        }
    }
}

/// Names the grantee of a share.
fn named(grantee: &Grantee) -> String {
    match grantee {
        Grantee::User(name) => format!("user {name}"),
        Grantee::Project(id) => format!("project {id}"),
    }
}

/// Names a project beside the default one.
fn beside_default(project: &ProjectId) -> String {
    if project.is_default() { String::new() } else { format!(" (project {project})") }
}

fn duration(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{
        AccountName, CancelledBy, ClearanceLevel, FencingToken, NodeId, ProjectRole, PublicLinkId, ScanId, ScanStatus,
        ServerRole, ShareRight, TokenId,
    };

    #[test]
    fn events_of_passkeys_name_the_passkey_and_its_account() {
        let account = || "ana".parse::<AccountName>().unwrap();
        let passkey = || "0123456789abcdef0123456789abcdef".parse().unwrap();
        for (event, text) in [
            (DomainEvent::PasskeyAdded { account: account(), passkey: passkey() }, "added"),
            (DomainEvent::PasskeyRenamed { account: account(), passkey: passkey() }, "renamed"),
            (DomainEvent::PasskeyRemoved { account: account(), passkey: passkey() }, "removed"),
            (DomainEvent::PasskeyUsed { account: account(), passkey: passkey() }, "used"),
            (
                DomainEvent::PasskeyRefused { account: account(), passkey: passkey() },
                "refused: its counter went back, so there may be a copy",
            ),
        ] {
            assert_eq!(event.text(), format!("Passkey 0123456789abcdef0123456789abcdef of account ana {text}"));
            assert_eq!(event.address(), None, "{event:?}");
        }
    }

    #[test]
    fn events_of_public_links_name_the_link_and_have_the_address_of_the_visitor() {
        let link: PublicLinkId = "a1B2c3D4e5".parse().unwrap();
        let address = || "::1".to_owned();
        for (event, text, of_visitor) in [
            (
                DomainEvent::PublicLinkCreated { link: link.clone(), expires_at: Timestamp::UNIX_EPOCH },
                "Public link a1B2c3D4e5 of the scan created, valid until 1970-01-01T00:00:00Z",
                false,
            ),
            (
                DomainEvent::PublicLinkRevoked { link: link.clone() },
                "Public link a1B2c3D4e5 of the scan revoked",
                false,
            ),
            (
                DomainEvent::PublicLinkOpened { link: link.clone(), address: address() },
                "Scan opened by the public link a1B2c3D4e5",
                true,
            ),
            (
                DomainEvent::PublicLinkRefused { link, address: address() },
                "Wrong password entered for the public link a1B2c3D4e5",
                true,
            ),
        ] {
            assert_eq!(event.text(), text);
            assert_eq!(event.address(), of_visitor.then_some("::1"), "{event:?}");
        }
    }

    #[test]
    fn events_of_mail_name_the_account_and_have_the_address_of_the_client() {
        let account = || "ana".parse::<AccountName>().unwrap();
        let mailed = |address: Option<&str>| DomainEvent::PasswordLinkMailed {
            account: account(),
            address: address.map(str::to_owned),
        };
        let text = "One-time link for the password of account ana mailed";
        for (event, text, address) in [
            (mailed(Some("::1")), text, Some("::1")),
            (mailed(None), text, None),
            (
                DomainEvent::MailRequested { account: account() },
                "New mail address of account ana entered; it waits for its confirmation",
                None,
            ),
            (DomainEvent::MailChanged { account: account() }, "Mail address of account ana changed", None),
        ] {
            assert_eq!((event.text().as_str(), event.address()), (text, address));
        }
    }

    #[test]
    fn events_of_the_identity_provider_name_the_account_and_the_reason() {
        let account = || "ana".parse::<AccountName>().unwrap();
        let (reason, address) = (|| "the account is disabled".to_owned(), || "::1".to_owned());
        for (event, text, of_client) in [
            (
                DomainEvent::SignedInWithProvider { account: account(), address: address() },
                "Account ana signed in with the identity provider",
                true,
            ),
            (
                DomainEvent::ProviderSignInFailed { account: Some(account()), reason: reason(), address: address() },
                "Sign-in to account ana with the identity provider failed: the account is disabled",
                true,
            ),
            (
                DomainEvent::ProviderSignInFailed { account: None, reason: reason(), address: address() },
                "Sign-in with the identity provider failed: the account is disabled",
                true,
            ),
            (
                DomainEvent::IdentityLinked {
                    account: account(),
                    issuer: "https://id.example".into(),
                    subject: "7".into(),
                },
                "Identity 7 of https://id.example linked to account ana",
                false,
            ),
            (DomainEvent::IdentityUnlinked { account: account() }, "Identity of account ana unlinked", false),
        ] {
            assert_eq!(event.text(), text);
            assert_eq!(event.address(), of_client.then_some("::1"), "{event:?}");
        }
    }

    #[test]
    fn decisions_about_a_device_login_name_the_account_and_the_machine() {
        let ana: AccountName = "ana".parse().unwrap();
        let (label, address) = (|| "ana@laptop".to_owned(), || "::1".to_owned());
        for (event, text) in [
            (
                DomainEvent::DeviceLoginAllowed { account: ana.clone(), label: label(), address: address() },
                "Account ana allowed the login of the command line on ana@laptop",
            ),
            (
                DomainEvent::DeviceLoginDenied { account: ana, label: label(), address: address() },
                "Account ana denied the login of the command line on ana@laptop",
            ),
        ] {
            assert_eq!((event.text().as_str(), event.address()), (text, Some("::1")));
        }
    }

    #[test]
    fn events_of_shares_name_the_grantee_and_those_of_a_transfer_both_projects() {
        let at = Timestamp::UNIX_EPOCH;
        let grantee = |text: &str| text.parse::<Grantee>().unwrap();
        let shared = |with, right, expires_at| DomainEvent::ScanShared { grantee: grantee(with), right, expires_at };
        for (event, text) in [
            (shared("user:ana", ShareRight::View, None), "Scan shared with user ana with the right view"),
            (
                shared("project:team", ShareRight::Edit, Some(at)),
                "Scan shared with project team with the right edit, valid until 1970-01-01T00:00:00Z",
            ),
            (DomainEvent::ShareRevoked { grantee: grantee("user:ana") }, "Share of the scan with user ana revoked"),
            (
                DomainEvent::FindingTriaged {
                    project: "team".parse().unwrap(),
                    finding: "0123456789abcdef0123".parse().unwrap(),
                    did: TriageKind::Accepted,
                    text: Some("known".into()),
                    until: Some(at),
                },
                "Finding 0123456789abcdef0123 in project team accepted until 1970-01-01T00:00:00Z: known",
            ),
            (
                DomainEvent::TargetChanged {
                    project: "team".parse().unwrap(),
                    target: "0123456789abcdef".parse().unwrap(),
                },
                "Tags or notes of target 0123456789abcdef in project team changed",
            ),
            (DomainEvent::ScanNotesChanged, "Tags or notes of the scan changed"),
            (
                DomainEvent::SlaPolicySet { project: "team".parse().unwrap() },
                "Times to fix findings of project team set",
            ),
            (
                DomainEvent::ScanTransferred {
                    status: ScanStatus::Failed,
                    at,
                    from: ProjectId::default(),
                    to: "team".parse().unwrap(),
                },
                "Scan transferred from project default to project team",
            ),
        ] {
            assert_eq!((event.text().as_str(), event.address()), (text, None));
        }
    }

    #[test]
    fn events_are_sentences_in_plain_words() {
        let at = Timestamp::UNIX_EPOCH;
        let ana: AccountName = "ana".parse().unwrap();
        let node: NodeId = "a-1".parse().unwrap();
        let team: ProjectId = "team".parse().unwrap();
        let token: TokenId = "a1B2c3D4e5".parse().unwrap();
        let account = || ana.clone();
        for (event, text) in [
            (DomainEvent::ScanSubmitted { rerun_of: None }, "Scan submitted"),
            (DomainEvent::ScanSubmitted { rerun_of: Some(ScanId(7)) }, "Scan submitted as a re-run of scan 7"),
            (DomainEvent::CancelRequested { by: CancelledBy::User }, "Cancel of the scan requested"),
            (
                DomainEvent::AttemptEnded { token: FencingToken(2), node: node.clone() },
                "Attempt ended on node a-1; the scan waits for another one",
            ),
            (
                DomainEvent::ScanEnded { status: ScanStatus::Failed, at, project: ProjectId::default() },
                "Scan ended: failed",
            ),
            (
                DomainEvent::ScanDeleted { status: ScanStatus::Completed, at, project: team.clone() },
                "Scan deleted; it had ended: completed (project team)",
            ),
            (DomainEvent::QueuePaused { reason: None }, "Queue paused"),
            (DomainEvent::QueuePaused { reason: Some("upgrade".into()) }, "Queue paused: upgrade"),
            (DomainEvent::QueueResumed, "Queue resumed"),
            (
                DomainEvent::DrainOrdered { node: node.clone(), within_ms: 300_000 },
                "Drain of node a-1 ordered, within 300 s",
            ),
            (DomainEvent::DrainOrdered { node: node.clone(), within_ms: 5 }, "Drain of node a-1 ordered, within 5 ms"),
            (DomainEvent::DrainRevoked { node }, "Drain of node a-1 revoked"),
            (DomainEvent::DeadLetterResent { version: 3 }, "Dead letter of version 3 of the scan sent again"),
            (
                DomainEvent::AccountCreated {
                    account: account(),
                    kind: AccountKind::User,
                    role: Some(ServerRole::Admin),
                },
                "User ana created with the server role admin",
            ),
            (
                DomainEvent::AccountCreated { account: account(), kind: AccountKind::Service, role: None },
                "Service account ana created",
            ),
            (DomainEvent::AccountDisabled { account: account() }, "Account ana disabled"),
            (DomainEvent::AccountEnabled { account: account() }, "Account ana enabled"),
            (DomainEvent::ServerRoleChanged { account: account(), role: None }, "Server role of account ana removed"),
            (
                DomainEvent::ServerRoleChanged { account: account(), role: Some(ServerRole::Auditor) },
                "Server role of account ana set to auditor",
            ),
            (DomainEvent::PasswordChanged { account: account() }, "Password of account ana changed"),
            (
                DomainEvent::PasswordLinkCreated { account: account() },
                "One-time link for the password of account ana created",
            ),
            (DomainEvent::ProjectCreated { project: team.clone() }, "Project team created"),
            (
                DomainEvent::MemberChanged {
                    project: team.clone(),
                    account: account(),
                    role: Some(ProjectRole::Owner),
                },
                "Role of account ana in project team set to owner",
            ),
            (
                DomainEvent::MemberChanged { project: team.clone(), account: account(), role: None },
                "Account ana removed from project team",
            ),
            (DomainEvent::SignedIn { account: account(), address: "::1".into() }, "Account ana signed in"),
            (
                DomainEvent::SignInFailed { account: Some(account()), address: "::1".into() },
                "Sign-in to account ana failed",
            ),
            (
                DomainEvent::SignInFailed { account: None, address: "::1".into() },
                "Sign-in failed: there is no such account",
            ),
            (DomainEvent::SessionsEnded { account: account(), count: 1 }, "1 session of account ana ended"),
            (DomainEvent::SessionsEnded { account: account(), count: 2 }, "2 sessions of account ana ended"),
            (
                DomainEvent::TokenCreated { account: account(), token: token.clone() },
                "API token a1B2c3D4e5 of account ana created",
            ),
            (DomainEvent::TokenRevoked { account: account(), token }, "API token a1B2c3D4e5 of account ana revoked"),
            (
                DomainEvent::AccessDenied { operation: "delete_scans".into(), project: Some(team) },
                "Access denied: delete_scans in project team",
            ),
            (
                DomainEvent::AccessDenied { operation: "GET /settings".into(), project: None },
                "Access denied: GET /settings",
            ),
            (DomainEvent::ScansExported, "List of scans exported"),
            (DomainEvent::FindingsExported, "Findings exported"),
            (DomainEvent::FilesDownloaded, "Files of the scan downloaded"),
            (DomainEvent::BackupDownloaded, "Backup downloaded"),
            (
                DomainEvent::ClearanceSet {
                    project: ProjectId::default(),
                    pattern: "*.example.com".parse().unwrap(),
                    level: ClearanceLevel::Active,
                    until: Some(at),
                    text: "Contract 7".into(),
                },
                "Clearance of *.example.com in project default set to active until 1970-01-01T00:00:00Z: Contract 7",
            ),
            (
                DomainEvent::AuditPruned { through: 7, entries: 1 },
                "1 old entry of the audit log deleted, through seal 7",
            ),
            (
                DomainEvent::AuditPruned { through: 7, entries: 40 },
                "40 old entries of the audit log deleted, through seal 7",
            ),
        ] {
            assert_eq!(event.text(), text);
            let has_address = matches!(event, DomainEvent::SignedIn { .. } | DomainEvent::SignInFailed { .. });
            assert_eq!(event.address(), has_address.then_some("::1"), "{event:?}");
        }
    }
}
