//! The accounts of a server: the limits of sessions, the first administrator, and the deletion of
//! what has expired. Also the access service of a database that a command opened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::{AccountKind, RequestContext, ServerRole};
use kastrel_actors::policy::clearance::ClearanceRule;
use kastrel_actors::policy::second_factor::FactorRule;
use kastrel_actors::ports::{NoSealer, StoreError, Stores, SystemClock};
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::adapters::surreal_store::SurrealStore;
use crate::config::{AuthMode, Config, RequiredFactor};
use crate::identity::passkey::{NoPasskeys, RelyingParty};
use crate::identity::password::Password;
use crate::service::access::{AccessService, AccessSettings, AccountError, AccountRequest};
use crate::telemetry;

/// The name of the administrator whose password is in a file.
const ADMIN: &str = "admin";

/// How often expired sessions, tokens and links are deleted. They are refused from the moment at
/// which they expire.
const CLEAN_EVERY: Duration = Duration::from_hours(1);

/// Why the first administrator could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum FirstAdminError {
    /// The file with the password cannot be read.
    #[error("auth.admin_password_file: failed to read {}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The account could not be created.
    #[error("auth.admin_password_file: the account `{ADMIN}` could not be created")]
    Account(#[from] AccountError),
    /// The store did not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the limits of sessions and links, and the rule for second factors.
pub(super) fn settings(config: &Config) -> AccessSettings {
    AccessSettings {
        session_idle: Duration::from_hours(config.auth.session_idle_hours.into()),
        session_lifetime: Duration::from_hours(config.auth.session_lifetime_hours.into()),
        second_factor: match config.auth.require_second_factor {
            RequiredFactor::Off => FactorRule::Off,
            RequiredFactor::Admins => FactorRule::Admins,
            RequiredFactor::All => FactorRule::All,
        },
        ..AccessSettings::default()
    }
}

/// Returns the relying party of the passkeys. Its name comes from the configuration, and never from
/// a request.
pub(super) fn relying_party(config: &Config) -> Result<RelyingParty, NoPasskeys> {
    match &config.server.public_url {
        Some(url) => RelyingParty::new(&url.origin()),
        None if config.server.listen.ip().is_loopback() => {
            RelyingParty::on_loopback(config.server.tls_certificate.is_some())
        }
        None => Err(NoPasskeys::NoAddress),
    }
}

/// Returns whether scans need the clearance of their target: they do where accounts are on.
pub(super) fn clearance(config: &Config) -> ClearanceRule {
    match config.auth.mode {
        AuthMode::Off => ClearanceRule::NotRequired,
        AuthMode::Local | AuthMode::Oidc => ClearanceRule::Required,
    }
}

/// Returns the access service of a database that a command opened, to write entries of the audit
/// log.
pub fn access_of(store: &SurrealStore) -> AccessService {
    let stores = Stores::of(&Arc::new(store.clone()));
    // An entry of the audit log has no secret that could be sealed.
    AccessService::new(&stores, Arc::new(SystemClock), Arc::new(NoSealer), AccessSettings::default())
}

/// Prepares the first administrator of a server with accounts, if it has none: creates the account
/// whose password is in a file, or writes a one-time link to the log. `url` is the address of the
/// server.
///
/// # Errors
/// The file cannot be used, or the store fails.
pub async fn prepare_first_admin(access: &AccessService, config: &Config, url: &str) -> Result<(), FirstAdminError> {
    if config.auth.mode == AuthMode::Off || !access.needs_set_up().await? {
        return Ok(());
    }
    if let Some(path) = &config.auth.admin_password_file {
        let request = AccountRequest {
            name: ADMIN.to_owned(),
            kind: AccountKind::User,
            server_role: Some(ServerRole::Admin),
            password: Some(read_password(path)?),
            mail: None,
            send_link: false,
            memberships: BTreeMap::new(),
        };
        access.create_account(&RequestContext::system(telemetry::current_or_new()), request).await?;
        info!("created the administrator `{ADMIN}` with the password in {}", path.display());
        return Ok(());
    }
    let secret = access.new_set_up_link().await?;
    let (base, hours) = (config.server.base_path.as_str(), access.link_lifetime().as_secs() / 3600);
    // Who reads the exported records must not become the administrator.
    warn!(
        target: telemetry::LOCAL_ONLY,
        "there is no administrator yet: open {url}{base}/setup?link={} within {hours} hours",
        secret.expose()
    );
    Ok(())
}

fn read_password(path: &Path) -> Result<Password, FirstAdminError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| FirstAdminError::File { path: path.to_owned(), source })?;
    Ok(Password::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Deletes what has expired, until the handle is dropped.
pub(super) fn keep_clean(access: AccessService) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut turns = tokio::time::interval(CLEAN_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            if let Err(error) = access.delete_expired().await {
                warn!(error = &error as &dyn std::error::Error, "expired sessions could not be deleted");
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn passkeys_belong_to_the_configured_host_or_to_localhost_on_loopback() {
        for (url, listen, host) in [
            ("", "127.0.0.1:5000", Ok("localhost")),
            ("", "[::1]:5000", Ok("localhost")),
            ("", "0.0.0.0:5000", Err(NoPasskeys::NoAddress)),
            ("https://scans.example.com", "0.0.0.0:5000", Ok("scans.example.com")),
            ("https://scans.example.com:8443", "127.0.0.1:5000", Ok("scans.example.com")),
            ("http://scans.example.com", "127.0.0.1:5000", Err(NoPasskeys::NotSecure)),
            ("https://192.0.2.1", "0.0.0.0:5000", Err(NoPasskeys::NoName)),
        ] {
            let env = [("KASTREL_PUBLIC_URL", url), ("KASTREL_LISTEN", listen), ("KASTREL_AUTH_MODE", "local")];
            let env: BTreeMap<String, String> =
                env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let config = Sources::of(&env).resolve().unwrap().config;
            let party = relying_party(&config);
            assert_eq!(party.as_ref().map(RelyingParty::host), host.as_ref().copied(), "{url} {listen}");
        }
    }
}
