//! Parses and evaluates Content Security Policies (CSP level 3) of header fields and of the page.
//! The functions are pure.

use std::collections::HashSet;

use reqwest::header::HeaderMap;

use crate::markup::Element;
use crate::target::is_local;

/// The limit for the total text of all policies, in bytes. Real policies have a few kilobytes.
const MAX_TEXT: usize = 64 * 1024;

/// The limit for the directives of one policy. The standards define about thirty.
const MAX_DIRECTIVES: usize = 100;

/// One policy: its directives in order. If a name occurs twice, the first directive counts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Policy {
    directives: Vec<(String, Vec<String>)>,
}

/// All policies of a page. A browser enforces each of them, so a weakness counts only if every
/// policy has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policies {
    list: Vec<Policy>,
    text: String,
    read: usize,
    is_cut: bool,
}

/// A check for one weakness. The second argument is true if the page came over TLS.
type Weakness = fn(&Policy, bool) -> bool;

/// The weaknesses, worst first.
static WEAKNESSES: [(Weakness, &str); 8] = [
    (|policy, _| policy.scripts().is_none(), "neither script-src nor default-src"),
    (|policy, _| allows_inline(policy.elements()), "'unsafe-inline' for scripts"),
    (|policy, _| allows_inline(policy.handlers()), "'unsafe-inline' for event handlers"),
    (|policy, _| policy.loads_from(is_broad), "scripts from anywhere"),
    (|policy, _| policy.loads_from(|source| source == "data:"), "scripts from data: addresses"),
    (
        |policy, _| policy.scripts().is_none_or(|sources| sources.iter().any(|source| source == "'unsafe-eval'")),
        "'unsafe-eval' for scripts",
    ),
    (
        |policy, _| policy.objects().is_none_or(|sources| sources.iter().any(|source| is_broad(source))),
        "plug-ins from anywhere (object-src)",
    ),
    (|policy, https| https && policy.loads_from(is_plain), "scripts over plain HTTP"),
];

impl Policies {
    /// Reads the policies of a response: those of its header fields, and those of `meta` elements
    /// in the head (HTML, 4.2.5.3).
    #[must_use]
    pub fn read(headers: &HeaderMap, elements: &[Element]) -> Self {
        let mut policies = Self::default();
        for field in headers.get_all("content-security-policy") {
            for part in String::from_utf8_lossy(field.as_bytes()).split(',') {
                policies.add(part, false);
            }
        }
        for element in elements.iter().filter(|element| {
            element.name == "meta" && element.in_head && element.is("http-equiv", "content-security-policy")
        }) {
            policies.add(element.attr("content").unwrap_or_default(), true);
        }
        policies
    }

    fn add(&mut self, text: &str, is_meta: bool) {
        let whole = text.trim();
        // The reader takes complete directives only.
        let room = MAX_TEXT - self.read;
        let text = if whole.len() <= room {
            whole
        } else {
            whole.as_bytes()[..room].iter().rposition(|byte| *byte == b';').map_or("", |end| &whole[..end])
        };
        self.read += text.len();
        self.is_cut |= text.len() < whole.len();
        let mut directives: Vec<(String, Vec<String>)> = Vec::new();
        let mut names = HashSet::new();
        for part in text.split(';') {
            let mut words = part.split_ascii_whitespace();
            let Some(name) = words.next().map(str::to_ascii_lowercase) else { continue };
            // Browsers ignore these directives in a `meta` element.
            let ignored = is_meta && matches!(name.as_str(), "frame-ancestors" | "report-uri" | "sandbox");
            if ignored || names.contains(&name) {
                continue;
            }
            if directives.len() == MAX_DIRECTIVES {
                self.is_cut = true;
                break;
            }
            names.insert(name.clone());
            directives.push((name, words.map(str::to_ascii_lowercase).collect()));
        }
        if !directives.is_empty() {
            let source = if is_meta { " (meta element)" } else { "" };
            let separator = if self.text.is_empty() { "" } else { " | " };
            self.text.push_str(&format!("{separator}{text}{source}"));
            self.list.push(Policy { directives });
        }
    }

