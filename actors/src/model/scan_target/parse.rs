//! Parses a target. A text that another program reads as another target is refused, with the
//! reason.

use std::str::FromStr;

use super::authority::{Reading, parse_host, split_port, why_no_v6};
use super::error::{MAX_LENGTH, TargetError};
use super::host::{Host, Scheme};
use super::range::{is_mask, is_range, is_range_of_numbers};
use super::value::Target;

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, Reading::Typed)
    }
}

impl TryFrom<String> for Target {
    type Error = TargetError;

    /// Parses a stored target. Earlier versions accepted more texts as host names, and their rows
    /// must stay readable. [`Target::check`] returns whether the target may still be scanned.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().or_else(|error| parse(&text, Reading::Stored).map_err(|_| error))
    }
}

fn parse(text: &str, reading: Reading) -> Result<Target, TargetError> {
    refuse_hostile_text(text)?;
    if reading == Reading::Typed
        && let Some(plain) = without_typography(text)
    {
        return match parse(&plain, reading) {
            Ok(_) | Err(TargetError::Path) => Err(TargetError::Lookalike(plain)),
            Err(why) => Err(why),
        };
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(parse_scheme(scheme)?), rest),
        None => (None, text),
    };
    if scheme.is_none() && (rest.starts_with("//") || lacks_slashes(rest)) {
        return Err(TargetError::Slashes);
    }
    match rest.find(['?', '#']).map(|at| &rest[at..]) {
        Some(end) if end.starts_with('?') => return Err(TargetError::Query),
        Some(_) => return Err(TargetError::Fragment),
        None => {}
    }
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let is_colons = authority.matches(':').count() > 1;
    if authority.contains('%') && (is_colons || authority.starts_with('[')) {
        return Err(TargetError::Zone);
    }
    if reading == Reading::Typed && is_range_of_numbers(authority) {
        return Err(TargetError::Range);
    }
    // A browser's address bar gives `example.com/`.
    let path = if path == "/" { "" } else { path };
    if scheme.is_none() && !path.is_empty() {
        return Err(if is_range(authority, path) { TargetError::Range } else { TargetError::Path });
    }
    if reading == Reading::Typed && !path.is_empty() && is_range(authority, path) && is_mask(&path[1..]) {
        return Err(TargetError::Range);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c);
    if !path.chars().all(plain) {
        return Err(TargetError::Path);
    }
    if reading == Reading::Typed {
        refuse_misread_path(path)?;
    }
    let (host, port) = match authority.parse() {
        // A bare IPv6 address cannot have a port, so it is unambiguous without brackets.
        Ok(address) => (Host::V6(address), None),
        Err(_) if is_colons && !authority.contains('[') => return Err(why_no_v6(authority)),
        Err(_) => split_port(authority).and_then(|(host, port)| Ok((parse_host(host, reading)?, port)))?,
    };
    Ok(Target { scheme, host, port, path: path.to_owned() })
}

/// Returns true for `http:example.com` and `http:/example.com`, but not for `http:80`, because a
/// host may have that name.
fn lacks_slashes(text: &str) -> bool {
    let rest = |scheme: &str| {
        text.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).map(|_| &text[scheme.len()..])
    };
    ["http:", "https:"]
        .into_iter()
        .filter_map(rest)
        .any(|rest| !rest.is_empty() && !rest.bytes().all(|b| b.is_ascii_digit()))
}

/// Refuses path segments that other programs resolve or shorten. This includes encoded separators,
/// and dot segments with parameters, which some servers strip first.
fn refuse_misread_path(path: &str) -> Result<(), TargetError> {
    let decoded =
        path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").replace("%3b", ";");
    let name = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    if decoded.split('/').any(name) {
        return Err(TargetError::DotSegment);
    }
    // A slash at the end denotes a folder.
    if decoded.contains("//") { Err(TargetError::EmptySegment) } else { Ok(()) }
}

