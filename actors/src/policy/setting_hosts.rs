//! Extracts the hosts from the value of a scanner's setting. Pure.
//!
//! The value of a setting for an address is parsed completely and as strictly as a target: an
//! address that programs read differently is refused. In all other values only unambiguous forms
//! are found: URLs, addresses, `address:port` and `localhost`.

use std::net::{IpAddr, SocketAddr};

use crate::model::{Host, Lock, SettingNature, Target, TargetError, json_texts};

/// Why the value of a setting cannot be checked. Each text completes "the address …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The value contains white space or has another form.
    #[error("is not of the form [scheme://][user[:password]@]host[:port][/path]")]
    Form,
    /// The value contains a backslash: `http://a.test\@b.test`.
    #[error("has a backslash, which programs read differently; write `/`, or %5C within a password")]
    Backslash,
    /// The host or port is invalid.
    #[error(transparent)]
    Host(#[from] TargetError),
}

/// Returns the hosts in the value of a setting with these properties.
///
/// # Errors
/// The value contains an address that programs read differently, or it is not the address that the
/// setting requires.
pub fn hosts_of(value: &str, nature: SettingNature) -> Result<Vec<Host>, AddressError> {
    if matches!(nature.lock, Some(Lock::Address | Lock::Proxy | Lock::Url)) {
        addresses(value)
    } else {
        found_in(value)
    }
}

/// Returns the hosts that a text names in an unambiguous form. Forms that programs read differently
/// are skipped.
#[must_use]
pub fn hosts_in(value: &str) -> Vec<Host> {
    let mut found = Vec::new();
    for text in texts(value) {
        found.extend(urls(&text).into_iter().flatten().flatten());
        found.extend(words(&text));
    }
    found
}

/// Returns the hosts of a value that is one address, or several that are separated by commas or
/// contained in JSON.
fn addresses(value: &str) -> Result<Vec<Host>, AddressError> {
    let mut found = Vec::new();
    for text in texts(value) {
        for one in text.split(',').map(str::trim) {
            found.extend(address(one)?);
        }
    }
    Ok(found)
}

/// Returns the host of one address. `None` if the text is a path, a plain port number, or a word
/// for "no address".
fn address(text: &str) -> Result<Option<Host>, AddressError> {
    let is_port = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok();
    if is_port || matches!(text.to_ascii_lowercase().as_str(), "" | "none" | "null" | "true" | "false" | "yes" | "no") {
        return Ok(None);
    }
    if text.contains('\\') {
        return Err(AddressError::Backslash);
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(AddressError::Form);
    }
    if text.starts_with('/') && !text.starts_with("//") {
        return Ok(None);
    }
    let rest = match text.split_once("://") {
        Some((scheme, rest)) => {
            let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
            if is_scheme { rest } else { return Err(AddressError::Form) }
        }
        None => text.strip_prefix("//").unwrap_or(text),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // `http://a.test?@b.test` and `http://a.test#@b.test`: some programs search for the `@` first.
    // The same applies if a password contains a `/`.
    if path.starts_with(['?', '#']) || (path.contains('@') && !authority.contains('@') && port_is_odd(authority)) {
        return Err(AddressError::Form);
    }
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let target: Target = host.parse()?;
    Ok(Some(target.host().clone()))
}

/// Returns true if the text after the last colon is not a port.
fn port_is_odd(authority: &str) -> bool {
    authority.rsplit_once(':').is_some_and(|(_, port)| !port.bytes().all(|b| b.is_ascii_digit() || b == b']'))
}

/// Returns the hosts of URLs and of words that are addresses.
fn found_in(value: &str) -> Result<Vec<Host>, AddressError> {
    let mut found = Vec::new();
    for text in texts(value) {
        for url in urls(&text) {
            found.extend(url?);
        }
        found.extend(words(&text));
    }
    Ok(found)
}

/// Returns the texts of a value: the value itself, or the single values in its JSON.
fn texts(value: &str) -> Vec<String> {
    json_texts(value).unwrap_or_else(|| vec![value.to_owned()])
}

/// Returns true for a character that separates words.
fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, ',' | ';' | '"' | '\'' | '<' | '>' | '(' | ')' | '{' | '}' | '=' | '|')
}

