//! `script_integrity`: the scripts, stylesheets and frames that the landing page loads, their
//! Subresource Integrity and their transport.

use std::borrow::Cow;
use std::collections::HashSet;

use async_trait::async_trait;
use url::Url;

use crate::csp::Policies;
use crate::css::imports;
use crate::issues::{self, Issue};
use crate::markup::{Element, elements};
use crate::plugin::{Finding, Meta, Outcome, Plugin, Report};
use crate::scan::Scan;
use crate::target::is_local;
use crate::text::clip;

static META: Meta = Meta {
    name: "script_integrity",
    display_name: "Script Integrity",
    description: "Lists the scripts, stylesheets and frames of the landing page, checks the integrity attributes of those from other hosts, and finds what is loaded over plain HTTP.",
    website_url: "https://developer.mozilla.org/en-US/docs/Web/Security/Defenses/Subresource_Integrity",
    priority: 25,
};

/// The plugin.
#[derive(Debug)]
pub struct ScriptIntegrity;

#[async_trait]
impl Plugin for ScriptIntegrity {
    fn meta(&self) -> &'static Meta {
        &META
    }

    async fn run(&self, scan: &Scan) -> Outcome {
        match scan.landing().await {
            Ok(landing) => {
                let page = landing.visit.page();
                let (html, remark) = page.html();
                let elements = elements(&html);
                let policies = Policies::read(&page.headers, &elements);
                let mut report = judge(&elements, &page.url, policies.upgrades_requests());
                report.observations.extend(remark);
                report.observations.extend(policies.remark().map(str::to_owned));
                Outcome::Done(report)
            }
            Err(reason) => Outcome::Failed(reason),
        }
    }
}

/// The kind of a loaded resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Script,
    Style,
    Frame,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Style => "stylesheet",
            Self::Frame => "frame",
        }
    }

    const fn over_http(self) -> &'static Issue {
        match self {
            Self::Script => &issues::SCRIPT_MIXED,
            Self::Style => &issues::STYLE_MIXED,
            Self::Frame => &issues::FRAME_MIXED,
        }
    }
}

/// The limit for the elements of one page. Real pages have some dozens; a hostile page could fill
/// the disk with findings.
const MAX_ELEMENTS: usize = 500;

/// One resource that an element loads.
struct Load<'a> {
    kind: Kind,
    /// The address; an inline script has none.
    address: Option<Cow<'a, str>>,
    /// True if this element runs or shows the resource, so that `integrity` belongs on the element.
    /// For resources that are only preloaded or imported, only the transport is checked.
    is_use: bool,
}

/// Returns the relevant resources that an element loads.
fn loads(element: &Element) -> Vec<Load<'_>> {
    let load = |kind, address: &'static str| {
        element.attr(address).map(|address| Load { kind, address: Some(address.into()), is_use: true })
    };
    let one = match element.name {
        // SVG uses other attributes for the address.
        "script" if element.in_foreign => load(Kind::Script, "href")
            .or_else(|| load(Kind::Script, "xlink:href"))
            .or(Some(Load { kind: Kind::Script, address: None, is_use: true })),
        "script" => load(Kind::Script, "src").or(Some(Load { kind: Kind::Script, address: None, is_use: true })),
        "style" => {
            return imports(&element.text)
                .into_iter()
                .map(|address| Load { kind: Kind::Style, address: Some(address.into()), is_use: false })
                .collect();
        }
        "link" if has_rel(element, "stylesheet") => load(Kind::Style, "href"),
        "link" => preloads(element).and_then(|kind| Some(Load { is_use: false, ..load(kind, "href")? })),
        // Browsers load the content of a plug-in as a frame.
        "iframe" | "frame" | "embed" => load(Kind::Frame, "src"),
        "object" => load(Kind::Frame, "data"),
        _ => None,
    };
    one.into_iter().collect()
}

/// Returns the kind of resource that a `link` preloads (HTML, 4.6.7.10 and 4.6.7.20).
fn preloads(element: &Element) -> Option<Kind> {
    if has_rel(element, "modulepreload") {
        return Some(Kind::Script);
    }
    match element.attr("as").filter(|_| has_rel(element, "preload")).map(str::to_ascii_lowercase).as_deref() {
        Some("script") => Some(Kind::Script),
        Some("style") => Some(Kind::Style),
        _ => None,
    }
}

