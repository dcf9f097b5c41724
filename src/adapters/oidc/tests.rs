//! A provider in this process that gives hostile answers, and what the adapter makes of them.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::discovery::Timing;
use super::http::MOST_OF_BODY;
use super::{OidcOptions, OidcProvider};
use crate::ports::{IdentityProvider as _, ProviderError, ProviderPerson, ProviderRequest};

const CLIENT: &str = "kastrel";
const LIMIT: Duration = Duration::from_secs(2);

/// What the provider does.
struct Behaviour {
    issuer: String,
    document: Value,
    /// The keys that it publishes.
    keys: Vec<Value>,
    /// The response to the code.
    token: Box<dyn Fn() -> Response + Send + Sync>,
    user_info: Box<dyn Fn() -> Response + Send + Sync>,
    /// The requests that it got: the path, the `Authorization` header and the body.
    requests: Vec<(&'static str, String, String)>,
    /// The gate before the document. Without one it is sent at once.
    gate: Option<Arc<Gate>>,
}

/// Holds a response back.
#[derive(Default)]
struct Gate {
    reached: Notify,
    open: Notify,
}

type Shared = Arc<Mutex<Behaviour>>;

/// A provider that listens on loopback.
struct Provider {
    shared: Shared,
    key: Ed25519KeyPair,
    _server: AbortOnDropHandle<()>,
}

fn lock(shared: &Shared) -> MutexGuard<'_, Behaviour> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn json_response(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn note(shared: &Shared, path: &'static str, headers: &HeaderMap, body: &str) {
    let authorization = headers.get(header::AUTHORIZATION).map_or("", |value| value.to_str().unwrap());
    lock(shared).requests.push((path, authorization.to_owned(), body.to_owned()));
}

async fn document(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    note(&shared, "document", &headers, "");
    let gate = lock(&shared).gate.clone();
    if let Some(gate) = gate {
        gate.reached.notify_one();
        gate.open.notified().await;
    }
    json_response(&lock(&shared).document.clone())
}

async fn keys(State(shared): State<Shared>) -> Response {
    let keys = lock(&shared).keys.clone();
    json_response(&json!({ "keys": keys }))
}

async fn token(State(shared): State<Shared>, headers: HeaderMap, body: String) -> Response {
    note(&shared, "token", &headers, &body);
    (lock(&shared).token)()
}

async fn user_info(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    note(&shared, "userinfo", &headers, "");
    (lock(&shared).user_info)()
}

/// A response that never comes.
async fn silent() -> Response {
    std::future::pending().await
}

fn new_key() -> Ed25519KeyPair {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap()
}

fn jwk(key: &Ed25519KeyPair, id: &str) -> Value {
    let x = BASE64URL_NOPAD.encode(key.public_key().as_ref());
    json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": id, "x": x })
}

