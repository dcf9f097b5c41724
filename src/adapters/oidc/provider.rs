//! The code flow with PKCE.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use data_encoding::BASE64URL_NOPAD;
use kastrel_actors::model::ProviderIdentity;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreErrorResponseType, CoreIdToken,
    CoreJwsSigningAlgorithm,
};
use openidconnect::http::{Method, Request, StatusCode, header};
use openidconnect::{
    AccessToken, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, LogoutRequest, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, PkceCodeVerifier, PostLogoutRedirectUrl, ProviderMetadataWithLogout, RedirectUrl,
    RequestTokenError, Scope, SignatureVerificationError, StandardErrorResponse, TokenResponse as _,
};
use serde_json::{Map, Value};

use super::discovery::{Discovery, Timing};
use super::http::{Http, HttpError};
use crate::error_chain::chain;
use crate::ports::{IdentityProvider, ProviderError, ProviderPerson, ProviderRequest};

/// How long one request to the provider may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The signatures of ID tokens that are accepted, if the provider says that it uses them. Those
/// with a shared secret are not: everybody who knows the secret of the client could sign.
const SIGNATURES: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// The client with the endpoints of the document.
type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// How this server is known at the provider. `Debug` does not show the secret.
#[derive(Clone)]
pub struct OidcOptions {
    /// The issuer, as the provider writes it.
    pub issuer: String,
    /// The id of the client.
    pub client_id: String,
    /// The secret of the client; `None` for a public client.
    pub client_secret: Option<String>,
    /// The address to which the provider sends the browser after a sign-in.
    pub redirect_url: String,
    /// The address to which the provider sends the browser after a sign-out.
    pub signed_out_url: String,
    /// The scopes that are requested beside `openid`.
    pub scopes: Vec<String>,
}

impl fmt::Debug for OidcOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcOptions")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("redirect_url", &self.redirect_url)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// An identity provider that speaks OpenID Connect.
#[derive(Debug)]
pub struct OidcProvider {
    options: OidcOptions,
    redirect_url: RedirectUrl,
    signed_out_url: PostLogoutRedirectUrl,
    http: Http,
    discovery: Discovery,
}

impl OidcProvider {
    /// Returns a provider. Nothing is sent to it yet.
    ///
    /// # Errors
    /// An address is no URL, or the HTTP client cannot be made.
    pub fn new(options: OidcOptions) -> Result<Self, ProviderError> {
        Self::with(options, LIMIT, Timing::default())
    }

    pub(super) fn with(options: OidcOptions, limit: Duration, timing: Timing) -> Result<Self, ProviderError> {
        let wrong = |error: url::ParseError| ProviderError::Invalid(error.to_string());
        let issuer = IssuerUrl::new(options.issuer.clone()).map_err(wrong)?;
        Ok(Self {
            redirect_url: RedirectUrl::new(options.redirect_url.clone()).map_err(wrong)?,
            signed_out_url: PostLogoutRedirectUrl::new(options.signed_out_url.clone()).map_err(wrong)?,
            http: Http::new(limit).map_err(|error| ProviderError::Invalid(chain(&error)))?,
            discovery: Discovery::new(issuer, timing),
            options,
        })
    }

    /// Reads the document of the provider, to see whether it responds.
    ///
    /// # Errors
    /// It does not respond, or its document cannot be used.
    pub async fn probe(&self) -> Result<(), ProviderError> {
        let known = self.discovery.get(&self.http).await?;
        if accepted(&known).is_empty() {
            let why = "it signs ID tokens in no way that is accepted here".to_owned();
            return Err(ProviderError::Invalid(why));
        }
        Ok(())
    }