/// Checks one page. Nothing is loaded or run. `upgrades` is true if browsers replace `http:` by
/// `https:` in the page.
#[must_use]
pub fn judge(elements: &[Element], page: &Url, upgrades: bool) -> Report {
    let base = elements.iter().find_map(|element| if element.name == "base" { element.attr("href") } else { None });
    let base = base.and_then(|href| page.join(href).ok()).unwrap_or_else(|| page.clone());
    let mut report = Report::default();
    let (mut own, mut foreign, mut inline) = (0, 0, 0);
    let mut told_mixed = HashSet::new();
    let loading: Vec<_> =
        elements.iter().flat_map(|element| loads(element).into_iter().map(move |load| (element, load))).collect();
    if loading.len() > MAX_ELEMENTS {
        report.observations.push(format!(
            "the page loads {} scripts, stylesheets and frames; the first {MAX_ELEMENTS} were looked at",
            loading.len()
        ));
    }
    for (element, Load { kind, address, is_use }) in loading.into_iter().take(MAX_ELEMENTS) {
        let Some(address) = address else {
            inline += 1;
            continue;
        };
        let Ok(url) = base.join(address.trim()) else { continue };
        if !matches!(url.scheme(), "http" | "https") {
            continue;
        }
        let location = clip(url.as_str(), 300);
        let same_origin = url.origin() == page.origin();
        if !is_use {
            report.observations.push(format!("{} imported or fetched ahead: {location}", kind.name()));
        } else if same_origin {
            own += 1;
        } else {
            foreign += 1;
            report.observations.push(format!("{} from another origin: {location}", kind.name()));
        }
        let mut add = |issue, evidence: &str| report.findings.push(Finding::new(issue, location.clone(), evidence));
        let is_plain = url.scheme() == "http" && !url.host_str().is_some_and(is_local);
        // A resource that is preloaded and used later is one fault.
        if page.scheme() == "https" && is_plain && !upgrades && told_mixed.insert((kind.name(), location.clone())) {
            add(kind.over_http(), &format!("the page is HTTPS, the {} is not", kind.name()));
        }
        if kind == Kind::Frame || !is_use {
            continue;
        }
        match element.attr("integrity").map(str::trim).filter(|value| !value.is_empty()) {
            None if same_origin => {}
            None if kind == Kind::Script => add(&issues::SCRIPT_NO_INTEGRITY, "no integrity attribute"),
            None => add(&issues::STYLE_NO_INTEGRITY, "no integrity attribute"),
            Some(value) if !has_usable_hash(value) => {
                add(&issues::INTEGRITY_INVALID, &format!("integrity=\"{value}\""));
            }
            Some(_) if !same_origin && element.attr("crossorigin").is_none() => {
                add(&issues::INTEGRITY_NO_CORS, "no crossorigin attribute");
            }
            Some(_) => {}
        }
    }
    report.headline = format!("{own} own, {foreign} foreign and {inline} inline resources");
    report
}

fn has_rel(element: &Element, wanted: &str) -> bool {
    element.attr("rel").is_some_and(|rel| rel.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(wanted)))
}