    /// Returns a remark if part of the policies was not read.
    #[must_use]
    pub fn remark(&self) -> Option<&'static str> {
        self.is_cut
            .then_some("of the Content Security Policies only the first 64 KiB, and 100 directives of each, were read")
    }

    /// Returns true if no policy is enforced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The policies as they were sent.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the worst weakness that all policies share. `https` is true if the page came over
    /// TLS.
    #[must_use]
    pub fn weakness(&self, https: bool) -> Option<&'static str> {
        if self.list.is_empty() {
            return None;
        }
        WEAKNESSES.iter().find(|(has, _)| self.list.iter().all(|policy| has(policy, https))).map(|(_, text)| *text)
    }

    /// Returns true if `frame-ancestors` stops other sites from framing the page, and `None` if no
    /// policy has the directive.
    #[must_use]
    pub fn restricts_framing(&self) -> Option<bool> {
        let lists: Vec<_> = self.list.iter().filter_map(|policy| policy.directive(&["frame-ancestors"])).collect();
        if lists.is_empty() {
            None
        } else {
            Some(lists.iter().any(|sources| !sources.iter().any(|source| is_broad(source))))
        }
    }

    /// Returns true if browsers load the page's `http:` addresses over HTTPS (Upgrade Insecure
    /// Requests).
    #[must_use]
    pub fn upgrades_requests(&self) -> bool {
        self.list.iter().any(|policy| policy.directive(&["upgrade-insecure-requests"]).is_some())
    }
}

impl Policy {
    /// Returns the sources of the first of these directives that the policy has.
    fn directive(&self, names: &[&str]) -> Option<&[String]> {
        names.iter().find_map(|name| {
            self.directives.iter().find(|(other, _)| other == name).map(|(_, sources)| sources.as_slice())
        })
    }

    fn scripts(&self) -> Option<&[String]> {
        self.directive(&["script-src", "default-src"])
    }

    fn objects(&self) -> Option<&[String]> {
        self.directive(&["object-src", "default-src"])
    }

    /// Returns the sources for `script` elements (CSP level 3, 6.1.10).
    fn elements(&self) -> Option<&[String]> {
        self.directive(&["script-src-elem", "script-src", "default-src"])
    }

    /// Returns the sources for event handlers in attributes (CSP level 3, 6.1.11).
    fn handlers(&self) -> Option<&[String]> {
        self.directive(&["script-src-attr", "script-src", "default-src"])
    }

    /// Returns true if scripts can load from a source of this kind. With 'strict-dynamic' browsers
    /// ignore hosts and schemes (CSP level 3, 6.7.1.1).
    fn loads_from(&self, is_of_kind: impl Fn(&str) -> bool) -> bool {
        self.elements().is_none_or(|sources| {
            !sources.iter().any(|source| source == "'strict-dynamic'")
                && sources.iter().any(|source| is_of_kind(source))
        })
    }
}

/// Returns true if any inline script can run. A nonce, a hash or 'strict-dynamic' makes browsers
/// ignore 'unsafe-inline' (CSP level 3, 6.7.3.2).
fn allows_inline(sources: Option<&[String]>) -> bool {
    let overrules = |source: &String| source == "'strict-dynamic'" || is_nonce_or_hash(source);
    sources.is_none_or(|sources| {
        sources.iter().any(|source| source == "'unsafe-inline'") && !sources.iter().any(overrules)
    })
}

/// Returns true if a lower-case source matches the grammar of a nonce or a hash (CSP level 3,
/// 2.3.1). Browsers ignore a source that only resembles one.
fn is_nonce_or_hash(source: &str) -> bool {
    let Some(inner) = source.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) else { return false };
    let Some((kind, value)) = inner.split_once('-') else { return false };
    let digits = value.trim_end_matches('=');
    matches!(kind, "nonce" | "sha256" | "sha384" | "sha512")
        && value.len() - digits.len() <= 2
        && !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_'))
}

/// Returns true if a lower-case source permits plain HTTP or FTP. A source on the visitor's own
/// machine does not count, because its traffic crosses no network.
fn is_plain(source: &str) -> bool {
    let is_http = source.starts_with("http:")
        && !source
            .strip_prefix("http://")
            .is_some_and(|rest| is_local(rest.split(['/', ':']).next().unwrap_or_default()));
    is_http || source.starts_with("ftp:")
}