/// A token with these parts, and the signature of them.
fn jwt(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = BASE64URL_NOPAD.encode(&sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn tokens(id_token: &str) -> Value {
    json!({ "access_token": "access-hunter2", "token_type": "Bearer", "expires_in": 60, "id_token": id_token })
}

fn request() -> ProviderRequest {
    let part = |digit: &str| digit.repeat(64);
    ProviderRequest { state: part("a"), nonce: part("b"), verifier: part("c") }
}

/// The time in seconds. The crate compares it with the clock of the machine.
#[expect(clippy::disallowed_methods, reason = "the crate that is tested reads the clock of the machine")]
fn now() -> i64 {
    Timestamp::now().as_second()
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = new_key();
        let document_of_provider = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize?tenant=1"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "jwks_uri": format!("{issuer}/keys"),
            "end_session_endpoint": format!("{issuer}/end"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA", "HS256"],
        });
        let shared = Arc::new(Mutex::new(Behaviour {
            issuer,
            document: document_of_provider,
            keys: vec![jwk(&key, "k1")],
            token: Box::new(|| StatusCode::INTERNAL_SERVER_ERROR.into_response()),
            user_info: Box::new(|| StatusCode::NOT_FOUND.into_response()),
            requests: Vec::new(),
            gate: None,
        }));
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/userinfo", get(user_info))
            .route("/silent", post(silent))
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { shared, key, _server: AbortOnDropHandle::new(server) }
    }

    fn adapter(&self) -> OidcProvider {
        self.adapter_with(Timing::default())
    }

    fn adapter_with(&self, timing: Timing) -> OidcProvider {
        let options = OidcOptions {
            issuer: lock(&self.shared).issuer.clone(),
            client_id: CLIENT.into(),
            client_secret: Some("hunter2".into()),
            redirect_url: "https://scans.example.com/login/oidc/callback".into(),
            signed_out_url: "https://scans.example.com/login".into(),
            scopes: vec!["profile".into(), "groups".into()],
        };
        OidcProvider::with(options, LIMIT, timing).unwrap()
    }

    /// The claims of a token that is valid.
    fn claims(&self) -> Value {
        let now = now();
        json!({
            "iss": lock(&self.shared).issuer,
            "aud": CLIENT,
            "sub": "auth0|7",
            "nonce": request().nonce,
            "iat": now,
            "exp": now + 60,
            "preferred_username": "ana",
            "groups": ["sec"],
        })
    }

    fn sign(&self, claims: &Value) -> String {
        jwt(&json!({ "alg": "EdDSA", "kid": "k1", "typ": "JWT" }), claims, |text| self.key.sign(text).as_ref().to_vec())
    }

    /// Sends this token for the next code.
    fn answer(&self, id_token: &str) {
        let tokens = tokens(id_token);
        lock(&self.shared).token = Box::new(move || json_response(&tokens));
    }

    async fn redeem(&self) -> Result<ProviderPerson, ProviderError> {
        self.adapter().redeem("code-hunter2", &request(), &["preferred_username", "groups"]).await
    }

    /// Redeems a code that gets a valid token with these changed claims. `null` removes one.
    async fn with(&self, changes: Value) -> Result<ProviderPerson, ProviderError> {
        let mut claims = self.claims();
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        self.answer(&self.sign(&claims));
        self.redeem().await
    }

    fn requests(&self, path: &str) -> Vec<(String, String)> {
        let requests = &lock(&self.shared).requests;
        requests.iter().filter(|one| one.0 == path).map(|one| (one.1.clone(), one.2.clone())).collect()
    }
}

fn is_invalid(result: &Result<ProviderPerson, ProviderError>, reason: &str) -> bool {
    matches!(result, Err(ProviderError::Invalid(why)) if why.contains(reason))
}

fn is_silent(result: &Result<ProviderPerson, ProviderError>) -> bool {
    matches!(result, Err(ProviderError::NoResponse(_)))
}

#[tokio::test]
async fn sign_in_has_state_nonce_and_challenge_and_the_code_is_redeemed_with_the_verifier() {
    let provider = Provider::start().await;
    let adapter = provider.adapter();
    let url = adapter.sign_in_url(&request()).await.unwrap();
    let url = url::Url::parse(&url).unwrap();
    let query: Map<String, Value> = url.query_pairs().map(|(name, value)| (name.into_owned(), json!(value))).collect();
    let ProviderRequest { state, nonce, verifier } = request();
    for (name, value) in [
        ("tenant", "1"),
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", "https://scans.example.com/login/oidc/callback"),
        ("scope", "openid profile groups"),
        ("state", &state),
        ("nonce", &nonce),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(query[name], value, "{url}");
    }
    assert!(!url.as_str().contains(&verifier) && !url.as_str().contains("hunter2"), "{url}");
    let person = provider.with(json!({})).await.unwrap();
    assert_eq!(person.identity.subject(), "auth0|7");
    assert_eq!(person.identity.issuer(), adapter.issuer());
    assert_eq!((&person.claims["preferred_username"], &person.claims["groups"]), (&json!("ana"), &json!(["sec"])));
    let (authorization, body) = provider.requests("token").remove(0);
    assert!(authorization.starts_with("Basic ") && !body.contains("client_secret"), "{body}");
    for part in ["grant_type=authorization_code", "code=code-hunter2", &format!("code_verifier={verifier}")] {
        assert!(body.contains(part), "{part}: {body}");
    }
    assert!(provider.requests("userinfo").is_empty(), "the token has all that is wanted");
}

