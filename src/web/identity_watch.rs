//! Ends an event stream when its viewer may not read it any more: the account was disabled, its
//! rights changed, or its session or token ended.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::Response;
use futures_util::StreamExt as _;
use kastrel_actors::model::Grants;

use super::identify::resolve;
use super::sender::{Credential, Sender};
use super::state::Web;

/// The interval of the checks. With the time that an identity is cached, a change takes effect
/// within a second.
const EVERY: Duration = Duration::from_millis(400);

/// Returns the response; an event stream ends when the identity of its sender changes. Clients
/// reconnect, and are then refused.
pub(crate) fn watched(web: &Web, sender: &Sender, response: Response) -> Response {
    let is_stream = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("text/event-stream"));
    let (Some(credential), Some(grants), true) = (&sender.credential, &sender.identity.grants, is_stream) else {
        return response;
    };
    let (head, body) = response.into_parts();
    let changed = Box::pin(changed(Arc::clone(web), credential.clone(), Arc::clone(grants)));
    Response::from_parts(head, Body::from_stream(body.into_data_stream().take_until(changed)))
}

/// Completes when the credential is not valid any more, or has other rights. While the store does
/// not respond, nobody can change an account, so the stream continues.
async fn changed(web: Web, credential: Credential, grants: Arc<Grants>) {
    loop {
        tokio::time::sleep(EVERY).await;
        match resolve(&web, &credential).await {
            Ok(Some(now)) if now.grants == grants => {}
            Ok(_) => return,
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "could not check the viewer of an event stream"
                );
            }
        }
    }
}