/// Returns the hosts of the URLs in a text. URLs are found before the text is split into words,
/// because their user and password may contain separators.
fn urls(text: &str) -> Vec<Result<Vec<Host>, AddressError>> {
    let starts = text.match_indices("://").map(|(at, sign)| &text[at + sign.len()..]);
    starts.map(hosts_of_url).collect()
}

/// Returns the hosts that programs find in the text after `://`: the one after the last `@`, and
/// the one of a URL that ends before it.
fn hosts_of_url(rest: &str) -> Result<Vec<Host>, AddressError> {
    let end =
        rest.find(|c: char| matches!(c, '/' | '?' | '#') || c.is_whitespace() || c.is_control()).unwrap_or(rest.len());
    let authority = &rest[..end];
    if authority.contains('\\') {
        return Err(AddressError::Backslash);
    }
    let first = &authority[..authority.find(is_separator).unwrap_or(authority.len())];
    let last = authority.rsplit_once('@').map(|(_, host)| host);
    let last = last.map(|host| &host[..host.find(is_separator).unwrap_or(host.len())]);
    let Some(last) = last else { return host_of_authority(first).into_iter().collect() };
    // The text before the last `@` may be a password or a separate URL.
    let before = if first.len() < authority.len() && !first.contains('@') {
        host_of_authority(first).and_then(Result::ok)
    } else {
        None
    };
    before.map(Ok).into_iter().chain(host_of_authority(last)).collect()
}

/// Returns the host of an authority without a user; `None` if the authority is empty.
fn host_of_authority(authority: &str) -> Option<Result<Host, AddressError>> {
    // `[http://a.test]`: the bracket belongs to the list.
    let authority = if authority.starts_with('[') { authority } else { authority.trim_end_matches(']') };
    if authority.is_empty() {
        return None;
    }
    // The scheme does not matter; the parser normalises hosts for http.
    let host =
        url::Url::parse(&format!("http://{authority}")).ok().and_then(|url| url.host().map(|host| host.to_owned()));
    Some(host.map(of_url).ok_or(AddressError::Form))
}

fn of_url(host: url::Host) -> Host {
    match host {
        url::Host::Domain(name) => Host::Name(name.trim_end_matches('.').to_owned()),
        url::Host::Ipv4(address) => Host::V4(address),
        url::Host::Ipv6(address) => Host::V6(address),
    }
}

/// Returns the words that are addresses. Host names cannot be distinguished from other words.
fn words(text: &str) -> impl Iterator<Item = Host> {
    text.split(is_separator).filter(|word| !word.contains("://")).filter_map(host_of_word)
}

