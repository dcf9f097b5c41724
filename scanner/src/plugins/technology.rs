//! `technology_hints`: the software that the landing page reveals.

use async_trait::async_trait;
use reqwest::header::HeaderMap;

use crate::http::joined;
use crate::issues;
use crate::markup::elements;
use crate::plugin::{Finding, Meta, Outcome, Plugin, Report};
use crate::scan::Scan;
use crate::text::clip;

static META: Meta = Meta {
    name: "technology_hints",
    display_name: "Technology Hints",
    description: "Recognises software from headers, cookie names, the generator tag and script paths of the landing page.",
    website_url: "https://owasp.org/www-project-web-security-testing-guide/",
    priority: 30,
};

/// The plugin.
#[derive(Debug)]
pub struct TechnologyHints;

#[async_trait]
impl Plugin for TechnologyHints {
    fn meta(&self) -> &'static Meta {
        &META
    }

    async fn run(&self, scan: &Scan) -> Outcome {
        match scan.landing().await {
            Ok(landing) => {
                let page = landing.visit.page();
                let (html, remark) = page.html();
                let mut report = report(recognise(&page.headers, &html), page.url.as_str());
                report.observations.extend(remark);
                Outcome::Done(report)
            }
            Err(reason) => Outcome::Failed(reason),
        }
    }
}

/// One recognised piece of software.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The name, or the banner itself if no name is known.
    pub name: String,
    /// The evidence.
    pub evidence: String,
    /// True if an exact version is shown.
    pub versioned: bool,
}

const BANNERS: [&str; 7] =
    ["server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version", "x-generator", "x-drupal-cache", "via"];

const COOKIES: [(&str, &str); 10] = [
    ("phpsessid", "PHP"),
    ("jsessionid", "Java servlets"),
    ("asp.net_sessionid", "ASP.NET"),
    (".aspnetcore.", "ASP.NET Core"),
    ("laravel_session", "Laravel"),
    ("csrftoken", "Django"),
    ("connect.sid", "Express"),
    ("_rails_session", "Ruby on Rails"),
    ("ci_session", "CodeIgniter"),
    ("wordpress_", "WordPress"),
];

const PATHS: [(&str, &str); 14] = [
    ("/wp-content/", "WordPress"),
    ("/wp-includes/", "WordPress"),
    ("/sites/default/files/", "Drupal"),
    ("/media/jui/", "Joomla"),
    ("/_next/", "Next.js"),
    ("/_nuxt/", "Nuxt"),
    ("/static/frontend/", "Magento"),
    ("cdn.shopify.com", "Shopify"),
    ("jquery", "jQuery"),
    ("bootstrap", "Bootstrap"),
    ("react-dom", "React"),
    ("vue.", "Vue"),
    ("angular", "Angular"),
    ("googletagmanager.com", "Google Tag Manager"),
];

/// Returns the software that one response reveals.
#[must_use]
pub fn recognise(headers: &HeaderMap, html: &str) -> Vec<Hint> {
    let mut hints: Vec<Hint> = Vec::new();
    for name in BANNERS {
        if let Some(value) = joined(headers, name) {
            // The number in Via is the version of the protocol, not of a product (RFC 9110, 7.6.3).
            let versioned = name != "via" && has_version(&value);
            add(&mut hints, clip(&value, 120), format!("{name}: {}", clip(&value, 200)), versioned);
        }
    }
    for line in headers.get_all("set-cookie") {
        let line = String::from_utf8_lossy(line.as_bytes());
        // A single word is the value of a cookie without a name.
        let Some((cookie, _)) = line.split(';').next().unwrap_or_default().split_once('=') else { continue };
        let cookie = cookie.trim().to_ascii_lowercase();
        if let Some((start, product)) = COOKIES.iter().find(|(start, _)| cookie.starts_with(start)) {
            add(&mut hints, (*product).to_owned(), format!("a cookie named {start}…"), false);
        }
    }
    let elements = elements(html);
    // A page normally has one generator; a hostile page could have thousands.
    for element in elements.iter().filter(|element| element.name == "meta" && element.is("name", "generator")).take(5) {
        let content = clip(element.attr("content").unwrap_or_default().trim(), 120);
        if !content.is_empty() {
            let versioned = has_version(&content);
            add(&mut hints, content.clone(), format!("generator tag: {content}"), versioned);
        }
    }
    for element in elements.iter().filter(|element| matches!(element.name, "script" | "link")) {
        let address = element.attr("src").or_else(|| element.attr("href")).unwrap_or_default();
        let lower = address.to_ascii_lowercase();
        if let Some((_, product)) = PATHS.iter().find(|(part, _)| lower.contains(part)) {
            add(&mut hints, (*product).to_owned(), format!("loads {}", clip(address, 200)), false);
        }
    }
    hints
}

