//! Requests to the provider.

use std::pin::Pin;
use std::time::Duration;

use openidconnect::http::Response;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

/// The largest response, in bytes. Those of real providers have some ten thousand.
pub(super) const MOST_OF_BODY: usize = 1_048_576;

/// A request that got no usable response. The texts have nothing of a response.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The request could not be sent, or there was no response in time.
    #[error("the request failed")]
    Failed(#[source] reqwest::Error),
    /// The response is too large.
    #[error("the response has more than {MOST_OF_BODY} bytes")]
    TooLarge,
    /// The response cannot be represented.
    #[error("the response is not valid")]
    Invalid(#[source] openidconnect::http::Error),
}

/// A client that follows no redirect: a code or a secret must not be sent elsewhere.
#[derive(Debug, Clone)]
pub(super) struct Http(reqwest::Client);

impl Http {
    pub(super) fn new(limit: Duration) -> Result<Self, HttpError> {
        // An existing provider of cryptography stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(limit)
            .timeout(limit)
            .user_agent(concat!("kastrel/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(HttpError::Failed)?;
        Ok(Self(client))
    }

    /// Sends a request, and reads its response up to a limit.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // The address of a request has no secret, but errors need none of it.
        let failed = |error: reqwest::Error| HttpError::Failed(error.without_url());
        let mut response = self.0.execute(request.try_into().map_err(failed)?).await.map_err(failed)?;
        let mut builder = Response::builder().status(response.status());
        for (name, value) in response.headers() {
            builder = builder.header(name, value);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MOST_OF_BODY {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        builder.body(body).map_err(HttpError::Invalid)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
