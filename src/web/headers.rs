//! The security headers of our pages, which allow almost nothing.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};

use super::base_path::in_page;

/// Allows only files of this site: no inline scripts or styles, no frames of other sites, and no
/// framing by other sites.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
                           frame-ancestors 'none'; frame-src 'self'; base-uri 'none'";

/// The headers of a page. `Referrer-Policy` is `same-origin` and not `no-referrer`, because with
/// the latter browsers send `Origin: null` with our own forms, which then fail the origin check.
pub(crate) struct PageHeaders;

impl IntoResponseParts for PageHeaders {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        let headers = parts.headers_mut();
        set(headers, header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
        set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(headers, header::REFERRER_POLICY, "same-origin");
        set(headers, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        set(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
        set(
            headers,
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        );
        set(headers, header::CACHE_CONTROL, "no-store");
        Ok(parts)
    }
}

/// Renders a page with its headers.
pub(crate) fn page(template: &impl askama::Template) -> Response {
    match template.render() {
        Ok(html) => (PageHeaders, axum::response::Html(in_page(html))).into_response(),
        Err(error) => super::error::Problem::internal(error).into_response(),
    }
}

/// Keeps the path and the query of a page out of the `Referer` of its requests, also of those to
/// this site: a proxy writes that header to its log. For pages whose query is a secret. Forms of
/// such a page still send `Origin`.
pub(crate) fn with_secret_address(mut response: Response) -> Response {
    set(response.headers_mut(), header::REFERRER_POLICY, "strict-origin");
    response
}

/// Sets the headers of each response below the path of a public link: the path is a secret, and the
/// response is for its visitor alone. The page with the form for a password must send `Origin`, so
/// it has the policy of [`with_secret_address`].
pub(crate) fn set_link_headers(headers: &mut HeaderMap) {
    set(headers, header::CACHE_CONTROL, "no-store");
    set(headers, HeaderName::from_static("x-robots-tag"), "noindex");
    if headers.get(header::REFERRER_POLICY).is_none_or(|policy| policy != "strict-origin") {
        set(headers, header::REFERRER_POLICY, "no-referrer");
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