/// Returns true if an `integrity` value has at least one hash that browsers check (SRI, 3.3.2): a
/// known algorithm and the full length in base64.
#[must_use]
pub fn has_usable_hash(value: &str) -> bool {
    value.split_ascii_whitespace().any(|word| {
        let word = word.split('?').next().unwrap_or_default();
        let Some((algorithm, digest)) = word.split_once('-') else { return false };
        let digest = digest.trim_end_matches('=');
        let wanted = match algorithm {
            "sha256" => 43,
            "sha384" => 64,
            "sha512" => 86,
            _ => return false,
        };
        digest.len() == wanted
            && digest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha384-oqVuAfXRKap7fdgcCY5uykM6+R9GqQ8K/uxy9rx7HNQlGYl1kPzQho1wx4JwY8wC";

    fn ids_with(html: &str, page: &str, upgrades: bool) -> Vec<&'static str> {
        judge(&elements(html), &Url::parse(page).unwrap(), upgrades)
            .findings
            .iter()
            .map(|finding| finding.issue.id)
            .collect()
    }

    fn ids(html: &str) -> Vec<&'static str> {
        ids_with(html, "https://a.test/dir/page", false)
    }

    #[test]
    fn script_findings_match_the_table() {
        let good = format!(r#"<script src="https://cdn.test/x.js" integrity="{HASH}" crossorigin></script>"#);
        let no_cors = format!(r#"<script src="https://cdn.test/x.js" integrity="{HASH}"></script>"#);
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (r#"<script src="/x.js"></script><script>1</script>"#, &[]),
            (r#"<script src="https://a.test:443/x.js"></script>"#, &[]),
            (r#"<script src="//cdn.test/x.js"></script>"#, &["script_without_integrity"]),
            (r#"<SCRIPT SRC=" https://cdn.test/x.js "></SCRIPT>"#, &["script_without_integrity"]),
            (r#"<script src="http://a.test/x.js"></script>"#, &["script_over_http", "script_without_integrity"]),
            (&good, &[]),
            (&no_cors, &["integrity_without_crossorigin"]),
            (
                r#"<script src="https://cdn.test/x.js" integrity="md5-x" crossorigin></script>"#,
                &["integrity_attribute_invalid"],
            ),
            (r#"<link rel="preload stylesheet" href="https://cdn.test/x.css">"#, &["stylesheet_without_integrity"]),
            (r#"<link rel="icon" href="https://cdn.test/x.png">"#, &[]),
            (r#"<base href="https://cdn.test/"><script src="x.js"></script>"#, &["script_without_integrity"]),
            (r#"<script src="data:text/javascript,1"></script>"#, &[]),
            (
                r#"<link rel=stylesheet href="http://a.test/x.css">"#,
                &["stylesheet_over_http", "stylesheet_without_integrity"],
            ),
            (r#"<iframe src="http://b.test/"></iframe>"#, &["frame_over_http"]),
            (r#"<frameset><frame src="http://b.test/"></frameset>"#, &["frame_over_http"]),
            (
                r#"<object data="http://b.test/"></object><embed src="http://b.test/x">"#,
                &["frame_over_http", "frame_over_http"],
            ),
            (
                r#"<iframe src="//b.test/"></iframe><iframe srcdoc="x"></iframe><iframe src="about:blank"></iframe>"#,
                &[],
            ),
            (r#"<base href="http://b.test/"><iframe src="x"></iframe>"#, &["frame_over_http"]),
            (
                r#"<noscript><iframe src="http://b.test/"></iframe></noscript><!-- <iframe src="http://b.test/"> -->"#,
                &[],
            ),
        ];
        for (html, expected) in cases {
            assert_eq!(&ids(html), expected, "{html}");
        }
    }

    #[test]
    fn mixed_content_is_found() {
        for (html, expected) in [
            ("<style>@import url(http://e.test/a.css);</style>", &["stylesheet_over_http"][..]),
            (
                "<style>@import \"http://e.test/a.css\" screen; @import 'HTTP://e.test/b.css'; p{}</style>",
                &["stylesheet_over_http", "stylesheet_over_http"],
            ),
            ("<style>@import url(https://e.test/a.css);</style>", &[]),
            ("<style>p{} @import url(http://e.test/a.css);</style>", &[]),
            ("<svg><style>@import url(http://e.test/a.css);</style></svg>", &["stylesheet_over_http"]),
            ("<base href=http://e.test/><style>@import 'a.css'</style>", &["stylesheet_over_http"]),
            ("<svg><script href=http://a.test/a.js></script></svg>", &["script_over_http", "script_without_integrity"]),
            ("<svg><script xlink:href=http://a.test/a.js /></svg>", &["script_over_http", "script_without_integrity"]),
            ("<svg><script src=http://a.test/a.js></script></svg>", &[]),
            ("<script href=http://a.test/a.js></script>", &[]),
            ("<link rel=modulepreload href=http://e.test/a.js>", &["script_over_http"]),
            ("<link rel='x PRELOAD' as=STYLE href=http://e.test/a.css>", &["stylesheet_over_http"]),
            ("<link rel=preload as=script href=http://e.test/a.js>", &["script_over_http"]),
            ("<link rel=preload as=script href=https://e.test/a.js>", &[]),
            (
                "<link rel=preload as=image href=http://e.test/a.png><link rel=preload href=http://e.test/x><link rel=preload as=style>",
                &[],
            ),
            (
                "<link rel=preload as=script href=http://e.test/a.js><script src=http://e.test/a.js></script>",
                &["script_over_http", "script_without_integrity"],
            ),
            ("<iframe src=http://127.0.0.1/></iframe><iframe src=http://127.1.2.3:8080/></iframe>", &[]),
            (
                "<iframe src=http://localhost:3000/></iframe><iframe src=http://x.LOCALHOST/></iframe><iframe src=http://[::1]/></iframe>",
                &[],
            ),
            ("<iframe src=http://localhost.e.test/></iframe>", &["frame_over_http"]),
            ("<iframe src=http://10.0.0.1/></iframe>", &["frame_over_http"]),
        ] {
            assert_eq!(ids(html), expected, "{html}");
        }
    }

    #[test]
    fn plain_http_is_no_fault_where_it_is_upgraded_or_the_page_is_plain() {
        let page = r#"<link rel=stylesheet href="http://a.test/x.css"><iframe src="http://b.test/"></iframe>"#;
        assert_eq!(ids_with(page, "https://a.test/", true), ["stylesheet_without_integrity"]);
        assert_eq!(ids_with(page, "http://a.test/", false), Vec::<&str>::new());
    }

    #[test]
    fn findings_of_one_page_are_limited() {
        let page = r#"<script src="//cdn.test/x.js"></script>"#.repeat(600);
        assert_eq!(ids(&page).len(), MAX_ELEMENTS);
    }

    #[test]
    fn usable_integrity_hashes_are_recognised() {
        assert!(has_usable_hash(HASH));
        assert!(has_usable_hash(&format!("md5-x {HASH}?opt")));
        for bad in ["", "sha384", "sha384-", "sha384-short", "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="] {
            assert!(!has_usable_hash(bad), "{bad}");
        }
    }
}
