//! `exposed_files`: files that are often readable by mistake, robots.txt and security.txt.
//!
//! Each file is recognised by its content, never by the status alone, because many sites answer 200
//! to every path. The content of a recognised file is not kept, because a report must not contain
//! passwords.

use std::hash::{BuildHasher as _, RandomState};

use async_trait::async_trait;
use futures_util::future::join_all;
use jiff::Timestamp;

use crate::http::{Client, Page, Visit};
use crate::issues::{self, Issue};
use crate::plugin::{Finding, Meta, Outcome, Plugin, Report};
use crate::scan::{Landing, Scan};
use crate::text::clip;

static META: Meta = Meta {
    name: "exposed_files",
    display_name: "Exposed Files",
    description: "Asks for files that are often left readable by mistake, recognises them by content, and reads robots.txt and security.txt.",
    website_url: "https://owasp.org/www-project-web-security-testing-guide/",
    priority: 50,
};

/// The plugin.
#[derive(Debug)]
pub struct ExposedFiles;

/// The number of files requested in parallel. A slow site must not use up the time of the check.
const AT_ONCE: usize = 4;

/// One file to request.
struct Probe {
    path: &'static str,
    issue: &'static Issue,
    what: &'static str,
    matches: fn(&[u8]) -> bool,
}

const fn probe(path: &'static str, issue: &'static Issue, what: &'static str, matches: fn(&[u8]) -> bool) -> Probe {
    Probe { path, issue, what, matches }
}

static PROBES: &[Probe] = &[
    probe("/.git/HEAD", &issues::GIT_EXPOSED, "a git HEAD", is_git_head),
    probe("/.git/config", &issues::GIT_EXPOSED, "a git configuration", |b| starts(b, "[core]")),
    probe("/.svn/wc.db", &issues::VCS_EXPOSED, "a Subversion database", |b| b.starts_with(b"SQLite format 3\0")),
    probe("/.hg/requires", &issues::VCS_EXPOSED, "a Mercurial repository", |b| {
        has(b, "revlogv1") || has(b, "dotencode")
    }),
    probe("/.env", &issues::ENV_EXPOSED, "lines of KEY=value", is_env),
    probe("/.env.local", &issues::ENV_EXPOSED, "lines of KEY=value", is_env),
    probe("/.env.production", &issues::ENV_EXPOSED, "lines of KEY=value", is_env),
    probe("/.htpasswd", &issues::CREDENTIALS_EXPOSED, "password hashes", is_htpasswd),
    probe("/.aws/credentials", &issues::CREDENTIALS_EXPOSED, "an AWS key", |b| has(b, "aws_access_key_id")),
    probe("/.npmrc", &issues::CREDENTIALS_EXPOSED, "an npm token", |b| has(b, "_authToken=") || has(b, "_auth=")),
    probe("/id_rsa", &issues::CREDENTIALS_EXPOSED, "a private key", |b| {
        starts(b, "-----BEGIN ") && has(b, "PRIVATE KEY-----")
    }),
    probe("/wp-config.php.bak", &issues::CREDENTIALS_EXPOSED, "a WordPress configuration", |b| has(b, "DB_PASSWORD")),
    probe("/wp-config.php~", &issues::CREDENTIALS_EXPOSED, "a WordPress configuration", |b| has(b, "DB_PASSWORD")),
    probe("/.vscode/sftp.json", &issues::CREDENTIALS_EXPOSED, "an upload configuration", |b| {
        starts(b, "{") && has(b, "\"password\"")
    }),
    probe("/backup.sql", &issues::DUMP_EXPOSED, "SQL statements", is_dump),
    probe("/dump.sql", &issues::DUMP_EXPOSED, "SQL statements", is_dump),
    probe("/phpinfo.php", &issues::SERVER_STATUS_EXPOSED, "phpinfo() output", |b| has(b, "phpinfo()</title>")),
    probe("/server-status", &issues::SERVER_STATUS_EXPOSED, "Apache's status page", |b| has(b, "Apache Server Status")),
    probe("/actuator/env", &issues::SERVER_STATUS_EXPOSED, "Spring Boot's environment", |b| {
        starts(b, "{") && has(b, "propertySources")
    }),
    probe("/.DS_Store", &issues::BUILD_FILE_EXPOSED, "a macOS folder index", |b| b.starts_with(b"\0\0\0\x01Bud1")),
    probe("/docker-compose.yml", &issues::BUILD_FILE_EXPOSED, "a Compose file", |b| {
        !is_html(b) && has(b, "services:") && (has(b, "image:") || has(b, "build:"))
    }),
    probe("/Dockerfile", &issues::BUILD_FILE_EXPOSED, "a Dockerfile", |b| {
        !is_html(b) && has(b, "FROM ") && has(b, "RUN ")
    }),
    probe("/package.json", &issues::BUILD_FILE_EXPOSED, "an npm manifest", |b| {
        starts(b, "{") && has(b, "\"dependencies\"")
    }),
    probe("/composer.json", &issues::BUILD_FILE_EXPOSED, "a Composer manifest", |b| {
        starts(b, "{") && has(b, "\"require\"")
    }),
    probe("/openapi.json", &issues::API_DESCRIPTION, "an OpenAPI document", |b| {
        starts(b, "{") && has(b, "\"openapi\"")
    }),
    probe("/swagger.json", &issues::API_DESCRIPTION, "a Swagger document", |b| starts(b, "{") && has(b, "\"swagger\"")),
];

