//! What the provider says about itself (OpenID Connect Discovery), with its signing keys.
//!
//! It is read when it is first needed and then once an hour, and when a token has an unknown key.
//! While the provider does not respond, the last document is used, and a new attempt is made after
//! some seconds. One sign-in makes the attempt; the others use the last document meanwhile.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openidconnect::{DiscoveryError, EndSessionUrl, IssuerUrl, ProviderMetadataWithLogout, TokenUrl, UserInfoUrl};
use tokio::time::Instant;
use url::Url;

use super::http::{Http, HttpError};
use crate::error_chain::chain;
use crate::ports::ProviderError;

/// When the document is read again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// After this time it is old.
    pub(super) fresh_for: Duration,
    /// An attempt that failed is not repeated before this time.
    pub(super) after_failure: Duration,
    /// A token with an unknown key causes no read before this time: anybody could cause many.
    pub(super) after_read: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            fresh_for: Duration::from_hours(1),
            after_failure: Duration::from_secs(5),
            after_read: Duration::from_mins(1),
        }
    }
}

/// The document of a provider.
#[derive(Debug)]
pub(super) struct Discovery {
    issuer: IssuerUrl,
    timing: Timing,
    state: Mutex<State>,
    /// Held by the one who reads the document.
    turn: tokio::sync::Mutex<()>,
}

type Document = Arc<ProviderMetadataWithLogout>;

#[derive(Debug, Clone, Default)]
struct State {
    known: Option<(Instant, Document)>,
    failed: Option<(Instant, ProviderError)>,
}

impl State {
    fn document(&self) -> Option<Document> {
        self.known.as_ref().map(|(_, known)| Arc::clone(known))
    }

    /// Returns the answer if the document must not be read now: it is younger than `age`, or the
    /// last attempt failed less than `after_failure` ago.
    fn answer(&self, age: Duration, after_failure: Duration) -> Option<Result<Document, ProviderError>> {
        if let Some((_, known)) = self.known.as_ref().filter(|(read_at, _)| read_at.elapsed() < age) {
            return Some(Ok(Arc::clone(known)));
        }
        let (_, error) = self.failed.as_ref().filter(|(at, _)| at.elapsed() < after_failure)?;
        Some(self.document().ok_or_else(|| error.clone()))
    }
}

impl Discovery {
    pub(super) fn new(issuer: IssuerUrl, timing: Timing) -> Self {
        Self { issuer, timing, state: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// Returns the document. While another caller reads an old one again, it is returned as it is.
    pub(super) async fn get(&self, http: &Http) -> Result<Document, ProviderError> {
        let age = self.timing.fresh_for;
        if let Some(answer) = self.stored(age) {
            return answer;
        }
        if let Ok(_turn) = self.turn.try_lock() {
            return self.read_unless(http, age).await;
        }
        if let Some(known) = self.state().document() {
            return Ok(known);
        }
        let _turn = self.turn.lock().await;
        self.read_unless(http, age).await
    }

    /// Returns the document after a token had an unknown key.
    pub(super) async fn get_newer(&self, http: &Http) -> Result<Document, ProviderError> {
        let _turn = self.turn.lock().await;
        self.read_unless(http, self.timing.after_read).await
    }

    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stored(&self, age: Duration) -> Option<Result<Document, ProviderError>> {
        self.state().answer(age, self.timing.after_failure)
    }

    /// Reads the document unless the one that is known is younger than `age`. The caller has the
    /// turn.
    async fn read_unless(&self, http: &Http, age: Duration) -> Result<Document, ProviderError> {
        if let Some(answer) = self.stored(age) {
            return answer;
        }
        let read = read(&self.issuer, http).await.map(Arc::new);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(read) => {
                *state = State { known: Some((Instant::now(), Arc::clone(&read))), failed: None };
                Ok(read)
            }
            Err(error) => {
                let known = state.document();
                if known.is_some() {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the document of the identity provider could not be read again: the last one is used"
                    );
                }
                state.failed = Some((Instant::now(), error.clone()));
                known.ok_or(error)
            }
        }
    }
}

async fn read(issuer: &IssuerUrl, http: &Http) -> Result<ProviderMetadataWithLogout, ProviderError> {
    let read =
        ProviderMetadataWithLogout::discover_async(issuer.clone(), http).await.map_err(|error| failure_of(&error))?;
    let end = read.additional_metadata().end_session_endpoint.as_ref().map(EndSessionUrl::url);
    let token = read.token_endpoint().map(TokenUrl::url);
    let user_info = read.userinfo_endpoint().map(UserInfoUrl::url);
    let all = [Some(read.authorization_endpoint().url()), Some(read.jwks_uri().url()), token, user_info, end];
    let refused = all.into_iter().flatten().find(|url| !is_allowed(url, issuer.url()));
    if let Some(url) = refused {
        let why = format!("its document has an address that is not https: {}", url.scheme());
        return Err(ProviderError::NoResponse(why));
    }
    Ok(read)
}

/// Returns whether an address may be used: https, or http where the issuer has it, too.
fn is_allowed(url: &Url, issuer: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && issuer.scheme() == "http")
}

/// Returns the failure in words, without the response.
fn failure_of(error: &DiscoveryError<HttpError>) -> ProviderError {
    ProviderError::NoResponse(match error {
        DiscoveryError::Request(error) => chain(error),
        DiscoveryError::Response(status, ..) => format!("its document has the status {}", status.as_u16()),
        DiscoveryError::Parse(error) => {
            format!(
                "its document cannot be read at `{}`",
                error.path().to_string().chars().take(80).collect::<String>()
            )
        }
        DiscoveryError::Validation(_) => "its document names another issuer: compare it with oidc.issuer".to_owned(),
        _ => "its document cannot be used".to_owned(),
    })
}
