//! `script_integrity`: the scripts and stylesheets that the landing page loads, and their Subresource Integrity.

use async_trait::async_trait;
use scraper::{ElementRef, Html, Selector};
use url::Url;

use crate::issues;
use crate::plugin::{Finding, Meta, Outcome, Plugin, Report, clip};
use crate::scan::Scan;

static META: Meta = Meta {
    name: "script_integrity",
    display_name: "Script Integrity",
    description: "Lists the scripts and stylesheets of the landing page and checks the integrity attributes of those from other hosts.",
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
                let ((html, remark), url) = (page.html(), page.url.clone());
                // A page made to be slow to parse must hold up neither the other plugins nor an interruption.
                match tokio::task::spawn_blocking(move || judge(&html, &url)).await {
                    Ok(mut report) => {
                        report.observations.extend(remark);
                        Outcome::Done(report)
                    }
                    Err(error) => Outcome::Failed(format!("the page could not be parsed: {error}")),
                }
            }
            Err(reason) => Outcome::Failed(reason),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Script,
    Style,
}

/// How many elements of one page are looked at. Real pages have some dozens; a hostile one could fill the disk with findings.
const MAX_ELEMENTS: usize = 500;

/// Judges one page. No script is loaded or run.
#[must_use]
pub fn judge(html: &str, page: &Url) -> Report {
    let document = Html::parse_document(html);
    let base = select(&document, "base[href]").first().and_then(|element| page.join(element.attr("href")?).ok()).unwrap_or_else(|| page.clone());
    let mut report = Report::default();
    let (mut own, mut foreign, mut inline) = (0, 0, 0);
    let elements = select(&document, "script, link[href]");
    if elements.len() > MAX_ELEMENTS {
        report.observations.push(format!("the page has {} scripts and links; the first {MAX_ELEMENTS} were looked at", elements.len()));
    }
    for element in elements.into_iter().take(MAX_ELEMENTS) {
        let kind = if element.value().name() == "script" { Kind::Script } else { Kind::Style };
        let address = match kind {
            Kind::Script => element.attr("src"),
            Kind::Style if is_stylesheet(&element) => element.attr("href"),
            Kind::Style => continue,
        };
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
            report.observations.push(format!("{} from another origin: {location}", if kind == Kind::Script { "script" } else { "stylesheet" }));
        }
        let mut add = |issue, evidence: &str| report.findings.push(Finding::new(issue, location.clone(), evidence));
        if kind == Kind::Script && page.scheme() == "https" && url.scheme() == "http" {
            add(&issues::SCRIPT_MIXED, "the page is HTTPS, the script is not");
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

fn select<'a>(document: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    Selector::parse(selector).map(|selector| document.select(&selector).collect()).unwrap_or_default()
}

fn is_stylesheet(element: &ElementRef<'_>) -> bool {
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

    fn ids(html: &str) -> Vec<&'static str> {
        judge(html, &Url::parse("https://a.test/dir/page").unwrap()).findings.iter().map(|finding| finding.issue.id).collect()
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
        ];
        for (html, expected) in cases {
            assert_eq!(&ids(html), expected, "{html}");
        }
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