#[async_trait]
impl Plugin for ExposedFiles {
    fn meta(&self) -> &'static Meta {
        &META
    }

    async fn run(&self, scan: &Scan) -> Outcome {
        match check(scan).await {
            Ok(report) => Outcome::Done(report),
            Err(reason) => Outcome::Failed(reason),
        }
    }
}

async fn check(scan: &Scan) -> Result<Report, String> {
    let client = scan.client().await?;
    let landing = scan.landing().await?;
    let mut report = Report::default();
    let nonce = RandomState::new().hash_one(scan.now);
    let nowhere = fetch(client, landing, &format!("/kastrel-{nonce:016x}")).await?;
    let soft = Baseline::new(&nowhere);
    if soft.answers_everything() {
        report
            .observations
            .push("the site answers 200 to paths that do not exist; only clear content counts".to_owned());
    }

    let page = landing.visit.page();
    if page.status == 200 && is_listing(page.content()) {
        report.findings.push(Finding::new(
            &issues::DIRECTORY_LISTING,
            page.url.as_str(),
            "the landing page is an automatic listing of files",
        ));
    }
    let mut asked = 0_u32;
    let mut silent = Silence::default();
    // Answers are checked in the order of the list, so that reports do not change from scan to
    // scan.
    for probes in PROBES.chunks(AT_ONCE) {
        let answers = join_all(probes.iter().map(|probe| fetch(client, landing, probe.path))).await;
        for (probe, answer) in probes.iter().zip(answers) {
            let Some(page) = silent.hear(answer, probe.path)? else { continue };
            asked += 1;
            // Both conditions are needed: a soft 404 page may quote the path or the word that the
            // content check looks for.
            if page.status == 200 && !soft.resembles(&page) && (probe.matches)(page.content()) {
                let evidence = format!("HTTP 200, {} bytes, content is {}", page.body.len(), probe.what);
                report.findings.push(Finding::new(probe.issue, page.url.as_str(), evidence));
            }
        }
    }
    for path in &scan.settings.extra_paths {
        let Some(page) = silent.hear(fetch(client, landing, path).await, path)? else { continue };
        asked += 1;
        let there = page.status == 200 && !soft.resembles(&page);
        report.observations.push(format!(
            "{path}: HTTP {}{}",
            page.status,
            if page.status == 200 && !there { ", but so does a path that does not exist" } else { "" }
        ));
        if there {
            report.findings.push(Finding::new(
                &issues::EXTRA_PATH_FOUND,
                page.url.as_str(),
                format!("HTTP 200, {} bytes", page.body.len()),
            ));
        }
    }
    // Both files may be reached through redirects (RFC 9309, 2.3.1.2; RFC 9116, 3).
    if let Some(robots) = silent.hear(follow(client, landing, "/robots.txt").await, "/robots.txt")? {
        asked += 1;
        judge_robots(&robots, &soft, &mut report);
    }
    let mut missing = None;
    for path in SECURITY_TXT {
        let Some(security) = silent.hear(follow(client, landing, path).await, path)? else { break };
        asked += 1;
        if judge_security(&security, &soft, scan.now, &mut report) {
            missing = None;
            break;
        }
        // The first location counts.
        missing = missing.or_else(|| {
            Some(Finding::new(
                &issues::SECURITY_TXT_MISSING,
                security.pages[0].url.as_str(),
                format!("HTTP {}", security.page().status),
            ))
        });
    }
    report.findings.extend(missing);
    report.headline =
        format!("{asked} paths requested at {}{}", landing.url().origin().ascii_serialization(), silent.remark());
    report.observations.extend(silent.0);
    Ok(report)
}

