//! The sender of a request that manages accounts.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use kastrel_actors::model::Principal;

use super::error::Problem;
use super::state::Web;
use super::viewer::Viewer;

/// The sender of a request that reads or changes accounts. Without accounts, every client has all
/// rights; but an account or a token that a stranger made then would still be valid after accounts
/// are turned on. So until then only commands that can read the data folder manage accounts.
pub(crate) struct Manager(pub(crate) Viewer);

impl FromRequestParts<Web> for Manager {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let viewer = Viewer::from_request_parts(parts, web).await.unwrap_or_else(|never| match never {});
        if !web.has_accounts() && viewer.context.principal != Principal::System {
            return Err(Problem::denied(
                "accounts are turned off (auth.mode): only commands on the server's data folder manage them",
            ));
        }
        Ok(Self(viewer))
    }
}