#[tokio::test]
async fn token_of_another_sign_in_client_issuer_or_time_is_refused() {
    let provider = Provider::start().await;
    for (changes, reason) in [
        (json!({ "nonce": "d".repeat(64) }), "another sign-in"),
        (json!({ "nonce": null }), "another sign-in"),
        (json!({ "aud": "other" }), "another client"),
        (json!({ "aud": [CLIENT, "other"] }), "another client"),
        (json!({ "azp": "other" }), "another client"),
        (json!({ "iss": "https://other.example" }), "another issuer"),
        (json!({ "exp": now() - 1 }), "expired"),
        (json!({ "sub": "a b" }), "subject"),
    ] {
        let refused = provider.with(changes.clone()).await;
        assert!(is_invalid(&refused, reason), "{changes}: {refused:?}");
    }
    for accepted in [json!({ "azp": CLIENT }), json!({ "aud": [CLIENT] })] {
        assert!(provider.with(accepted.clone()).await.is_ok(), "{accepted}");
    }
}

#[tokio::test]
async fn signature_must_be_that_of_a_published_key_and_no_shared_secret() {
    let provider = Provider::start().await;
    let claims = provider.claims();
    let public = provider.key.public_key().as_ref().to_vec();
    let hmac = |key: Vec<u8>| {
        move |text: &[u8]| {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
            ring::hmac::sign(&key, text).as_ref().to_vec()
        }
    };
    let other = new_key();
    let other_signs = |text: &[u8]| other.sign(text).as_ref().to_vec();
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid });
    let mut changed = provider.sign(&claims);
    changed.replace_range(changed.len() - 4.., "AAAA");
    for (name, token) in [
        ("none", jwt(&json!({ "alg": "none" }), &claims, |_| Vec::new())),
        ("the public key as a secret", jwt(&header("HS256", "k1"), &claims, hmac(public))),
        ("the secret of the client", jwt(&header("HS256", "k1"), &claims, hmac(b"hunter2".to_vec()))),
        ("another key", jwt(&header("EdDSA", "k1"), &claims, other_signs)),
        ("an unknown key", jwt(&header("EdDSA", "k2"), &claims, other_signs)),
        ("a changed signature", changed),
        ("no token", "x".to_owned()),
    ] {
        provider.answer(&token);
        let refused = provider.redeem().await;
        assert!(is_invalid(&refused, ""), "{name}: {refused:?}");
    }
    provider.answer(&provider.sign(&claims));
    provider.redeem().await.unwrap();
    lock(&provider.shared).document["id_token_signing_alg_values_supported"] = json!(["HS256"]);
    assert!(matches!(provider.adapter().probe().await, Err(ProviderError::Invalid(_))));
}

#[tokio::test]
async fn new_key_of_the_provider_is_read_when_a_token_has_it() {
    let provider = Provider::start().await;
    let adapter = provider.adapter_with(Timing { after_read: Duration::ZERO, ..Timing::default() });
    let other = new_key();
    let redeem = async |adapter: &OidcProvider| adapter.redeem("code", &request(), &[]).await;
    provider.answer(&provider.sign(&provider.claims()));
    redeem(&adapter).await.unwrap();
    redeem(&adapter).await.unwrap();
    assert_eq!(provider.requests("document").len(), 1, "the document is kept");
    let header = json!({ "alg": "EdDSA", "kid": "k2" });
    provider.answer(&jwt(&header, &provider.claims(), |text| other.sign(text).as_ref().to_vec()));
    lock(&provider.shared).keys.push(jwk(&other, "k2"));
    redeem(&adapter).await.unwrap();
    assert_eq!(provider.requests("document").len(), 2);
    let careful = provider.adapter();
    lock(&provider.shared).keys.pop();
    assert!(is_invalid(&redeem(&careful).await, "unknown key"));
    lock(&provider.shared).keys.push(jwk(&other, "k2"));
    assert!(is_invalid(&redeem(&careful).await, "unknown key"), "it was read a moment ago");
}