/// The paths without an answer. A firewall may block one; with three the check fails.
#[derive(Default)]
struct Silence(Vec<String>);

impl Silence {
    fn hear<T>(&mut self, answer: Result<T, String>, path: &str) -> Result<Option<T>, String> {
        match answer {
            Ok(page) => Ok(Some(page)),
            Err(reason) => {
                self.0.push(format!("{path} could not be checked: {reason}"));
                if self.0.len() >= 3 {
                    Err(format!("the site stopped answering: {}", self.0.join("; ")))
                } else {
                    Ok(None)
                }
            }
        }
    }

    fn remark(&self) -> String {
        if self.0.is_empty() { String::new() } else { format!(", {} more gave no answer", self.0.len()) }
    }
}

/// The locations of security.txt; the second exists for compatibility (RFC 9116, 3).
const SECURITY_TXT: [&str; 2] = ["/.well-known/security.txt", "/security.txt"];

async fn follow(client: &Client, landing: &Landing, path: &str) -> Result<Visit, String> {
    client.visit(&landing.at(path)?).await.map_err(|error| error.to_string())
}

async fn fetch(client: &Client, landing: &Landing, path: &str) -> Result<Page, String> {
    client.get(&landing.at(path)?, &[]).await.map_err(|error| error.to_string())
}

/// The site's response to a path that cannot exist.
struct Baseline {
    status: u16,
    length: usize,
    start: String,
}

impl Baseline {
    fn new(page: &Page) -> Self {
        let text = without_path(page);
        Self { status: page.status, length: text.len(), start: text.chars().take(64).collect() }
    }

    const fn answers_everything(&self) -> bool {
        self.status == 200
    }

    /// Returns true if a page is probably the same "not found" page: the same beginning, and about
    /// the same length.
    fn resembles(&self, page: &Page) -> bool {
        if !self.answers_everything() {
            return false;
        }
        let text = without_path(page);
        text.starts_with(&self.start) && text.len().abs_diff(self.length) <= 256
    }
}

/// Returns a page's text without the requested path, because "not found" pages often quote it.
fn without_path(page: &Page) -> String {
    let path = page.url.path();
    page.text().replace(path, "").replace(path.trim_start_matches('/'), "")
}

fn judge_robots(visit: &Visit, soft: &Baseline, report: &mut Report) {
    let page = visit.page();
    if let Some(place) = &visit.left_for {
        report.observations.push(format!("robots.txt: redirects to {}, which was not read", clip(place, 200)));
        return;
    }
    if page.status != 200 || soft.resembles(page) || is_html(page.content()) {
        report.observations.push("robots.txt: none".to_owned());
        return;
    }
    let paths = sensitive_paths(&page.text());
    report.observations.push("robots.txt: present".to_owned());
    if !paths.is_empty() {
        report.findings.push(Finding::new(&issues::ROBOTS_SENSITIVE, page.url.as_str(), paths.join(", ")));
    }
}

/// Returns the paths of a robots.txt that look administrative or private, at most ten (RFC 9309,
/// 2.2.2).
#[must_use]
pub fn sensitive_paths(robots: &str) -> Vec<String> {
    const WORDS: [&str; 9] =
        ["admin", "backup", "private", "secret", "internal", "config", "staging", "phpmyadmin", ".git"];
    let mut found: Vec<String> = Vec::new();
    for line in robots.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((key, path)) = line.split_once(':') else { continue };
        let path = clip(path.trim(), 100);
        let lower = path.to_ascii_lowercase();
        let named = matches!(key.trim().to_ascii_lowercase().as_str(), "disallow" | "allow");
        if named && WORDS.iter().any(|word| lower.contains(word)) && !found.contains(&path) {
            found.push(path);
        }
        if found.len() == 10 {
            break;
        }
    }
    found
}

