//! The cookies of a request.

use axum::http::{HeaderMap, header};

/// Returns the values of the cookies with a name, in the order of the request. Each cookie is
/// decoded by itself: a foreign cookie with other bytes does not hide the ones that follow.
pub fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let pairs = cookies.filter_map(|cookie| std::str::from_utf8(cookie).ok()?.trim().split_once('='));
    pairs.filter(move |(given, _)| *given == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn values_of_a_name_are_found_in_all_headers_beside_other_bytes() {
        let mut headers = HeaderMap::new();
        for value in [&b"a=1; \xff=2;b=3"[..], b"a=4; ab=5;a;a=\xff", b"a=x=y"] {
            headers.append(header::COOKIE, HeaderValue::from_bytes(value).unwrap());
        }
        let of = |name: &'static str| values(&headers, name).collect::<Vec<_>>();
        assert_eq!(of("a"), ["1", "4", "x=y"]);
        assert_eq!(of("b"), ["3"]);
        assert!(of("c").is_empty());
    }
}
