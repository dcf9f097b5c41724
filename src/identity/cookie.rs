//! The cookies of a session, of a sign-in which waits for the second factor or for the identity
//! provider, and of a public link with a password: their names, their attributes, and how they are
//! read.
//!
//! The name has the strictest prefix that the address allows. A browser accepts a `__Host-` cookie
//! only with `Secure`, `Path=/` and no domain, so neither another host below the same domain nor a
//! page without TLS can set one. Below another base path the prefix is `__Secure-`, because
//! the cookie belongs to that path alone. Without TLS no prefix is possible.

use std::time::Duration;

use axum::http::HeaderMap;

use super::secret::RandomSecret;
use crate::cookies;

/// The names of a cookie.
struct Names {
    plain: &'static str,
    at_root: &'static str,
    below: &'static str,
}

const SESSION: Names =
    Names { plain: "kastrel-session", at_root: "__Host-kastrel-session", below: "__Secure-kastrel-session" };

const PENDING: Names =
    Names { plain: "kastrel-sign-in", at_root: "__Host-kastrel-sign-in", below: "__Secure-kastrel-sign-in" };

const PROVIDER: Names =
    Names { plain: "kastrel-provider", at_root: "__Host-kastrel-provider", below: "__Secure-kastrel-provider" };

/// The cookie belongs to the path of its link, which is never the root.
const LINK: Names = Names { plain: "kastrel-link", at_root: "__Secure-kastrel-link", below: "__Secure-kastrel-link" };

/// Returns the value of the `Set-Cookie` header that starts a session. `base_path` is the prefix of
/// our paths, such as `/kastrel`; an empty text and `/` both mean the root. The cookie is valid for
/// `max_age`, in whole seconds. Scripts cannot read it, and forms of other sites do not send it.
#[must_use]
pub fn session_cookie(secret: &RandomSecret, is_https: bool, base_path: &str, max_age: Duration) -> String {
    cookie(&SESSION, secret.expose(), is_https, base_path, max_age.as_secs())
}

/// Returns the value of the `Set-Cookie` header that removes the session cookie.
#[must_use]
pub fn cleared_cookie(is_https: bool, base_path: &str) -> String {
    cookie(&SESSION, "", is_https, base_path, 0)
}

/// Returns the value of the `Set-Cookie` header of a sign-in that waits for the second factor. Its
/// attributes are those of [`session_cookie`].
#[must_use]
pub fn pending_cookie(secret: &RandomSecret, is_https: bool, base_path: &str, max_age: Duration) -> String {
    cookie(&PENDING, secret.expose(), is_https, base_path, max_age.as_secs())
}

/// Returns the value of the `Set-Cookie` header that removes the cookie of a pending sign-in.
#[must_use]
pub fn cleared_pending_cookie(is_https: bool, base_path: &str) -> String {
    cookie(&PENDING, "", is_https, base_path, 0)
}

/// Returns the value of the `Set-Cookie` header of a sign-in that waits for the identity provider.
/// Its attributes are those of [`session_cookie`]: with `SameSite=Lax`, the browser sends it when
/// the provider sends the browser back.
#[must_use]
pub fn provider_cookie(secret: &RandomSecret, is_https: bool, base_path: &str, max_age: Duration) -> String {
    cookie(&PROVIDER, secret.expose(), is_https, base_path, max_age.as_secs())
}

/// Returns the value of the `Set-Cookie` header that removes the cookie of a sign-in that waits for
/// the identity provider.
#[must_use]
pub fn cleared_provider_cookie(is_https: bool, base_path: &str) -> String {
    cookie(&PROVIDER, "", is_https, base_path, 0)
}

/// Returns the value of the `Set-Cookie` header with which a public link opens without its
/// password. `path` is that of the link. Its other attributes are those of [`session_cookie`].
#[must_use]
pub fn link_cookie(pass: &RandomSecret, is_https: bool, path: &str, max_age: Duration) -> String {
    cookie(&LINK, pass.expose(), is_https, path, max_age.as_secs())
}

/// Returns the first valid secret of a request's session cookies. Only the name of this kind of
/// connection counts: a cookie without prefix has no effect on a connection with TLS.
#[must_use]
pub fn read(headers: &HeaderMap, is_https: bool, base_path: &str) -> Option<RandomSecret> {
    read_cookie(&SESSION, headers, is_https, base_path)
}

/// Returns the first valid secret of a request's cookies of a pending sign-in.
#[must_use]
pub fn read_pending(headers: &HeaderMap, is_https: bool, base_path: &str) -> Option<RandomSecret> {
    read_cookie(&PENDING, headers, is_https, base_path)
}

