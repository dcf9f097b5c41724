//! `GET /api/proof`: proves to a command line client that this server holds the key of the client's
//! data folder.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use kastrel_actors::model::FieldError;
use url::form_urlencoded;

use super::scans::fresh;
use crate::api_types::{ProblemBody, Proof};
use crate::server_proof::Challenge;
use crate::web::error::{Problem, ProblemKind};
use crate::web::state::Web;

/// The challenge of the client.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProofParams {
    /// 32 random bytes, as hexadecimal digits.
    #[param(pattern = "^[0-9a-fA-F]{64}$")]
    challenge: String,
}

impl ProofParams {
    /// Reads the query. A missing challenge is empty.
    fn read(query: Option<&str>) -> Self {
        let mut given = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let challenge = given.find(|(name, _)| name == "challenge").map(|(_, value)| value.into_owned());
        Self { challenge: challenge.unwrap_or_default() }
    }
}

/// Proves that this server holds the key of its data folder. Commands that use that folder request
/// the proof before they send anything else.
#[utoipa::path(
    get, path = "/api/proof", tag = "server", params(ProofParams),
    responses(
        (status = 200, description = "The proof", body = Proof, content_type = "application/json"),
        (status = 400, description = "No challenge", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "This server has no data folder that commands use", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn prove(State(web): State<Web>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let ProofParams { challenge } = ProofParams::read(query.as_deref());
    let Some(challenge) = Challenge::parse(&challenge) else {
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
