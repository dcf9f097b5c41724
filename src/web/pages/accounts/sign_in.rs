//! What the two steps of a sign-in share: where it leads, its cookies, and its waits.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use kastrel_actors::policy::second_factor::SignInStep;

use crate::identity::cookie::session_cookie;
use crate::service::access::NewSession;
use crate::web::base_path::of_cookies;
use crate::web::viewer::Viewer;

/// Returns a path of this site; `/` if the text is anything else.
pub(super) fn local(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//");
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_path && is_plain { next } else { "/" }
}

/// Returns the address of a step of the sign-in that leads to `next`.
pub(super) fn step_url(step: SignInStep, next: &str) -> String {
    let path = if step == SignInStep::Enrolment { "/login/second-factor" } else { "/login/code" };
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
    if next == "/" { path.to_owned() } else { format!("{path}?{query}") }
}

/// Returns the `User-Agent` of a client.
pub(super) fn agent_of(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
    agent.unwrap_or_default()
}

/// Returns the seconds after which a time is over: at least one.
pub(super) fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// Adds a `Set-Cookie` header to a response, which no cache keeps.
pub(super) fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Adds the cookie of a session to a response. The browser replaces the one that it had.
pub(super) fn with_session(response: Response, viewer: &Viewer, session: &NewSession) -> Response {
    with_cookie(response, &session_cookie(&session.secret, viewer.is_https, &of_cookies(), session.max_age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_in_leads_to_a_path_of_this_site() {
        for (next, path) in [
            ("/", "/"),
            ("/scans?status=failed&x=%2F", "/scans?status=failed&x=%2F"),
            ("/scans/1#plugins", "/scans/1#plugins"),
            ("", "/"),
            ("scans", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/scans\\x", "/"),
            ("/\t/evil.example", "/"),
            ("/scans\r\nset-cookie: a=b", "/"),
            ("https://evil.example/", "/"),
            ("javascript:alert(1)", "/"),
            ("/é", "/"),
        ] {
            assert_eq!(local(next), path, "{next}");
        }
    }

    #[test]
    fn wait_is_never_shown_shorter_than_it_is() {
        for (milliseconds, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(milliseconds)), seconds);
        }
    }

    #[test]
    fn step_keeps_the_page_to_which_the_sign_in_leads() {
        for (step, next, url) in [
            (SignInStep::Code, "/", "/login/code"),
            (SignInStep::Code, "/scans?status=failed", "/login/code?next=%2Fscans%3Fstatus%3Dfailed"),
            (SignInStep::Enrolment, "/", "/login/second-factor"),
            (SignInStep::Enrolment, "/new", "/login/second-factor?next=%2Fnew"),
        ] {
            assert_eq!(step_url(step, next), url);
        }
    }
}