/// Returns the text with plain characters in place of typographic dashes, slashes and tildes, which
/// word processors insert. `None` if the text has none of them.
fn without_typography(text: &str) -> Option<String> {
    let plain = |c: char| match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' => '-',
        '\u{2044}' | '\u{2215}' | '\u{ff0f}' => '/',
        '\u{223c}' | '\u{301c}' | '\u{ff5e}' => '~',
        other => other,
    };
    let mapped: String = text.chars().map(plain).collect();
    (mapped != text).then_some(mapped)
}

fn refuse_hostile_text(text: &str) -> Result<(), TargetError> {
    if text.is_empty() {
        return Err(TargetError::Empty);
    }
    if text.starts_with('-') {
        return Err(TargetError::LeadingDash);
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(TargetError::Blank);
    }
    if text.contains('@') {
        return Err(TargetError::Credentials);
    }
    if text.chars().count() > MAX_LENGTH {
        return Err(TargetError::TooLong);
    }
    Ok(())
}

fn parse_scheme(text: &str) -> Result<Scheme, TargetError> {
    match text.to_ascii_lowercase().as_str() {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        _ => Err(TargetError::Scheme(text.chars().take(20).collect())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn target_accepts_hosts_with_ports_and_urls() {
        for (given, shown) in [
            ("example.com", "example.com"),
            ("Example.COM.", "example.com"),
            ("example.com:8443", "example.com:8443"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("example.com/", "example.com"),
            ("example.com:8443/", "example.com:8443"),
            ("10.0.0.1/", "10.0.0.1"),
            ("[::1]/", "[::1]"),
            ("0.0.0.0", "0.0.0.0"),
            ("1.2.3.example", "1.2.3.example"),
            ("10.0.0.1-5.example", "10.0.0.1-5.example"),
            ("0x7f.example", "0x7f.example"),
            ("::ffff:127.0.0.1", "[::ffff:127.0.0.1]"),
            ("http:80", "http:80"),
            ("[::1]:8080", "[::1]:8080"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("http://example.com", "http://example.com"),
            ("HTTPS://example.com:444/app/login", "https://example.com:444/app/login"),
            ("https://example.com/", "https://example.com"),
            ("https://example.com/app/", "https://example.com/app/"),
            ("https://example.com/a;b=1/..c", "https://example.com/a;b=1/..c"),
            ("http://10.0.0.1/2024", "http://10.0.0.1/2024"),
            ("http://10.0.0.1/24/x", "http://10.0.0.1/24/x"),
            ("http://example.com/24", "http://example.com/24"),
            ("http://10.0.0.1/1.0", "http://10.0.0.1/1.0"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("::1", "[::1]"),
        ] {
            let target: Target = given.parse().unwrap_or_else(|error| panic!("{given}: {error}"));
            assert_eq!(target.to_string(), shown, "{given}");
            assert_eq!(shown.parse::<Target>().as_ref(), Ok(&target), "the shown form is read back");
        }
    }

    #[test]
    fn target_refuses_ambiguous_text() {
        use TargetError as E;
        let long = "a".repeat(300);
        for (given, expected) in [
            ("", E::Empty),
            ("-oX", E::LeadingDash),
            ("--plugins=/tmp/x", E::LeadingDash),
            ("a b", E::Blank),
            ("a\tb", E::Blank),
            ("a\u{a0}b", E::Blank),
            ("a\u{0}b", E::Blank),
            ("a\u{1b}[31m", E::Blank),
            ("http://u:p@h/", E::Credentials),
            ("user@example.com", E::Credentials),
            (long.as_str(), E::TooLong),
            ("ftp://example.com", E::Scheme("ftp".into())),
            ("file:///etc/passwd", E::Scheme("file".into())),
            ("http://", E::Host),
            ("http://-oX", E::Host),
            ("exa$mple.com", E::Host),
            ("a..b", E::Host),
            ("a:b:80", E::Ipv6),
            ("[::1", E::Host),
            ("ex%41mple.com", E::Host),
            ("example.com:0", E::Port),
            ("example.com:65536", E::Port),
            ("example.com:+80", E::Port),
            ("example.com:", E::Port),
            ("example.com:080", E::Port),
            ("example.com/path", E::Path),
            ("example.com//", E::Path),
            ("http://example.com/?q=1", E::Query),
            ("http://example.com?q=1", E::Query),
            ("example.com?q=1#x", E::Query),
            ("http://example.com/#x", E::Fragment),
            ("example.com#x?y", E::Fragment),
            ("http://example.com/`id`", E::Path),
            ("http://example.com/a/../b", E::DotSegment),
            ("https://example.com/path/%2E%2e/etc/passwd", E::DotSegment),
            ("https://example.com/.", E::DotSegment),
            ("https://example.com/a/..%2fb", E::DotSegment),
            ("https://example.com/a%2F%2E%2E%2Fb", E::DotSegment),
            ("https://example.com/a/..%5Cb", E::DotSegment),
            ("https://example.com/a/..;/b", E::DotSegment),
            ("https://example.com/a/%2e%2e%3bx=1/b", E::DotSegment),
            ("https://example.com//", E::EmptySegment),
            ("https://example.com//a", E::EmptySegment),
            ("https://example.com/a//b", E::EmptySegment),
            ("https://example.com/a/%2fb", E::EmptySegment),
            ("//example.com", E::Slashes),
            ("http:example.com", E::Slashes),
            ("HTTPS:/example.com", E::Slashes),
        ] {
            assert_eq!(given.parse::<Target>(), Err(expected), "{given:?}");
        }
    }

    #[test]
    fn what_another_program_reads_as_another_host_is_refused_with_the_true_reason() {
        use TargetError as E;
        let lookalike = |text: &str| E::Lookalike(text.into());
        for (given, expected) in [
            ("192.168.001.010", E::LeadingZeros),
            ("010.0.0.1", E::LeadingZeros),
            ("127.0.0.01", E::LeadingZeros),
            ("http://127.0.0.01:80/x", E::LeadingZeros),
            ("00.0.0.0", E::LeadingZeros),
            ("1.2.3", E::NotFourNumbers),
            ("127.1", E::NotFourNumbers),
            ("1.2.3.4.5", E::NotFourNumbers),
            ("1..2.3", E::NotFourNumbers),
            ("example.7", E::NotFourNumbers),
            ("2130706433", E::SingleNumber),
            ("0", E::SingleNumber),
            ("0x7f.1", E::Hexadecimal),
            ("0x7f000001", E::Hexadecimal),
            ("0X7F.0.0.1", E::Hexadecimal),
            ("127.0.0.0x1", E::Hexadecimal),
            ("1.2.3.256", E::NumberTooLarge),
            ("1.2.3.99999999999999999999", E::NumberTooLarge),
            ("127.0.0.1.", E::DotAfterAddress),
            ("10.0.0.1-5", E::Range),
            ("10.0.0.1-10.0.0.9", E::Range),
            ("10.0.0-1.1-254", E::Range),
            ("10.0.0.*", E::Range),
            ("10.0.0.1,2", E::Range),
            ("10.0.0.1-5:80", E::Range),
            ("10.0.0.0/24", E::Range),
            ("10.0.0.1\u{2013}5", E::Range),
            ("10.0.0.1\u{2011}5", E::Range),
            ("10.0.0.1\u{2010}10.0.0.5", E::Range),
            ("10.0.0.1\u{2212}5:80", E::Range),
            ("10.0.0.1\u{2015}5", E::Range),
            ("10.0.0.1\u{ff5e}5", E::Range),
            ("10.0.0.0\u{2215}24", E::Range),
            ("10.0.0.0\u{2044}24", E::Range),
            ("http:\u{ff0f}\u{ff0f}10.0.0.0\u{ff0f}24", E::Range),
            ("10.0.0.{1,5}", E::Range),
            ("10.0.0.[1-5]", E::Range),
            ("10.0.0.[15]", E::Range),
            ("10.0.0.1~5", E::Range),
            ("10.0.0.1…10.0.0.5", E::Range),
            ("10.0.0.1..10.0.0.5", E::Range),
            ("10.0.0.1:80-90", E::Range),
            ("10.0.0.1:80,443", E::Range),
            ("http://example.com:80-90/x", E::Range),
            ("[::1]:80-90", E::Range),
            ("[fe80::1~5]", E::Range),
            ("1.2.3.4\u{2044}x", lookalike("1.2.3.4/x")),
            ("a\u{2011}b.example", lookalike("a-b.example")),
            ("http://example.com\u{2215}a", lookalike("http://example.com/a")),
            ("\u{2013}oX", E::LeadingDash),
            ("fe80::1%eth0/64", E::Zone),
            ("::ffff:127.0.0.01", E::LeadingZeros),
            ("[::ffff:127.0.0.01]:80", E::LeadingZeros),
            ("::ffff:127.0.0.256", E::NumberTooLarge),
            ("[127.0.0.1]", E::Brackets),
            ("10.0.0.x", E::Range),
            ("10.0.X.x:80", E::Range),
            ("http://[example.com]/", E::Brackets),
            ("10.0.0.0/255.255.255.0", E::Range),
            ("http://10.0.0.0/24", E::Range),
            ("https://10.0.0.0:8443/255.255.255.0", E::Range),
            ("10.0.0.0:80/24", E::Range),
            ("http://[fe80::]/64", E::Range),
            ("[fe80::]:80/64", E::Range),
            ("xn--a.example", E::Punycode),
            ("http://XN--99999.example/x", E::Punycode),
            ("fe80::/10", E::Range),
            ("[fe80::]/10", E::Range),
            ("fe80::1-5", E::Range),
            ("[fe80::1-5]", E::Range),
            ("*.example.com", E::Pattern),
            ("a.example,b.example", E::Several),
            ("fe80::1%eth0", E::Zone),
            ("[fe80::1%25eth0]:80", E::Zone),
            ("1:2:3", E::Ipv6),
            ("１２７.0.0.1", lookalike("127.0.0.1")),
            ("127。0。0。1", lookalike("127.0.0.1")),
            ("ｅxample.com", lookalike("example.com")),
            ("example。com", lookalike("example.com")),
            ("exam\u{ad}ple.com", lookalike("example.com")),
            ("exam\u{200b}ple.com", lookalike("example.com")),
            ("example．com", lookalike("example.com")),
            ("256.1.1.1", E::NumberTooLarge),
            ("example.com..", E::Host),
            ("\"example.com\"", E::Host),
            ("example[.]com", E::Host),
            ("bücher.ｅxample", lookalike("xn--bcher-kva.example")),
            ("127.0.0.1;", E::Host),
            ("127.0.0.1\\x", E::Host),
        ] {
            assert_eq!(given.parse::<Target>(), Err(expected), "{given:?}");
        }
        for (given, word) in [
            ("192.168.001.010", "leading zeros"),
            ("1.2.3", "not four numbers"),
            ("10.0.0.1-5", "ranges are not supported"),
            ("fe80::1%eth0", "zones are not supported"),
            ("http://example.com?q=1", "query"),
        ] {
            let why = given.parse::<Target>().unwrap_err().to_string();
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn rows_of_earlier_versions_stay_readable_and_are_not_scanned_again() {
        for (text, why) in [
            ("10.0.0.1-5", TargetError::Range),
            ("1-5", TargetError::Range),
            ("http://10.0.0.1-5:80/x", TargetError::Range),
            ("http://a.test/x/../y", TargetError::DotSegment),
            ("http://a.test/x//y", TargetError::EmptySegment),
            ("http://10.0.0.0/24", TargetError::Range),
        ] {
            let stored: Target = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert_eq!(stored.to_string(), text);
            assert_eq!(stored.check(), Err(why));
        }
        let sound: Target = serde_json::from_str("\"https://xn--bcher-kva.example\"").unwrap();
        assert_eq!(sound.check(), Ok(()));
        assert!(serde_json::from_str::<Target>("\"-oX\"").is_err());
    }

    proptest! {
        #[test]
        fn accepted_target_is_safe_to_pass_on(text in "\\PC{0,40}") {
            if let Ok(target) = text.parse::<Target>() {
                let shown = target.to_string();
                prop_assert!(!shown.starts_with('-'));
                prop_assert!(!shown.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@'));
                prop_assert_eq!(shown.parse::<Target>(), Ok(target.clone()));
                let folder = target.folder_name();
                prop_assert!(!folder.contains('/') && !folder.starts_with('.') && !folder.is_empty() && folder.len() <= 100);
            }
        }
    }
}