/// Checks the response from one security.txt location. Returns true if no other location needs to
/// be checked.
fn judge_security(visit: &Visit, soft: &Baseline, now: Timestamp, report: &mut Report) -> bool {
    let page = visit.page();
    let url = page.url.as_str();
    if let Some(place) = &visit.left_for {
        report.observations.push(format!("security.txt: redirects to {}, which was not read", clip(place, 200)));
        return true;
    }
    // An error page with status 200 has none of these fields.
    let is_one = ["contact:", "expires:"].iter().any(|field| page.text().to_ascii_lowercase().contains(field));
    if page.status != 200 || soft.resembles(page) || is_html(page.content()) || !is_one {
        return false;
    }
    match security_txt_fault(&page.text(), now) {
        None => report.observations.push(format!("security.txt: present and valid at {}", clip(url, 200))),
        Some(fault) => report.findings.push(Finding::new(&issues::SECURITY_TXT_INVALID, url, fault)),
    }
    true
}

/// Returns the fault of a security.txt, if any (RFC 9116, 2.5).
#[must_use]
pub fn security_txt_fault(text: &str, now: Timestamp) -> Option<String> {
    let values = |name: &str| -> Vec<&str> {
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    };
    let contacts = values("contact");
    if contacts.is_empty() {
        return Some("no Contact".to_owned());
    }
    if contacts.iter().any(|contact| contact.is_empty()) {
        return Some("an empty Contact".to_owned());
    }
    for name in ["Expires", "Preferred-Languages"] {
        let count = values(name).len();
        if count > 1 {
            return Some(format!("{count} fields {name}, and one is allowed"));
        }
    }
    let Some(expires) = values("expires").pop() else { return Some("no Expires".to_owned()) };
    match expires.parse::<Timestamp>() {
        Ok(time) if time > now => None,
        Ok(_) => Some(format!("expired: {}", clip(expires, 60))),
        Err(_) => Some(format!("Expires is no date: {}", clip(expires, 60))),
    }
}

/// Returns true if a page is a web server's automatic directory listing.
#[must_use]
pub fn is_listing(body: &[u8]) -> bool {
    ["<title>Index of /", "<title>Directory listing for ", "<title>Directory Listing For "]
        .iter()
        .any(|title| has(body, title))
}

fn has(body: &[u8], needle: &str) -> bool {
    body.windows(needle.len()).any(|window| window == needle.as_bytes())
}

fn starts(body: &[u8], start: &str) -> bool {
    body.trim_ascii_start().starts_with(start.as_bytes())
}