/// Returns the first valid secret of a request's cookies of a sign-in that waits for the identity
/// provider.
#[must_use]
pub fn read_provider(headers: &HeaderMap, is_https: bool, base_path: &str) -> Option<RandomSecret> {
    read_cookie(&PROVIDER, headers, is_https, base_path)
}

/// Returns the first valid secret of a request's cookies of the public link with this path.
#[must_use]
pub fn read_link(headers: &HeaderMap, is_https: bool, path: &str) -> Option<RandomSecret> {
    read_cookie(&LINK, headers, is_https, path)
}

fn read_cookie(names: &Names, headers: &HeaderMap, is_https: bool, base_path: &str) -> Option<RandomSecret> {
    cookies::values(headers, names.of(is_https, base_path)).find_map(|value| RandomSecret::parse(value).ok())
}

fn cookie(names: &Names, value: &str, is_https: bool, base_path: &str, max_age: u64) -> String {
    let (name, path) = (names.of(is_https, base_path), path(base_path));
    let secure = if is_https { "; Secure" } else { "" };
    format!("{name}={value}; Path={path}; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}")
}

impl Names {
    fn of(&self, is_https: bool, base_path: &str) -> &'static str {
        match (is_https, path(base_path)) {
            (true, "/") => self.at_root,
            (true, _) => self.below,
            (false, _) => self.plain,
        }
    }
}