/// Adds a product once, with its first and therefore strongest sign.
fn add(hints: &mut Vec<Hint>, name: String, evidence: String, versioned: bool) {
    if !hints.iter().any(|hint| hint.name == name) {
        hints.push(Hint { name, evidence, versioned });
    }
}

/// Returns true if a banner contains a version: a digit, a dot and a digit.
#[must_use]
pub fn has_version(text: &str) -> bool {
    text.as_bytes().windows(3).any(|w| w[0].is_ascii_digit() && w[1] == b'.' && w[2].is_ascii_digit())
}

fn report(hints: Vec<Hint>, url: &str) -> Report {
    let names: Vec<_> = hints.iter().map(|hint| hint.name.clone()).collect();
    let headline = if names.is_empty() {
        "No software recognised".to_owned()
    } else {
        format!("Recognised: {}", clip(&names.join(", "), 300))
    };
    let findings = hints
        .into_iter()
        .map(|hint| {
            let issue = if hint.versioned { &issues::VERSION_DISCLOSED } else { &issues::TECHNOLOGY_SEEN };
            Finding::new(issue, url, format!("{} ({})", hint.name, hint.evidence))
        })
        .collect();
    Report { findings, observations: Vec::new(), headline }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn names(list: &[(&str, &str)], html: &str) -> Vec<(String, bool)> {
        let headers: HeaderMap = list
            .iter()
            .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap()))
            .collect();
        recognise(&headers, html).into_iter().map(|hint| (hint.name, hint.versioned)).collect()
    }

    #[test]
    fn software_is_found_in_headers_cookies_and_pages() {
        assert_eq!(names(&[("server", "nginx/1.22.1")], ""), [("nginx/1.22.1".to_owned(), true)]);
        assert_eq!(names(&[("server", "cloudflare")], ""), [("cloudflare".to_owned(), false)]);
        assert_eq!(names(&[("via", "1.1 vegur")], ""), [("1.1 vegur".to_owned(), false)]);
        assert_eq!(names(&[("set-cookie", "PHPSESSID=1; path=/")], ""), [("PHP".to_owned(), false)]);
        assert_eq!(names(&[("set-cookie", "PHPSESSID; path=/")], ""), []);
        assert_eq!(
            names(&[], r#"<meta name="Generator" content="WordPress 6.4.2">"#),
            [("WordPress 6.4.2".to_owned(), true)]
        );
        assert_eq!(
            names(&[], r#"<script src="/wp-content/a.js"></script><link href="/wp-includes/b.css">"#),
            [("WordPress".to_owned(), false)]
        );
        assert_eq!(names(&[], "<p>nothing</p>"), []);
    }

    #[test]
    fn banner_versions_are_recognised() {
        for (text, expected) in
            [("nginx/1.2", true), ("nginx", false), ("HTTP2", false), ("PHP/8.", false), ("Apache 2.4.1 (Unix)", true)]
        {
            assert_eq!(has_version(text), expected, "{text}");
        }
    }
}