fn is_html(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

fn is_git_head(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    body.starts_with(b"ref: refs/") || (matches!(body.len(), 40 | 64) && body.iter().all(u8::is_ascii_hexdigit))
}

/// Returns true if the first twenty lines are only `KEY=value`, comments and blank lines, with at
/// least one `KEY=value`.
fn is_env(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let lines: Vec<_> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).take(20).collect();
    let is_pair = |line: &&str| {
        line.trim_start_matches("export ").split_once('=').is_some_and(|(key, _)| {
            key.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
                && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
    };
    !lines.is_empty() && lines.iter().all(is_pair)
}

fn is_htpasswd(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    text.lines().next().and_then(|line| line.split_once(':')).is_some_and(|(user, hash)| {
        !user.is_empty()
            && !user.contains(char::is_whitespace)
            && ["$apr1$", "$2y$", "$2b$", "$2a$", "{SHA}", "$5$", "$6$"].iter().any(|kind| hash.starts_with(kind))
    })
}

fn is_dump(body: &[u8]) -> bool {
    !is_html(body)
        && ["-- MySQL dump", "-- MariaDB dump", "-- PostgreSQL database dump", "CREATE TABLE ", "INSERT INTO "]
            .iter()
            .any(|mark| has(body, mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderMap;
    use url::Url;

    fn page(status: u16, body: &[u8]) -> Page {
        Page {
            url: Url::parse("http://a.test/x").unwrap(),
            status,
            headers: HeaderMap::new(),
            body: body.to_vec(),
            truncated: false,
        }
    }

    fn recognised(path: &str, body: &[u8]) -> bool {
        (PROBES.iter().find(|probe| probe.path == path).unwrap().matches)(body)
    }

    #[test]
    fn exposed_files_are_recognised_by_content() {
        let cases: &[(&str, &[u8], bool)] = &[
            ("/.git/HEAD", b"ref: refs/heads/main\n", true),
            ("/.git/HEAD", b"0123456789012345678901234567890123456789\n", true),
            ("/.git/HEAD", b"<html>ref: refs/heads/main", false),
            ("/.env", b"# comment\nDB_PASSWORD=x\nexport A=1\n", true),
            ("/.env", b"<html><a href=\"x\">A=1</a>", false),
            ("/.env", b"hello world", false),
            ("/.env", b"", false),
            ("/.htpasswd", b"bob:$apr1$x$y\n", true),
            ("/.htpasswd", b"Error: $apr1$", false),
            ("/backup.sql", b"-- MySQL dump 10\nCREATE TABLE a", true),
            ("/backup.sql", b"<p>INSERT INTO </p>", false),
            ("/docker-compose.yml", b"services:\n  a:\n    image: b\n", true),
            ("/docker-compose.yml", b"<html>services: image:", false),
            ("/.DS_Store", b"\0\0\0\x01Bud1\0", true),
            ("/id_rsa", b"-----BEGIN OPENSSH PRIVATE KEY-----\nx", true),
            ("/id_rsa", b"-----BEGIN CERTIFICATE-----\nx", false),
        ];
        for (path, body, expected) in cases {
            assert_eq!(recognised(path, body), *expected, "{path} {}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn soft_404_is_recognised_and_a_real_file_is_not() {
        let at = |path: &str, body: &str| Page {
            url: Url::parse("http://a.test").unwrap().join(path).unwrap(),
            ..page(200, body.as_bytes())
        };
        let soft = Baseline::new(&at("/kastrel-0123", "Error opening 'kastrel-0123'"));
        assert!(soft.resembles(&at("/.env", "Error opening '.env'")));
        assert!(!soft.resembles(&at("/.env", "KEY=value")));
        let soft = Baseline::new(&page(
            200,
            b"<html>Sorry, we could not find that page: /kastrel-0123 is not here, please go home",
        ));
        assert!(soft.resembles(&page(
            200,
            b"<html>Sorry, we could not find that page: /kastrel-0123 is not here, please go away"
        )));
        assert!(!soft.resembles(&page(200, b"ref: refs/heads/main")));
        let hard = Baseline::new(&page(404, b"ref: refs/heads/main"));
        assert!(!hard.resembles(&page(200, b"ref: refs/heads/main")));
    }

    #[test]
    fn sensitive_robots_paths_are_found() {
        assert_eq!(
            sensitive_paths("User-agent: *\nDisallow: /admin/ # x\nDisallow: /img\ndisallow:/BACKUP\nSitemap: /admin"),
            ["/admin/", "/BACKUP"]
        );
        assert_eq!(sensitive_paths(""), Vec::<String>::new());
    }

    #[test]
    fn security_txt_faults_are_found() {
        let now = "2030-01-01T00:00:00Z".parse().unwrap();
        for text in [
            "Contact: mailto:a@a.test\nExpires: 2031-01-01T00:00:00.000Z",
            "# Contact:\r\nContact: mailto:a@a.test\r\ncontact: https://a.test/\r\nEXPIRES: 2031-01-01T00:00:00Z\r\nPreferred-Languages: en, de\r\n",
        ] {
            assert_eq!(security_txt_fault(text, now), None, "{text}");
        }
        for (text, part) in [
            ("Expires: 2031-01-01T00:00:00Z", "no Contact"),
            ("Contact: mailto:a@a.test", "no Expires"),
            ("Contact: a\nExpires: 2029-01-01T00:00:00Z", "expired"),
            ("Contact: a\nExpires: soon", "no date"),
            ("Contact: a\nExpires:", "no date"),
            ("Contact:\nExpires: 2031-01-01T00:00:00Z", "an empty Contact"),
            ("Contact: a\nContact: \t\nExpires: 2031-01-01T00:00:00Z", "an empty Contact"),
            ("Contact: a\nExpires: 2031-01-01T00:00:00Z\nexpires: 2020-01-01T00:00:00Z", "2 fields Expires"),
            ("Contact: a\nExpires: 2031-01-01T00:00:00Z\nExpires: 2031-01-01T00:00:00Z", "2 fields Expires"),
            (
                "Contact: a\nExpires: 2031-01-01T00:00:00Z\nPreferred-Languages: en\nPreferred-Languages: de",
                "2 fields Preferred-Languages",
            ),
        ] {
            assert!(security_txt_fault(text, now).unwrap().contains(part), "{text}");
        }
    }

    #[test]
    fn directory_listings_are_recognised() {
        assert!(is_listing(b"<html><head><title>Index of /files</title>"));
        assert!(is_listing(b"<title>Directory listing for /</title>"));
        assert!(!is_listing(b"<title>Index</title>"));
    }
}