fn host_of_word(word: &str) -> Option<Host> {
    if let Some(rest) = word.strip_prefix("//") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        return host_of_authority(host)?.ok();
    }
    let authority = word.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let literal = authority.trim_start_matches('[').trim_end_matches(']');
    if let Some(address) =
        literal.parse().ok().or_else(|| authority.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
    {
        return Some(match address {
            IpAddr::V4(address) => Host::V4(address),
            IpAddr::V6(address) => Host::V6(address),
        });
    }
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "0"));
    let lower = host.trim_end_matches('.').to_ascii_lowercase();
    ((lower == "localhost" || lower.ends_with(".localhost")) && port.parse::<u16>().is_ok())
        .then_some(Host::Name(lower))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConfigOverride, SettingNatures, SettingValue};
    use crate::policy::scope::ScopePolicy;

    fn shown(hosts: &[Host]) -> String {
        hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    fn nature(lock: Option<Lock>) -> SettingNature {
        SettingNature { lock, secret: false }
    }

    #[test]
    fn the_value_of_a_setting_that_takes_an_address_is_read_as_strictly_as_a_target() {
        for lock in [Lock::Address, Lock::Proxy, Lock::Url] {
            for (value, expected) in [
                ("8.8.8.8:53", "8.8.8.8"),
                ("[2606:4700::1111]:53", "[2606:4700::1111]"),
                ("2606:4700::1111", "[2606:4700::1111]"),
                ("http://zap:8080", "zap"),
                ("http://zap.example.com/api/v1?x=1", "zap.example.com"),
                ("socks5h://user:p%40ss@proxy.example.com:1080", "proxy.example.com"),
                ("user:pw@127.0.0.1:8080", "127.0.0.1"),
                ("http://user:p@ss@10.0.0.1/", "10.0.0.1"),
                ("http://example.com;@169.254.169.254/latest", "169.254.169.254"),
                ("http://example.com'@127.0.0.1/", "127.0.0.1"),
                ("http://example.com,@127.0.0.1:6379/", "example.com 127.0.0.1"),
                ("intranet:8080", "intranet"),
                ("metadata.google.internal:80", "metadata.google.internal"),
                ("127.0.0.1:8080/", "127.0.0.1"),
                ("[::1]:8080/", "[::1]"),
                ("localhost:8080/", "localhost"),
                ("169.254.169.254/latest", "169.254.169.254"),
                ("//inside.corp/x", "inside.corp"),
                ("a.test, 10.0.0.1 ,b.test:80,", "a.test 10.0.0.1 b.test"),
                (r#"["http:\/\/a.test", "\u0031\u0030.0.0.1"]"#, "a.test 10.0.0.1"),
                ("/admin,/x@y", ""),
                ("8090", ""),
                ("none", ""),
                ("true", ""),
                ("", ""),
            ] {
                assert_eq!(
                    hosts_of(value, nature(Some(lock))).map(|hosts| shown(&hosts)),
                    Ok(expected.to_owned()),
                    "{value}"
                );
            }
            for value in [
                "127.1:8080",
                "127.1",
                "0x7f000001:8080",
                "2130706433:8080",
                "2130706433",
                "[2130706433]",
                r#"["a.test", 2130706433]"#,
                "0",
                "017700000001:8080",
                "127.0.0.01:53",
                "127.0.0.1:053",
                "127.0.0.1:0",
                "①27.0.0.1:80",
                "socks5:127.0.0.1:9050",
                "http:/127.0.0.1:8080",
                r"http:\\127.0.0.1:8080",
                r"http://8.8.8.8\@127.0.0.1/",
                r"8.8.8.8\x",
                "[fe80::1%25lo]:80",
                "[fe80::1%2]:53",
                "fe80::1%lo",
                "unix:///var/run/docker.sock",
                "file:///etc/passwd",
                "http://",
                "http://8.8.8.8#@127.0.0.1/",
                "http://8.8.8.8?@127.0.0.1/",
                "http://user:p/ss@127.0.0.1/",
                "http://a.test b@127.0.0.1/",
                "a.test b.test",
                "a.test;b.test",
                "http://%31%32%37.0.0.1/",
                "http://127.0.0.1:99999/",
                "http://(127.0.0.1)/",
                "10.0.0.1-5",
                "*.example.com",
                "-x",
            ] {
                assert!(hosts_of(value, nature(Some(lock))).is_err(), "{value}");
            }
        }
    }

    #[test]
    fn urls_are_found_before_words_in_other_values() {
        for (value, expected) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1:8080", "127.0.0.1"),
            ("127.0.0.1:8080/", "127.0.0.1"),
            ("169.254.169.254/latest", "169.254.169.254"),
            ("user:pw@127.0.0.1:8080", "127.0.0.1"),
            ("--proxy=127.0.0.1:8080", "127.0.0.1"),
            ("[::1]:53", "[::1]"),
            ("[::1]", "[::1]"),
            ("::ffff:10.0.0.1", "[::ffff:10.0.0.1]"),
            ("localhost:8080", "localhost"),
            ("LOCALHOST/x", "localhost"),
            ("http://169.254.169.254/latest", "169.254.169.254"),
            ("socks5://user:pw@10.0.0.1:1080", "10.0.0.1"),
            ("http://2130706433/", "127.0.0.1"),
            ("http://0x7f.1/", "127.0.0.1"),
            ("//inside.corp/x", "inside.corp"),
            ("HTTPS://Example.COM./x, 8.8.8.8", "example.com 8.8.8.8"),
            ("Mozilla/5.0 (compatible; +https://example.com/bot)", "example.com"),
            ("Mozilla/5.0 (compatible; +https://example.com)", "example.com"),
            ("Mozilla/5.0 Chrome/120.0.0.0 Safari/537.36", ""),
            ("http://example.com,@127.0.0.1:6379/", "example.com 127.0.0.1"),
            ("http://example.com;@169.254.169.254/latest", "example.com 169.254.169.254"),
            ("http://example.com'@127.0.0.1/", "example.com 127.0.0.1"),
            ("http://a@b@127.0.0.1/", "127.0.0.1"),
            ("http://a.test b@127.0.0.1/", "a.test 127.0.0.1"),
            (r#"{"Referer": "http:\/\/10.0.0.1/", "X": "http://a.test\n"}"#, "10.0.0.1 a.test"),
            ("[http://a.test]", "a.test"),
            ("10", ""),
            ("0.5", ""),
            ("quick", ""),
            ("a,b;c", ""),
            ("/admin,/x", ""),
        ] {
            let found = hosts_of(value, nature(None)).unwrap();
            let mut names: Vec<String> = found.iter().map(ToString::to_string).collect();
            names.dedup();
            assert_eq!(
                names.join(" ").split(' ').filter(|one| !one.is_empty()).collect::<Vec<_>>().join(" "),
                expected,
                "{value}"
            );
            assert_eq!(hosts_in(value).len(), found.len(), "{value}");
        }
        for value in [
            r"http://8.8.8.8\@127.0.0.1/",
            "http://[::ffff:127.0.0.1%25lo]/",
            "http://[::1]:x/",
            "http://127.0.0.1:99999/",
        ] {
            assert!(hosts_of(value, nature(None)).is_err(), "{value}");
        }
    }

    #[test]
    fn what_is_refused_names_the_setting_and_repeats_no_secret() {
        let change = |key: &str, value: SettingValue| ConfigOverride { plugin: "p".into(), key: key.into(), value };
        let policy = ScopePolicy::default();
        let message = |one: ConfigOverride, natures: &SettingNatures| {
            policy.check_overrides(&[one], natures).pop().map(|error| error.message)
        };
        let none = SettingNatures::default();
        let by_schema: SettingNatures = [("p.source".to_owned(), nature(Some(Lock::Url)))].into_iter().collect();
        for (one, natures, part) in [
            (change("api_url", "127.1:80".into()), &none, "`p.api_url`: the address ends like an IPv4 address"),
            (change("api_url", "intranet:80".into()), &none, "`p.api_url`: intranet is in a private"),
            (change("source", "intranet:80".into()), &by_schema, "`p.source`: intranet is in a private"),
            (change("agent", r"http://8.8.8.8\@127.0.0.1/".into()), &none, "`p.agent`: the address has a backslash"),
        ] {
            let shown = message(one, natures).unwrap_or_default();
            assert!(shown.contains(part), "{shown}");
        }
        assert_eq!(
            message(change("source", "intranet:80".into()), &none),
            None,
            "a word is no host where nothing says so"
        );
        for value in ["http://hunter2.x/", "http://u:hunter2@①27.0.0.1", "hunter2", "ftp://hunter2@1.1"] {
            let shown = message(change("api_url", SettingValue::Secret(value.into())), &none);
            assert!(!shown.unwrap_or_default().contains("hunter2"), "{value}");
        }
    }
}
