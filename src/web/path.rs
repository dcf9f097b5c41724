//! Extracts scan ids from paths. An invalid id gets the same response as an unknown scan: not
//! found.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use kastrel_actors::model::{AttemptNumber, ScanId};

use super::error::Problem;
use super::text::PLUGIN_MARK;

/// The `{id}` of the path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PathId(pub(crate) ScanId);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| no_scan())?;
        number(&params, "id").map(|id| Self(ScanId(id)))
    }
}

/// The `{id}`, `{n}` and `{*path}` of a file's path.
#[derive(Debug, Clone)]
pub(crate) struct FilePath {
    pub(crate) id: ScanId,
    pub(crate) attempt: AttemptNumber,
    pub(crate) path: String,
}

impl<S: Send + Sync> FromRequestParts<S> for FilePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| no_scan())?;
        let id = ScanId(number(&params, "id")?);
        let attempt = u32::try_from(number(&params, "n")?).map(AttemptNumber).map_err(|_| no_scan())?;
        let path =
            params.iter().find(|(name, _)| *name == "path").map(|(_, value)| value.to_owned()).ok_or_else(no_scan)?;
        Ok(Self { id, attempt, path })
    }
}

/// The `{id}` and `{name}` of a plugin's path.
#[derive(Debug, Clone)]
pub(crate) struct PluginPath {
    pub(crate) id: ScanId,
    pub(crate) name: String,
}

impl<S: Send + Sync> FromRequestParts<S> for PluginPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| no_scan())?;
        let name = params.iter().find(|(name, _)| *name == "name").map(|(_, value)| value).ok_or_else(no_scan)?;
        Ok(Self { id: ScanId(number(&params, "id")?), name: name.strip_prefix(PLUGIN_MARK).unwrap_or(name).to_owned() })
    }
}

/// The response for a scan that does not exist.
pub(crate) fn no_scan() -> Problem {
    Problem::not_found("scan not found")
}

fn number(params: &RawPathParams, name: &str) -> Result<u64, Problem> {
    let text = params.iter().find(|(param, _)| *param == name).map_or("", |(_, value)| value);
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(no_scan)
}
