//! `GET /api/proof`: proves to a command line client that this server holds the key of the client's
//! data folder.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use kastrel_actors::model::FieldError;
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa::ToSchema;

use super::scans::fresh;
use crate::server_proof::Challenge;
use crate::web::error::{Problem, ProblemBody, ProblemKind};
use crate::web::state::Web;

/// The challenge of the client.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents what is read by hand, so that a wrong parameter is named")]
pub(crate) struct ProofParams {
    /// 32 random bytes, as hexadecimal digits.
    #[param(pattern = "^[0-9a-fA-F]{64}$")]
    challenge: String,
}

/// The response to a challenge.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Proof {
    /// HMAC-SHA256 of the challenge and the server's address, with the key of the data folder.
    proof: String,
}

/// Proves that this server holds the key of its data folder. Commands that use that folder request
/// the proof before they send anything else.
#[utoipa::path(
    get, path = "/api/proof", tag = "server", params(ProofParams),
    responses(
        (status = 200, description = "The proof", body = Proof, content_type = "application/json"),
        (status = 400, description = "No challenge", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "This server has no data folder that commands use", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn prove(State(web): State<Web>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let given = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .find(|(name, _)| name == "challenge")
        .map(|(_, value)| value.into_owned());
    let Some(challenge) = given.as_deref().and_then(Challenge::parse) else {
        return Err(Problem::fields(
            ProblemKind::InvalidQuery,
            vec![FieldError::new("challenge", "expected 64 hexadecimal digits")],
        ));
    };
    let Some(server) = &web.state.proof else {
        return Err(Problem::not_found("this server has no data folder that commands use"));
    };
    Ok(fresh(StatusCode::OK, &Proof { proof: server.key.prove(&challenge, &server.url) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server_proof::ServerKey;
    use crate::web::ServerProof;
    use crate::web::testing::{TestApp, json_of};

    #[tokio::test]
    async fn challenge_response_uses_the_key_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let key = ServerKey::open(folder.path()).unwrap();
        let (challenge, url) = (Challenge::random(), "http://127.0.0.1:5000".to_owned());
        let path = format!("/api/proof?challenge={challenge}");
        assert_eq!(TestApp::new().get(&path).await.status(), 404);
        let app = TestApp::with_proof(ServerProof { key: key.clone(), url: url.clone() });
        let body = json_of(app.get(&path).await).await;
        assert!(key.accepts(body["proof"].as_str().unwrap(), &challenge, &url));
        for wrong in ["/api/proof", "/api/proof?challenge=", "/api/proof?challenge=xyz", "/api/proof?other=1"] {
            assert_eq!(app.get(wrong).await.status(), 400, "{wrong}");
        }
    }
}