/// Returns the path attribute: a slash at the end has no meaning.
fn path(base_path: &str) -> &str {
    match base_path.trim_end_matches('/') {
        "" => "/",
        path => path,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header;
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = SESSION.plain;
    const NAME_AT_ROOT: &str = SESSION.at_root;
    const NAME_BELOW: &str = SESSION.below;

    fn secret(digit: char) -> RandomSecret {
        RandomSecret::parse(&digit.to_string().repeat(64)).unwrap()
    }

    fn headers(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, axum::http::HeaderValue::from_bytes(cookie.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn name_and_attributes_follow_the_connection_and_the_base_path() {
        let value = "a".repeat(64);
        for (is_https, base_path, name, path, secure) in [
            (true, "/", "__Host-kastrel-session", "/", "; Secure"),
            (true, "", "__Host-kastrel-session", "/", "; Secure"),
            (true, "/kastrel", "__Secure-kastrel-session", "/kastrel", "; Secure"),
            (true, "/kastrel/", "__Secure-kastrel-session", "/kastrel", "; Secure"),
            (false, "/", "kastrel-session", "/", ""),
            (false, "", "kastrel-session", "/", ""),
            (false, "/tools/kastrel", "kastrel-session", "/tools/kastrel", ""),
        ] {
            let set = session_cookie(&secret('a'), is_https, base_path, Duration::from_millis(90_500));
            let attributes = |age: u64| format!("Path={path}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
            assert_eq!(set, format!("{name}={value}; {}", attributes(90)), "{is_https} {base_path}");
            let cleared = cleared_cookie(is_https, base_path);
            assert_eq!(cleared, format!("{name}=; {}", attributes(0)), "{is_https} {base_path}");
        }
    }

    #[test]
    fn first_valid_cookie_of_the_exact_name_is_read() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let text = |name: &str, value: &str| format!("{name}={value}");
        let host = text(NAME_AT_ROOT, &a);
        let plain = text(NAME, &b);
        let of = |cookies: &[&str]| read(&headers(cookies), true, "/").map(|secret| secret.expose().to_owned());
        assert_eq!(of(&[&host]), Some(a.clone()));
        assert_eq!(of(&[&format!("kastrel-theme=dark; {plain};{host} ; x=y")]), Some(a.clone()));
        assert_eq!(of(&["x=y", &host]), Some(a.clone()), "several headers");
        assert_eq!(of(&[&format!("{NAME_AT_ROOT}=; {NAME_AT_ROOT}=x; {host}")]), Some(a.clone()));
        assert_eq!(of(&[&format!("{host}; {NAME_AT_ROOT}={b}")]), Some(a.clone()));
        for cookie in [
            "",
            NAME_AT_ROOT,
            &plain,
            &text(NAME_BELOW, &a),
            &text("x__Host-kastrel-session", &a),
            &text("__host-kastrel-session", &a),
            &format!("x={host}"),
            &format!("{host}0"),
            &text(NAME_AT_ROOT, &format!("\"{a}\"")),
        ] {
            assert_eq!(of(&[cookie]), None, "{cookie}");
        }
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn cookie_of_one_kind_of_connection_has_no_effect_on_another() {
        let kinds = [(true, "/"), (true, "/kastrel"), (false, "/")];
        for (set_https, set_base) in kinds {
            let set = session_cookie(&secret('c'), set_https, set_base, Duration::from_secs(1));
            let sent = headers(&[set.split(';').next().unwrap()]);
            for (https, base) in kinds {
                let is_read = read(&sent, https, base).is_some();
                assert_eq!(is_read, (https, base) == (set_https, set_base), "{https} {base} {set}");
            }
        }
    }

    #[test]
    fn cookie_of_a_public_link_belongs_to_its_path() {
        let path = format!("/kastrel/shared/{}", "b".repeat(64));
        let value = "a".repeat(64);
        for (is_https, name, secure) in [(true, "__Secure-kastrel-link", "; Secure"), (false, "kastrel-link", "")] {
            let set = link_cookie(&secret('a'), is_https, &path, Duration::from_secs(60));
            assert_eq!(set, format!("{name}={value}; Path={path}; Max-Age=60; HttpOnly; SameSite=Lax{secure}"));
            let sent = headers(&[&format!("{name}={value}")]);
            assert_eq!(read_link(&sent, is_https, &path).unwrap().expose(), value);
            assert!(read_link(&sent, !is_https, &path).is_none());
            assert!(read(&sent, is_https, "/").is_none());
        }
    }

    #[test]
    fn cookie_of_a_pending_sign_in_is_no_session() {
        for (is_https, base_path, prefix) in [(true, "/", "__Host-"), (true, "/x", "__Secure-"), (false, "/", "")] {
            let set = pending_cookie(&secret('d'), is_https, base_path, Duration::from_secs(300));
            assert!(set.starts_with(&format!("{prefix}kastrel-sign-in=dddd")), "{set}");
            assert!(set.contains("; Max-Age=300; HttpOnly; SameSite=Lax"), "{set}");
            let sent = headers(&[set.split(';').next().unwrap()]);
            assert!(read(&sent, is_https, base_path).is_none(), "{set}");
            assert_eq!(read_pending(&sent, is_https, base_path).unwrap().digest(), secret('d').digest());
            let session = session_cookie(&secret('e'), is_https, base_path, Duration::from_secs(1));
            assert!(read_pending(&headers(&[session.split(';').next().unwrap()]), is_https, base_path).is_none());
            let cleared = cleared_pending_cookie(is_https, base_path);
            assert!(cleared.starts_with(&format!("{prefix}kastrel-sign-in=;")) && cleared.contains("Max-Age=0"));
        }
    }

    #[test]
    fn cookie_of_a_sign_in_with_the_provider_is_no_session_and_returns_with_the_browser() {
        for (is_https, base_path, prefix) in [(true, "/", "__Host-"), (true, "/x", "__Secure-"), (false, "/", "")] {
            let set = provider_cookie(&secret('d'), is_https, base_path, Duration::from_secs(600));
            assert!(set.starts_with(&format!("{prefix}kastrel-provider=dddd")), "{set}");
            assert!(set.contains("; Max-Age=600; HttpOnly; SameSite=Lax"), "{set}");
            let sent = headers(&[set.split(';').next().unwrap()]);
            assert!(read(&sent, is_https, base_path).is_none() && read_pending(&sent, is_https, base_path).is_none());
            assert_eq!(read_provider(&sent, is_https, base_path).unwrap().digest(), secret('d').digest());
            let cleared = cleared_provider_cookie(is_https, base_path);
            assert!(cleared.starts_with(&format!("{prefix}kastrel-provider=;")) && cleared.contains("Max-Age=0"));
        }
    }

    #[test]
    fn foreign_cookie_with_bytes_that_are_no_text_does_not_hide_the_session() {
        let cookies = [b"name=\xe9; kastrel-session=".as_slice(), &[b'a'; 64]].concat();
        let value = axum::http::HeaderValue::from_bytes(&cookies).unwrap();
        let sent = HeaderMap::from_iter([(header::COOKIE, value)]);
        assert_eq!(read(&sent, false, "/").unwrap().digest(), secret('a').digest());
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(text in "[\\x20-\\x7e\\x80-\\xff]{0,200}") {
            if let Ok(value) = axum::http::HeaderValue::from_bytes(text.as_bytes()) {
                let sent = HeaderMap::from_iter([(header::COOKIE, value)]);
                prop_assert!(read(&sent, false, "/").is_none());
            }
        }
    }
}