#[tokio::test]
async fn large_slow_and_redirected_responses_are_refused() {
    let provider = Provider::start().await;
    let answer = |response: fn() -> Response| lock(&provider.shared).token = Box::new(response);
    answer(|| json_response(&json!({ "access_token": "x".repeat(MOST_OF_BODY) })));
    let large = provider.redeem().await;
    assert!(matches!(&large, Err(ProviderError::NoResponse(why)) if why.contains("bytes")), "{large:?}");
    answer(|| (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "http://127.0.0.1:9/token")]).into_response());
    let redirected = provider.redeem().await;
    assert!(redirected.is_err(), "{redirected:?}");
    assert_eq!(provider.requests("token").len(), 2, "the code was not sent elsewhere");
    answer(|| {
        (
            StatusCode::BAD_REQUEST,
            json_response(&json!({ "error": "invalid_grant", "error_description": "<b>hunter2" })),
        )
            .into_response()
    });
    let refused = provider.redeem().await;
    assert!(is_invalid(&refused, "invalid_grant") && !format!("{refused:?}").contains("hunter2"), "{refused:?}");
    answer(|| "no JSON: hunter2".into_response());
    let unreadable = provider.redeem().await;
    assert!(unreadable.is_err() && !format!("{unreadable:?}").contains("hunter2"), "{unreadable:?}");
    let silent = format!("{}/silent", lock(&provider.shared).issuer);
    lock(&provider.shared).document["token_endpoint"] = json!(silent);
    assert!(is_silent(&provider.redeem().await));
}

#[tokio::test]
async fn document_must_be_that_of_the_issuer() {
    let provider = Provider::start().await;
    let probe = async || provider.adapter().probe().await;
    probe().await.unwrap();
    let good = lock(&provider.shared).document.clone();
    for (field, value) in [
        ("issuer", json!("https://other.example")),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("end_session_endpoint", json!("ftp://127.0.0.1/")),
        ("jwks_uri", json!(7)),
        ("token_endpoint", json!("no URL")),
    ] {
        lock(&provider.shared).document[field] = value;
        assert!(matches!(probe().await, Err(ProviderError::NoResponse(_))), "{field}");
        lock(&provider.shared).document = good.clone();
    }
}

#[tokio::test]
async fn provider_that_does_not_respond_is_not_asked_at_once_again_and_the_last_document_serves() {
    let provider = Provider::start().await;
    let timing = Timing { fresh_for: Duration::ZERO, after_read: Duration::ZERO, ..Timing::default() };
    let adapter = provider.adapter_with(timing);
    let good = lock(&provider.shared).document.clone();
    lock(&provider.shared).document = json!({});
    for _ in 0..3 {
        assert!(matches!(adapter.sign_in_url(&request()).await, Err(ProviderError::NoResponse(_))));
    }
    assert_eq!(provider.requests("document").len(), 1);
    lock(&provider.shared).document = good;
    let patient = provider.adapter_with(Timing { after_failure: Duration::ZERO, ..timing });
    patient.sign_in_url(&request()).await.unwrap();
    lock(&provider.shared).document = json!({});
    patient.sign_in_url(&request()).await.unwrap();
    assert_eq!(provider.requests("document").len(), 3, "it was asked");
}