    fn client(&self, known: &ProviderMetadataWithLogout) -> Client {
        let secret = self.options.client_secret.clone().map(ClientSecret::new);
        let id = ClientId::new(self.options.client_id.clone());
        // The default is the header, which every provider must support.
        let methods = known.token_endpoint_auth_methods_supported();
        let in_body = methods.is_some_and(|methods| {
            methods.contains(&CoreClientAuthMethod::ClientSecretPost)
                && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
        });
        let auth = if in_body { AuthType::RequestBody } else { AuthType::BasicAuth };
        CoreClient::from_provider_metadata(known.clone(), id, secret)
            .set_redirect_uri(self.redirect_url.clone())
            .set_auth_type(auth)
    }

    /// Verifies an ID token, and returns its subject and its claims.
    fn verify(
        &self,
        known: &ProviderMetadataWithLogout,
        token: &CoreIdToken,
        nonce: &str,
    ) -> Result<(String, Map<String, Value>), ClaimsVerificationError> {
        let client = self.client(known);
        let verifier = client.id_token_verifier().set_allowed_algs(accepted(known));
        let verified = token.claims(&verifier, &Nonce::new(nonce.to_owned()))?;
        let wrong = |what: &str| ClaimsVerificationError::Other(what.to_owned());
        // The signature is that of this text.
        let text = token.to_string();
        let payload = text.split('.').nth(1).ok_or_else(|| wrong("the token has no payload"))?;
        let payload = BASE64URL_NOPAD.decode(payload.as_bytes()).map_err(|_| wrong("the payload cannot be read"))?;
        let claims: Map<String, Value> =
            serde_json::from_slice(&payload).map_err(|_| wrong("the payload cannot be read"))?;
        if claims.get("azp").is_some_and(|party| party.as_str() != Some(&self.options.client_id)) {
            return Err(ClaimsVerificationError::InvalidAudience("another authorized party".to_owned()));
        }
        Ok((verified.subject().to_string(), claims))
    }

    /// Adds the claims that are wanted and that the ID token lacks, from the endpoint for them.
    async fn complete(
        &self,
        known: &ProviderMetadataWithLogout,
        access: &AccessToken,
        subject: &str,
        claims: &mut Map<String, Value>,
        wanted: &[&str],
    ) -> Result<(), ProviderError> {
        let is_elsewhere = |name: &str| claims.get("_claim_names").is_some_and(|names| names.get(name).is_some());
        let is_complete = wanted.iter().all(|name| claims.contains_key(*name) || is_elsewhere(name));
        let Some(endpoint) = known.userinfo_endpoint().filter(|_| !is_complete) else { return Ok(()) };
        let request = Request::builder()
            .method(Method::GET)
            .uri(endpoint.url().as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", access.secret()))
            .body(Vec::new())
            .map_err(|_| ProviderError::Invalid("the access token cannot be sent".to_owned()))?;
        let response = self.http.send(request).await.map_err(|error| ProviderError::NoResponse(chain(&error)))?;
        let status = response.status();
        // The provider has no claims for this client. Any other failure passes, and must not take
        // away the roles of a person.
        let passes = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        if status.is_client_error() && !passes {
            tracing::warn!(status = status.as_u16(), "the identity provider gave no further claims about a person");
            return Ok(());
        }
        if !status.is_success() {
            return Err(ProviderError::NoResponse(format!("the claims have the status {}", status.as_u16())));
        }
        let more: Map<String, Value> = serde_json::from_slice(response.body())
            .map_err(|_| ProviderError::Invalid("the claims cannot be read".to_owned()))?;
        // OpenID Connect Core, 5.3.2: otherwise the claims may be those of another person.
        if more.get("sub").and_then(Value::as_str) != Some(subject) {
            return Err(ProviderError::Invalid("the claims are about another person".to_owned()));
        }
        for (name, value) in more {
            claims.entry(name).or_insert(value);
        }
        Ok(())
    }
}

#[async_trait]
impl IdentityProvider for OidcProvider {
    fn issuer(&self) -> &str {
        &self.options.issuer
    }

