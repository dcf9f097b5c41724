//! Reads and judges Content Security Policies (CSP level 3) of header fields and of the page. Pure.

use reqwest::header::HeaderMap;

use crate::markup::Element;

/// One policy: its directives in their order. Of two of one name the first counts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Policy {
    directives: Vec<(String, Vec<String>)>,
}

/// All policies that a page is under. A browser enforces each of them, so a weakness counts only where every policy has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policies {
    list: Vec<Policy>,
    text: String,
}

/// Whether a policy has a weakness; the second argument says that the page came over TLS.
type Weakness = fn(&Policy, bool) -> bool;

/// The weaknesses, worst first.
static WEAKNESSES: [(Weakness, &str); 7] = [
    (|policy, _| policy.scripts().is_none(), "neither script-src nor default-src"),
    // A nonce or hash makes browsers ignore 'unsafe-inline' (CSP level 3, 6.7.3.2).
    (|policy, _| policy.allows_script("'unsafe-inline'") && !policy.has_nonce() && !policy.is_dynamic(), "'unsafe-inline' for scripts"),
    (|policy, _| !policy.is_dynamic() && policy.scripts().is_none_or(|sources| sources.iter().any(|source| is_broad(source))), "scripts from anywhere"),
    (|policy, _| !policy.is_dynamic() && policy.allows_script("data:"), "scripts from data: addresses"),
    (|policy, _| policy.allows_script("'unsafe-eval'"), "'unsafe-eval' for scripts"),
    (|policy, _| policy.objects().is_none_or(|sources| sources.iter().any(|source| is_broad(source))), "plug-ins from anywhere (object-src)"),
    (
        |policy, https| https && !policy.is_dynamic() && policy.scripts().is_none_or(|sources| sources.iter().any(|source| is_plain(source))),
        "scripts over plain HTTP",
    ),
];

impl Policies {
    /// The policies of a response: those of its header fields, and those of `meta` elements in the head (HTML, 4.2.5.3).
    #[must_use]
    pub fn read(headers: &HeaderMap, elements: &[Element]) -> Self {
        let mut policies = Self::default();
        for field in headers.get_all("content-security-policy") {
            for part in String::from_utf8_lossy(field.as_bytes()).split(',') {
                policies.add(part, false);
            }
        }
        for element in elements.iter().filter(|element| element.name == "meta" && element.in_head && element.is("http-equiv", "content-security-policy")) {
            policies.add(element.attr("content").unwrap_or_default(), true);
        }
        policies
    }

    fn add(&mut self, text: &str, is_meta: bool) {
        let mut directives: Vec<(String, Vec<String>)> = Vec::new();
        for part in text.split(';') {
            let mut words = part.split_ascii_whitespace();
            let Some(name) = words.next().map(str::to_ascii_lowercase) else { continue };
            // A page cannot set these for itself.
            let ignored = is_meta && matches!(name.as_str(), "frame-ancestors" | "report-uri" | "sandbox");
            if !ignored && !directives.iter().any(|(other, _)| *other == name) {
                directives.push((name, words.map(str::to_ascii_lowercase).collect()));
            }
        }
        if !directives.is_empty() {
            let source = if is_meta { " (meta element)" } else { "" };
            let separator = if self.text.is_empty() { "" } else { " | " };
            self.text.push_str(&format!("{separator}{}{source}", text.trim()));
            self.list.push(Policy { directives });
        }
    }

    /// Whether there is no policy that is enforced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The policies as they were sent.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The worst weakness that all policies share, if there is one. `https` says that the page came over TLS.
    #[must_use]
    pub fn weakness(&self, https: bool) -> Option<&'static str> {
        if self.list.is_empty() {
            return None;
        }
        WEAKNESSES.iter().find(|(has, _)| self.list.iter().all(|policy| has(policy, https))).map(|(_, text)| *text)
    }

    /// Whether `frame-ancestors` keeps other sites from framing the page; `None` where no policy has the directive.
    #[must_use]
    pub fn restricts_framing(&self) -> Option<bool> {
        let lists: Vec<_> = self.list.iter().filter_map(|policy| policy.directive(&["frame-ancestors"])).collect();
        if lists.is_empty() { None } else { Some(lists.iter().any(|sources| !sources.iter().any(|source| is_broad(source)))) }
    }

    /// Whether browsers load over HTTPS what the page names over plain HTTP (Upgrade Insecure Requests).
    #[must_use]
    pub fn upgrades_requests(&self) -> bool {
        self.list.iter().any(|policy| policy.directive(&["upgrade-insecure-requests"]).is_some())
    }
}

impl Policy {
    /// The sources of the first directive that is there.
    fn directive(&self, names: &[&str]) -> Option<&[String]> {
        names.iter().find_map(|name| self.directives.iter().find(|(other, _)| other == name).map(|(_, sources)| sources.as_slice()))
    }

    fn scripts(&self) -> Option<&[String]> {
        self.directive(&["script-src", "default-src"])
    }

    fn objects(&self) -> Option<&[String]> {
        self.directive(&["object-src", "default-src"])
    }

    fn allows_script(&self, word: &str) -> bool {
        self.scripts().is_none_or(|sources| sources.iter().any(|source| source == word))
    }

    fn has_nonce(&self) -> bool {
        self.scripts().is_some_and(|sources| sources.iter().any(|source| source.starts_with("'nonce-") || source.starts_with("'sha")))
    }

    /// Whether browsers ignore hosts and schemes among the script sources (CSP level 3, 6.7.1.1).
    fn is_dynamic(&self) -> bool {
        self.scripts().is_some_and(|sources| sources.iter().any(|source| source == "'strict-dynamic'"))
    }
}

/// Whether a source, in lower case, names plain HTTP or FTP.
fn is_plain(source: &str) -> bool {
    source.starts_with("http:") || source.starts_with("ftp:")
}

/// Whether a source, in lower case, covers sites of anybody: `*`, a scheme alone, `https://*`, `*:443`, or a wildcard right below a top-level domain.
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
    fn weaknesses() {
        const NONE: &str = "neither script-src nor default-src";
        const INLINE: &str = "'unsafe-inline' for scripts";
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
        ] {
            assert_eq!(policies(&[policy], "").weakness(true), expected, "{policy}");
        }
    }

    #[test]
    fn every_policy_is_enforced() {
        assert_eq!(policies(&["default-src *", "default-src 'self'"], "").weakness(true), None);
        assert_eq!(policies(&["default-src *, script-src 'self'; object-src 'none'"], "").weakness(true), None);
        assert_eq!(policies(&["script-src 'self'", "object-src 'none'"], "").weakness(true), None);
        assert_eq!(policies(&["img-src *", "font-src *"], "").weakness(true), Some("neither script-src nor default-src"));
        let meta = "<meta http-equiv=Content-Security-POLICY content=\"default-src 'self'\">";
        assert_eq!(policies(&["img-src *"], meta).weakness(true), None);
        assert!(policies(&[], meta).text().contains("meta element"));
        assert!(policies(&[], &format!("<body>{meta}")).is_empty(), "outside of the head a meta element sets no policy");
        assert!(policies(&[" ; ; "], "<meta http-equiv=content-security-policy content=\"frame-ancestors 'none'; sandbox\">").is_empty());
        assert!(policies(&["upgrade-insecure-requests"], "").upgrades_requests());
    }

    #[test]
    fn framing() {
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
}