/// Returns true if a lower-case source covers sites of any owner: `*`, a scheme alone, `https://*`,
/// `*:443`, or a wildcard directly below a top-level domain.
fn is_broad(source: &str) -> bool {
    if matches!(source, "http:" | "https:" | "ftp:" | "ws:" | "wss:") {
        return true;
    }
    if source.starts_with('\'') {
        return false;
    }
    let rest = source.split_once("://").map_or(source, |(_, rest)| rest);
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    host == "*" || host.strip_prefix("*.").is_some_and(|below| !below.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::markup::elements;
    use reqwest::header::HeaderValue;

    fn policies(fields: &[&str], html: &str) -> Policies {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append("content-security-policy", HeaderValue::from_str(field).unwrap());
        }
        Policies::read(&headers, &elements(html))
    }

    #[test]
    fn policy_weaknesses_are_found() {
        const NONE: &str = "neither script-src nor default-src";
        const INLINE: &str = "'unsafe-inline' for scripts";
        const HANDLERS: &str = "'unsafe-inline' for event handlers";
        const SCRIPTS: &str = "scripts from anywhere";
        const DATA: &str = "scripts from data: addresses";
        const EVAL: &str = "'unsafe-eval' for scripts";
        const OBJECTS: &str = "plug-ins from anywhere (object-src)";
        for (policy, expected) in [
            ("default-src 'self'", None),
            ("default-src", None),
            ("script-src 'self'; object-src 'none'", None),
            ("script-src 'self'", Some(OBJECTS)),
            ("default-src *; script-src 'self'", Some(OBJECTS)),
            ("default-src 'self'; script-src 'nonce-abc' 'unsafe-inline'", None),
            ("default-src 'self'; script-src 'strict-dynamic' 'nonce-abc' https: *", None),
            ("default-src *", Some(SCRIPTS)),
            ("default-src 'self'; SCRIPT-SRC 'UNSAFE-EVAL'", Some(EVAL)),
            ("default-src 'self'; script-src https:", Some(SCRIPTS)),
            ("default-src 'self'; script-src https://*", Some(SCRIPTS)),
            ("default-src 'self'; script-src http://*:8080/js/", Some(SCRIPTS)),
            ("default-src 'self'; script-src *:*", Some(SCRIPTS)),
            ("default-src 'self'; script-src *.com", Some(SCRIPTS)),
            ("default-src 'self'; script-src https://*.*", Some(SCRIPTS)),
            ("default-src 'self'; script-src *.example.com https://cdn.example.com:443/*", None),
            ("default-src 'self'; script-src data:", Some(DATA)),
            ("default-src 'self'; script-src 'self'; script-src *", None),
            ("default-src 'self' 'unsafe-inline'", Some(INLINE)),
            ("default-src 'self'; style-src 'unsafe-inline'", None),
            ("img-src 'self'", Some(NONE)),
            ("default-src 'self' http://cdn.example.com", Some("scripts over plain HTTP")),
            ("default-src 'self' http://localhost:3000 http://127.0.0.1", None),
            ("default-src 'self' http://localhost.example.com", Some("scripts over plain HTTP")),
            // The directives for elements and for attributes, and their fallbacks.
            ("default-src 'self'; script-src-elem * 'unsafe-inline'", Some(INLINE)),
            ("default-src 'self'; script-src-elem 'self' 'unsafe-inline'", Some(INLINE)),
            ("script-src 'self'; object-src 'none'; script-src-elem https:", Some(SCRIPTS)),
            ("default-src 'self'; script-src-elem data:", Some(DATA)),
            ("default-src 'self'; script-src-elem http://cdn.example.com", Some("scripts over plain HTTP")),
            ("default-src 'self'; script-src-attr 'unsafe-inline'", Some(HANDLERS)),
            ("default-src 'self'; script-src-attr 'unsafe-inline' 'nonce-abc'", None),
            ("default-src 'self' 'unsafe-inline'; script-src-elem 'self'; script-src-attr 'none'", None),
            ("default-src 'self' 'unsafe-inline'; script-src-elem 'self'", Some(HANDLERS)),
            ("default-src 'self'; script-src *; script-src-elem 'self'", None),
            ("default-src 'self'; script-src 'unsafe-eval'; script-src-elem 'self'", Some(EVAL)),
            ("script-src-elem 'self'; script-src-attr 'none'; object-src 'none'", Some(NONE)),
            // A malformed nonce or hash does not disable 'unsafe-inline'.
            ("default-src 'self' 'nonce-' 'unsafe-inline'", Some(INLINE)),
            ("default-src 'self' 'nonce-==' 'unsafe-inline'", Some(INLINE)),
            ("default-src 'self' 'nonce-abc 'unsafe-inline'", Some(INLINE)),
            ("default-src 'self' nonce-abc 'unsafe-inline'", Some(INLINE)),
            ("default-src 'self' 'nonce-a=b' 'unsafe-inline'", Some(INLINE)),
            ("default-src 'self' 'nonce-abc===' 'unsafe-inline'", Some(INLINE)),
            ("default-src 'self' 'nonce-a.b' 'unsafe-inline'", Some(INLINE)),
            ("default-src 'self' 'sha256-' 'unsafe-inline'", Some(INLINE)),
            ("default-src 'self' 'sha1-abc=' 'unsafe-inline'", Some(INLINE)),
            ("default-src 'self' 'sha-abc=' 'unsafe-inline'", Some(INLINE)),
            ("default-src 'self' 'sha256' 'unsafe-inline'", Some(INLINE)),
            ("default-src 'self' 'NONCE-aB+/-_==' 'unsafe-inline'", None),
            ("default-src 'self' 'sha256-abc=' 'unsafe-inline'", None),
            ("default-src 'self' 'sha384-abc' 'unsafe-inline'", None),
            ("default-src 'self' 'SHA512-abc' 'unsafe-inline'", None),
        ] {
            assert_eq!(policies(&[policy], "").weakness(true), expected, "{policy}");
        }
    }

    #[test]
    fn every_policy_is_enforced() {
        assert_eq!(policies(&["default-src *", "default-src 'self'"], "").weakness(true), None);
        assert_eq!(policies(&["default-src *, script-src 'self'; object-src 'none'"], "").weakness(true), None);
        assert_eq!(policies(&["script-src 'self'", "object-src 'none'"], "").weakness(true), None);
        assert_eq!(
            policies(&["img-src *", "font-src *"], "").weakness(true),
            Some("neither script-src nor default-src")
        );
        let meta = "<meta http-equiv=Content-Security-POLICY content=\"default-src 'self'\">";
        assert_eq!(policies(&["img-src *"], meta).weakness(true), None);
        assert!(policies(&[], meta).text().contains("meta element"));
        assert!(
            policies(&[], &format!("<body>{meta}")).is_empty(),
            "outside of the head a meta element sets no policy"
        );
        assert!(
            policies(
                &[" ; ; "],
                "<meta http-equiv=content-security-policy content=\"frame-ancestors 'none'; sandbox\">"
            )
            .is_empty()
        );
        assert!(policies(&["upgrade-insecure-requests"], "").upgrades_requests());
    }

    #[test]
    fn frame_ancestors_restricts_framing() {
        for (fields, html, expected) in [
            (&["frame-ancestors 'none'"][..], "", Some(true)),
            (&["frame-ancestors"], "", Some(true)),
            (&["frame-ancestors 'self' https://a.example"], "", Some(true)),
            (&["frame-ancestors *"], "", Some(false)),
            (&["frame-ancestors https:"], "", Some(false)),
            (&["frame-ancestors 'self' http://*"], "", Some(false)),
            (&["frame-ancestors *", "frame-ancestors 'self'"], "", Some(true)),
            (&["default-src 'none'"], "", None),
            (&[], "<meta http-equiv=content-security-policy content=\"frame-ancestors 'none'\">", None),
        ] {
            assert_eq!(policies(fields, html).restricts_framing(), expected, "{fields:?} {html}");
        }
    }

    #[test]
    fn long_policies_are_cut_and_take_no_time() {
        let started = tokio::time::Instant::now();
        let many: String = (0..90_000).map(|n| format!("{n:x};")).collect();
        let metas: String =
            (0..3).map(|_| format!("<meta http-equiv=content-security-policy content=\"{many}\">")).collect();
        let read = policies(&[], &metas);
        assert!(read.remark().is_some() && read.text().len() <= MAX_TEXT + 100);
        assert_eq!(read.weakness(true), Some("neither script-src nor default-src"));
        let spread = policies(&[], &"<meta http-equiv=content-security-policy content=a>".repeat(5000));
        assert!(spread.remark().is_none());
        // A quadratic algorithm would take minutes.
        assert!(started.elapsed() < std::time::Duration::from_secs(10), "{:?}", started.elapsed());

        let directives = |count: usize| (0..count).map(|n| format!("x{n};")).collect::<String>();
        for (text, is_cut, weakness) in [
            (format!("{}default-src 'self'", directives(99)), false, None),
            (format!("{}default-src 'self'", directives(100)), true, Some("neither script-src nor default-src")),
            (format!("default-src 'self';{}", directives(200)), true, None),
            (format!("default-src 'self';{}", "default-src *;".repeat(200)), false, None),
            (format!("default-src 'self'; img-src {}", "a ".repeat(40_000)), true, None),
            (format!("default-src 'self'; img-src {}", "ä ".repeat(40_000)), true, None),
            ("x".repeat(MAX_TEXT + 1), true, None),
        ] {
            let read = policies(&[], &format!("<meta http-equiv=content-security-policy content=\"{text}\">"));
            assert_eq!((read.remark().is_some(), read.weakness(true)), (is_cut, weakness), "{}", &text[..40]);
        }
    }
}