    async fn sign_in_url(&self, request: &ProviderRequest) -> Result<String, ProviderError> {
        let known = self.discovery.get(&self.http).await?;
        let (state, nonce) = (CsrfToken::new(request.state.clone()), Nonce::new(request.nonce.clone()));
        let verifier = PkceCodeVerifier::new(request.verifier.clone());
        let client = self.client(&known);
        let mut asked = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, move || nonce)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        for scope in &self.options.scopes {
            asked = asked.add_scope(Scope::new(scope.clone()));
        }
        Ok(asked.url().0.to_string())
    }

    async fn redeem(
        &self,
        code: &str,
        request: &ProviderRequest,
        wanted: &[&str],
    ) -> Result<ProviderPerson, ProviderError> {
        let known = self.discovery.get(&self.http).await?;
        let client = self.client(&known);
        let exchange = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|_| ProviderError::NoResponse("its document has no token endpoint".to_owned()))?
            .set_pkce_verifier(PkceCodeVerifier::new(request.verifier.clone()));
        let tokens = exchange.request_async(&self.http).await.map_err(|error| failure_of(&error))?;
        let token =
            tokens.id_token().ok_or_else(|| ProviderError::Invalid("the response has no ID token".to_owned()))?;
        let verified = match self.verify(&known, token, &request.nonce) {
            // The provider may have a new key.
            Err(ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey)) => {
                let newer = self.discovery.get_newer(&self.http).await?;
                self.verify(&newer, token, &request.nonce)
            }
            verified => verified,
        };
        let (subject, mut claims) = verified.map_err(|error| ProviderError::Invalid(reason(&error).to_owned()))?;
        self.complete(&known, tokens.access_token(), &subject, &mut claims, wanted).await?;
        let identity = ProviderIdentity::new(self.options.issuer.clone(), subject)
            .map_err(|error| ProviderError::Invalid(error.to_string()))?;
        Ok(ProviderPerson { identity, claims })
    }

    async fn sign_out_url(&self) -> Result<Option<String>, ProviderError> {
        let known = self.discovery.get(&self.http).await?;
        let Some(end) = known.additional_metadata().end_session_endpoint.clone() else { return Ok(None) };
        let request = LogoutRequest::from(end)
            .set_client_id(ClientId::new(self.options.client_id.clone()))
            .set_post_logout_redirect_uri(self.signed_out_url.clone());
        Ok(Some(request.http_get_url().to_string()))
    }
}

/// Returns the signatures that are accepted and that the provider says it uses.
fn accepted(known: &ProviderMetadataWithLogout) -> Vec<CoreJwsSigningAlgorithm> {
    let used = known.id_token_signing_alg_values_supported();
    SIGNATURES.into_iter().filter(|one| used.contains(one)).collect()
}

/// Says why a code was not redeemed, without the response. The codes of errors are words of the
/// protocol.
fn failure_of(error: &RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>) -> ProviderError {
    match error {
        RequestTokenError::ServerResponse(response) => {
            let code: &str = response.error().as_ref();
            let code: String = code.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').take(40).collect();
            ProviderError::Invalid(format!("the code was not redeemed ({code})"))
        }
        RequestTokenError::Request(error) => ProviderError::NoResponse(chain(error)),
        RequestTokenError::Parse(..) => ProviderError::Invalid("the response cannot be read".to_owned()),
        RequestTokenError::Other(_) => ProviderError::NoResponse("it sent no response to the code".to_owned()),
    }
}

/// Says why a token is not valid, without its content.
const fn reason(error: &ClaimsVerificationError) -> &'static str {
    match error {
        ClaimsVerificationError::Expired(_) => "the ID token has expired: compare the clocks",
        ClaimsVerificationError::InvalidAudience(_) => "the ID token is for another client",
        ClaimsVerificationError::InvalidIssuer(_) => "the ID token is of another issuer",
        ClaimsVerificationError::InvalidNonce(_) => "the ID token is of another sign-in",
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::DisallowedAlg(_)) => {
            "the ID token is signed in a way that is not accepted"
        }
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
            "the ID token is signed with an unknown key"
        }
        ClaimsVerificationError::SignatureVerification(_) => "the signature of the ID token is wrong",
        _ => "the ID token is not valid",
    }
}