#[tokio::test]
async fn one_sign_in_reads_an_old_document_again_and_the_others_do_not_wait_for_it() {
    let provider = Provider::start().await;
    let adapter = provider.adapter_with(Timing { fresh_for: Duration::ZERO, ..Timing::default() });
    adapter.sign_in_url(&request()).await.unwrap();
    let gate = Arc::new(Gate::default());
    lock(&provider.shared).gate = Some(Arc::clone(&gate));
    let request = request();
    let mut first = pin!(adapter.sign_in_url(&request));
    tokio::select! {
        url = &mut first => panic!("the document was not read again: {url:?}"),
        () = gate.reached.notified() => {}
    }
    adapter.sign_in_url(&request).await.unwrap();
    assert_eq!(provider.requests("document").len(), 2);
    gate.open.notify_one();
    first.await.unwrap();
}

#[tokio::test]
async fn claims_that_the_token_lacks_come_from_the_endpoint_for_them_and_are_about_the_same_person() {
    let provider = Provider::start().await;
    let without_groups = json!({ "groups": null, "preferred_username": "ana" });
    let answer = |claims: Value| lock(&provider.shared).user_info = Box::new(move || json_response(&claims));
    answer(json!({ "sub": "auth0|7", "groups": ["ops"], "preferred_username": "other" }));
    let person = provider.with(without_groups.clone()).await.unwrap();
    assert_eq!((&person.claims["groups"], &person.claims["preferred_username"]), (&json!(["ops"]), &json!("ana")));
    assert_eq!(provider.requests("userinfo")[0].0, "Bearer access-hunter2");
    answer(json!({ "sub": "8", "groups": ["admins"] }));
    assert!(is_invalid(&provider.with(without_groups.clone()).await, "another person"));
    answer(json!({ "groups": ["admins"] }));
    assert!(is_invalid(&provider.with(without_groups.clone()).await, "another person"));
    lock(&provider.shared).user_info = Box::new(|| StatusCode::FORBIDDEN.into_response());
    let person = provider.with(without_groups.clone()).await.unwrap();
    assert!(!person.claims.contains_key("groups"));
    for status in [StatusCode::BAD_GATEWAY, StatusCode::TOO_MANY_REQUESTS] {
        lock(&provider.shared).user_info = Box::new(move || status.into_response());
        assert!(is_silent(&provider.with(without_groups.clone()).await), "roles must not be lost by a failure");
    }
    lock(&provider.shared).user_info = Box::new(|| "<html>hunter2".into_response());
    assert!(is_invalid(&provider.with(without_groups).await, "cannot be read"));
    let before = provider.requests("userinfo").len();
    let elsewhere = json!({ "groups": null, "_claim_names": { "groups": "src1" } });
    provider.with(elsewhere).await.unwrap();
    assert_eq!(provider.requests("userinfo").len(), before, "the claim is elsewhere");
}

#[tokio::test]
async fn sign_out_leads_to_the_provider_and_back() {
    let provider = Provider::start().await;
    let url = provider.adapter().sign_out_url().await.unwrap().unwrap();
    let url = url::Url::parse(&url).unwrap();
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    assert_eq!(url.path(), "/end");
    assert!(query.contains(&("client_id".into(), CLIENT.into())), "{url}");
    assert!(query.contains(&("post_logout_redirect_uri".into(), "https://scans.example.com/login".into())), "{url}");
    lock(&provider.shared).document.as_object_mut().unwrap().remove("end_session_endpoint");
    assert_eq!(provider.adapter().sign_out_url().await.unwrap(), None);
}

#[test]
fn debug_output_has_no_secret() {
    let options = OidcOptions {
        issuer: "https://id.example".into(),
        client_id: CLIENT.into(),
        client_secret: Some("hunter2".into()),
        redirect_url: "https://scans.example.com/login/oidc/callback".into(),
        signed_out_url: "https://scans.example.com/login".into(),
        scopes: Vec::new(),
    };
    let shown = format!("{:?} {:?} {:?}", options.clone(), OidcProvider::new(options).unwrap(), request());
    assert!(!shown.contains("hunter2") && !shown.contains(&request().verifier), "{shown}");
}
