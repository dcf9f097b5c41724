//! The identity provider of the configuration.

use std::path::Path;
use std::sync::Arc;

use super::AppError;
use crate::adapters::oidc::{OidcOptions, OidcProvider};
use crate::config::{AuthMode, Config, Issuer};
use crate::service::access::{AccessService, ProviderSettings};

/// The path to which the provider sends the browser after a sign-in.
const CALLBACK: &str = "/login/oidc/callback";
/// The path to which the provider sends the browser after a sign-out.
const SIGNED_OUT: &str = "/login";
/// The scopes that every sign-in requests beside `openid`.
const SCOPES: [&str; 2] = ["profile", "email"];

/// Returns the access service with the identity provider, if people sign in with one. Nothing is
/// sent to it: a provider that does not respond must not keep the server from its start.
pub(super) fn with_provider(access: AccessService, config: &Config) -> Result<AccessService, AppError> {
    let Some(provider) = identity_provider(config)? else { return Ok(access) };
    let oidc = &config.oidc;
    let host = oidc.issuer.as_ref().map(Issuer::host).unwrap_or_default();
    let settings = ProviderSettings {
        name: oidc.provider_name.clone().unwrap_or(host),
        account_claim: oidc.account_claim.clone(),
        groups_claim: oidc.groups_claim.clone(),
        rules: oidc.groups.rules().to_vec(),
        creates_accounts: oidc.create_accounts,
        allows_passwords: oidc.local_sign_in,
    };
    Ok(access.with_provider(Arc::new(provider), settings))
}

/// Returns the identity provider; `None` unless `auth.mode` is `oidc`.
///
/// # Errors
/// The file with the client secret cannot be read, or a setting cannot be used.
pub fn identity_provider(config: &Config) -> Result<Option<OidcProvider>, AppError> {
    let (oidc, public) = (&config.oidc, &config.server.public_url);
    // The configuration refuses the mode without these settings.
    let (AuthMode::Oidc, Some(issuer), Some(client_id), Some(public)) =
        (config.auth.mode, &oidc.issuer, &oidc.client_id, public)
    else {
        return Ok(None);
    };
    let client_secret = match (&oidc.client_secret_file, &oidc.client_secret) {
        (Some(path), _) => Some(read_secret(path)?),
        (None, secret) => secret.as_ref().map(|secret| secret.expose().to_owned()),
    };
    let options = OidcOptions {
        issuer: issuer.as_str().to_owned(),
        client_id: client_id.clone(),
        client_secret,
        redirect_url: public.page(CALLBACK),
        signed_out_url: public.page(SIGNED_OUT),
        scopes: SCOPES.map(str::to_owned).into_iter().chain(oidc.scopes.iter().cloned()).collect(),
    };
    OidcProvider::new(options).map(Some).map_err(AppError::Provider)
}

fn read_secret(path: &Path) -> Result<String, AppError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| AppError::ClientSecret { path: path.to_owned(), source })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kastrel_actors::ports::{NoSealer, Stores, SystemClock};
    use kastrel_actors::testing::{MemoryStore, PausedClock};

    use super::*;
    use crate::config::Sources;
    use crate::ports::IdentityProvider as _;
    use crate::service::access::AccessSettings;

    fn config(more: &[(&str, &str)]) -> Config {
        let all = [
            ("KASTREL_AUTH_MODE", "oidc"),
            ("KASTREL_OIDC__ISSUER", "https://id.example/realms/team"),
            ("KASTREL_OIDC__CLIENT_ID", "kastrel"),
            ("KASTREL_PUBLIC_URL", "https://scans.example.com"),
        ];
        let pairs = all.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let env: BTreeMap<String, String> = pairs.collect();
        Sources::of(&env).resolve().unwrap().config
    }

    fn access(config: &Config) -> Result<AccessService, AppError> {
        let store = Arc::new(MemoryStore::new(Arc::new(PausedClock::default())));
        let stores = Stores::of(&store);
        let service = AccessService::new(&stores, Arc::new(SystemClock), Arc::new(NoSealer), AccessSettings::default());
        with_provider(service, config)
    }

    #[tokio::test]
    async fn provider_has_the_settings_and_the_other_modes_have_none() {
        let oidc = config(&[]);
        assert_eq!(identity_provider(&oidc).unwrap().unwrap().issuer(), "https://id.example/realms/team");
        let service = access(&oidc).unwrap();
        assert_eq!((service.provider_name(), service.allows_passwords()), (Some("id.example"), true));
        let named = config(&[("KASTREL_OIDC__PROVIDER_NAME", "Team"), ("KASTREL_OIDC__LOCAL_SIGN_IN", "false")]);
        let service = access(&named).unwrap();
        assert_eq!((service.provider_name(), service.allows_passwords()), (Some("Team"), false));
        let local = config(&[("KASTREL_AUTH_MODE", "local")]);
        let service = access(&local).unwrap();
        assert_eq!((service.provider_name(), service.allows_passwords()), (None, true));
    }

    #[test]
    fn client_secret_is_read_from_its_file_and_a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let text = path.display().to_string();
        let with_file = config(&[("KASTREL_OIDC__CLIENT_SECRET_FILE", &text)]);
        let error = identity_provider(&with_file).unwrap_err().to_string();
        assert!(error.contains("oidc.client_secret_file") && error.contains(&text), "{error}");
        std::fs::write(&path, "hunter2\r\n").unwrap();
        assert_eq!(read_secret(&path).unwrap(), "hunter2");
        let shown = format!("{:?}", identity_provider(&with_file).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
