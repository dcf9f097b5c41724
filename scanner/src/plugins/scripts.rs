//! `script_integrity`: the scripts, stylesheets and frames that the landing page loads, their Subresource Integrity and their transport.

use async_trait::async_trait;
use url::Url;

use crate::csp::Policies;
use crate::issues::{self, Issue};
use crate::markup::{Element, elements};
use crate::plugin::{Finding, Meta, Outcome, Plugin, Report, clip};
use crate::scan::Scan;

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

/// What an element loads.
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

/// How many elements of one page are looked at. Real pages have some dozens; a hostile one could fill the disk with findings.
const MAX_ELEMENTS: usize = 500;

/// What an element loads and from where; `None` where it loads nothing of the kinds that matter. An inline script has no address.
fn loads(element: &Element) -> Option<(Kind, Option<&str>)> {
    match element.name {
        "script" => Some((Kind::Script, element.attr("src"))),
        "link" if is_stylesheet(element) => Some((Kind::Style, Some(element.attr("href")?))),
        // What a plug-in would load is framed today.
        "iframe" | "frame" | "embed" => Some((Kind::Frame, Some(element.attr("src")?))),
        "object" => Some((Kind::Frame, Some(element.attr("data")?))),
        _ => None,
    }
}

/// Judges one page. Nothing is loaded or run. `upgrades` says that browsers replace `http:` by `https:` in it.
#[must_use]
pub fn judge(elements: &[Element], page: &Url, upgrades: bool) -> Report {
    let base = elements.iter().find_map(|element| if element.name == "base" { element.attr("href") } else { None });
    let base = base.and_then(|href| page.join(href).ok()).unwrap_or_else(|| page.clone());
    let mut report = Report::default();
    let (mut own, mut foreign, mut inline) = (0, 0, 0);
    let loading: Vec<_> = elements.iter().filter_map(|element| Some((element, loads(element)?))).collect();
    if loading.len() > MAX_ELEMENTS {
        report.observations.push(format!("the page loads {} scripts, stylesheets and frames; the first {MAX_ELEMENTS} were looked at", loading.len()));
    }
    for (element, (kind, address)) in loading.into_iter().take(MAX_ELEMENTS) {
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
        if same_origin {
            own += 1;
        } else {
            foreign += 1;
            report.observations.push(format!("{} from another origin: {location}", kind.name()));
        }
        let mut add = |issue, evidence: &str| report.findings.push(Finding::new(issue, location.clone(), evidence));
        if page.scheme() == "https" && url.scheme() == "http" && !upgrades {
            add(kind.over_http(), &format!("the page is HTTPS, the {} is not", kind.name()));
        }
        if kind == Kind::Frame {
            continue;
        }
        match element.attr("integrity").map(str::trim).filter(|value| !value.is_empty()) {
            None if same_origin => {}
            None if kind == Kind::Script => add(&issues::SCRIPT_NO_INTEGRITY, "no integrity attribute"),
            None => add(&issues::STYLE_NO_INTEGRITY, "no integrity attribute"),
            Some(value) if !has_usable_hash(value) => add(&issues::INTEGRITY_INVALID, &format!("integrity=\"{value}\"")),
            Some(_) if !same_origin && element.attr("crossorigin").is_none() => add(&issues::INTEGRITY_NO_CORS, "no crossorigin attribute"),
            Some(_) => {}
        }
    }
    report.headline = format!("{own} own, {foreign} foreign and {inline} inline resources");
    report
}

fn is_stylesheet(element: &Element) -> bool {
    element.attr("rel").is_some_and(|rel| rel.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("stylesheet")))
}

/// Whether an `integrity` value holds at least one hash that browsers check (SRI, 3.3.2): the algorithm and its full length in base64.
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
        digest.len() == wanted && digest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha384-oqVuAfXRKap7fdgcCY5uykM6+R9GqQ8K/uxy9rx7HNQlGYl1kPzQho1wx4JwY8wC";

    fn ids_with(html: &str, page: &str, upgrades: bool) -> Vec<&'static str> {
        judge(&elements(html), &Url::parse(page).unwrap(), upgrades).findings.iter().map(|finding| finding.issue.id).collect()
    }

    fn ids(html: &str) -> Vec<&'static str> {
        ids_with(html, "https://a.test/dir/page", false)
    }

    #[test]
    fn table() {
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
            (r#"<script src="https://cdn.test/x.js" integrity="md5-x" crossorigin></script>"#, &["integrity_attribute_invalid"]),
            (r#"<link rel="preload stylesheet" href="https://cdn.test/x.css">"#, &["stylesheet_without_integrity"]),
            (r#"<link rel="icon" href="https://cdn.test/x.png">"#, &[]),
            (r#"<base href="https://cdn.test/"><script src="x.js"></script>"#, &["script_without_integrity"]),
            (r#"<script src="data:text/javascript,1"></script>"#, &[]),
            (r#"<link rel=stylesheet href="http://a.test/x.css">"#, &["stylesheet_over_http", "stylesheet_without_integrity"]),
            (r#"<iframe src="http://b.test/"></iframe>"#, &["frame_over_http"]),
            (r#"<frameset><frame src="http://b.test/"></frameset>"#, &["frame_over_http"]),
            (r#"<object data="http://b.test/"></object><embed src="http://b.test/x">"#, &["frame_over_http", "frame_over_http"]),
            (r#"<iframe src="//b.test/"></iframe><iframe srcdoc="x"></iframe><iframe src="about:blank"></iframe>"#, &[]),
            (r#"<base href="http://b.test/"><iframe src="x"></iframe>"#, &["frame_over_http"]),
            (r#"<noscript><iframe src="http://b.test/"></iframe></noscript><!-- <iframe src="http://b.test/"> -->"#, &[]),
        ];
        for (html, expected) in cases {
            assert_eq!(&ids(html), expected, "{html}");
        }
    }

    #[test]
    fn plain_http_is_no_fault_where_it_is_upgraded_or_the_page_is_plain() {
        let page = r#"<link rel=stylesheet href="http://a.test/x.css"><iframe src="http://b.test/"></iframe>"#;
        assert_eq!(ids_with(page, "https://a.test/", true), ["stylesheet_without_integrity"]);
        assert_eq!(ids_with(page, "http://a.test/", false), Vec::<&str>::new());
    }

    #[test]
    fn a_page_cannot_make_endless_findings() {
        let page = r#"<script src="//cdn.test/x.js"></script>"#.repeat(600);
        assert_eq!(ids(&page).len(), MAX_ELEMENTS);
    }

    #[test]
    fn hashes() {
        assert!(has_usable_hash(HASH));
        assert!(has_usable_hash(&format!("md5-x {HASH}?opt")));
        for bad in ["", "sha384", "sha384-", "sha384-short", "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="] {
            assert!(!has_usable_hash(bad), "{bad}");
        }
    }
}
