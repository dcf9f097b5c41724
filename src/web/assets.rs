//! The style sheets, scripts and icon, embedded in the binary.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::error::Problem;

/// A file embedded in the binary.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    content: &'static str,
}

const ASSETS: &[Asset] = &[
    Asset { name: "app.css", content_type: "text/css; charset=utf-8", content: include_str!("assets/app.css") },
    Asset { name: "app.js", content_type: "text/javascript; charset=utf-8", content: include_str!("assets/app.js") },
    Asset { name: "live.js", content_type: "text/javascript; charset=utf-8", content: include_str!("assets/live.js") },
    Asset { name: "form.js", content_type: "text/javascript; charset=utf-8", content: include_str!("assets/form.js") },
    Asset { name: "log.js", content_type: "text/javascript; charset=utf-8", content: include_str!("assets/log.js") },
    Asset {
        name: "passkey.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("assets/passkey.js"),
    },
    Asset { name: "icon.svg", content_type: "image/svg+xml", content: include_str!("assets/icon.svg") },
];

impl Asset {
    /// A hash of the content, so that a browser never mixes two versions.
    fn version(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.content.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Returns the URL of an asset, which changes with its content.
pub(crate) fn url(name: &str) -> String {
    let version = ASSETS.iter().find(|asset| asset.name == name).map(Asset::version).unwrap_or_default();
    format!("/assets/{name}?v={version}")
}

/// Serves an asset. A browser may cache it forever if the request names its version; otherwise it
/// must revalidate it each time.
pub(crate) async fn serve(
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or_else(|| Problem::not_found("file not found"))?;
    let version = asset.version();
    let etag = format!("\"{version}\"");
    let asked_by_version = query.is_some_and(|query| query == format!("v={version}"));
    let cache = if asked_by_version { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|tags| {
        tags.to_str().is_ok_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag))
    });
    let caching = [(header::ETAG, etag.as_str()), (header::CACHE_CONTROL, cache)];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let about = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ];
    Ok((caching, about, asset.content).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::testing::{TestApp, header_of};

    #[tokio::test]
    async fn an_address_with_the_version_is_kept_for_ever_and_one_without_is_checked() {
        let app = TestApp::new();
        for asset in ASSETS {
            let kept = app.get(&url(asset.name)).await;
            assert_eq!(
                (kept.status().as_u16(), header_of(&kept, "cache-control")),
                (200, "public, max-age=31536000, immutable")
            );
            let plain = app.get(&format!("/assets/{}", asset.name)).await;
            assert_eq!(
                (header_of(&plain, "cache-control"), header_of(&plain, "content-type")),
                ("no-cache", asset.content_type)
            );
            let etag = header_of(&plain, "etag").to_owned();
            let again = app.send("GET", &format!("/assets/{}", asset.name), &[("if-none-match", &etag)], "").await;
            assert_eq!(again.status(), 304);
        }
        assert_eq!(app.get("/assets/..%2f..%2fCargo.toml").await.status(), 404);
    }

    #[test]
    fn scripts_and_styles_load_nothing_from_other_sites() {
        for asset in ASSETS {
            let strange = asset.content.replace("http://www.w3.org/2000/svg", "");
            assert!(!strange.contains("http://") && !strange.contains("https://"), "{}", asset.name);
        }
    }
}
