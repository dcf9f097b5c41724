//! The demo of the fake KAST, enabled by `FAKE_KAST_DEMO`: a complete catalogue, and realistic
//! scans.
//!
//! The first label of the target's host name selects the result: `staging` never ends, `legacy`
//! crashes, `intranet` has a failed plugin; any other scan completes.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// A plugin, its start and end (in hundredths of the duration), and its result.
struct Plugin {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    kind: &'static str,
    needs: &'static [&'static str],
    time: Option<(u32, u32)>,
    summary: &'static str,
    issues: &'static [&'static str],
}

const PLUGINS: &[Plugin] = &[
    Plugin {
        name: "org_discovery",
        title: "Organisation domains",
        about: "Finds other public domains of the same organisation.",
        kind: "passive",
        needs: &[],
        time: Some((0, 18)),
        summary: "2 sibling domains, 14 names in certificates",
        issues: &[],
    },
    Plugin {
        name: "subfinder",
        title: "Subfinder",
        about: "Collects subdomains from public sources.",
        kind: "passive",
        needs: &[],
        time: None,
        summary: "",
        issues: &[],
    },
    Plugin {
        name: "wafw00f",
        title: "WAF detection",
        about: "Tells whether a web application firewall stands in front of the site, and which.",
        kind: "passive",
        needs: &[],
        time: Some((0, 12)),
        summary: "No firewall answered in front of the site",
        issues: &["no_waf"],
    },
    Plugin {
        name: "whatweb",
        title: "WhatWeb",
        about: "Recognises the technologies that a site is built with.",
        kind: "passive",
        needs: &[],
        time: Some((12, 34)),
        summary: "nginx 1.22.1, PHP 8.2, jQuery 1.12.4",
        issues: &["outdated_library", "version_disclosed"],
    },
    Plugin {
        name: "testssl",
        title: "TLS configuration",
        about: "Checks protocols, ciphers and certificates.",
        kind: "passive",
        needs: &[],
        time: Some((18, 86)),
        summary: "TLS 1.0 and 1.1 are offered; the certificate is good for 12 more days",
        issues: &["tls_legacy", "weak_cipher", "certificate_ends"],
    },
    Plugin {
        name: "security_headers",
        title: "Security headers",
        about: "Looks for headers that protect those who visit a site.",
        kind: "passive",
        needs: &["whatweb"],
        time: Some((34, 52)),
        summary: "Content-Security-Policy and Permissions-Policy are missing",
        issues: &["no_csp", "no_permissions_policy", "no_hsts"],
    },
    Plugin {
        name: "cors_analyzer",
        title: "CORS",
        about: "Tries which foreign origins a site trusts.",
        kind: "passive",
        needs: &["whatweb"],
        time: Some((52, 71)),
        summary: "Any origin is reflected, with credentials",
        issues: &["cors_reflects"],
    },
    Plugin {
        name: "script_detection",
        title: "External scripts",
        about: "Lists scripts that a page loads from elsewhere, and whether their content is pinned.",
        kind: "passive",
        needs: &["whatweb"],
        time: Some((71, 97)),
        summary: "5 scripts from 3 hosts, 4 of them without integrity",
        issues: &["no_integrity"],
    },
    Plugin {
        name: "zap",
        title: "ZAP",
        about: "Crawls and attacks the site with the Zed Attack Proxy.",
        kind: "active",
        needs: &[],
        time: None,
        summary: "",
        issues: &[],
    },
];

/// Id, severity, category, name, description, remediation.
const ISSUES: &[[&str; 6]] = &[
    [
        "cors_reflects",
        "Critical",
        "Access control",
        "Any origin is trusted with credentials",
        "Every web page can read what a signed-in visitor sees here.",
        "Answer only origins of a fixed list, and never reflect the Origin header.",
    ],
    [
        "tls_legacy",
        "High",
        "Encryption",
        "TLS 1.0 and 1.1 are offered",
        "Protocols from 1999 and 2006 have known weaknesses, and no current client needs them.",
        "Offer TLS 1.2 and 1.3 only.",
    ],
    [
        "outdated_library",
        "High",
        "Components",
        "A library with known vulnerabilities",
        "jQuery 1.12.4 lets markup run as script in several of its functions.",
        "Move to a version that is maintained.",
    ],
    [
        "weak_cipher",
        "Medium",
        "Encryption",
        "A weak cipher is offered",
        "Connections with 3DES can be read after some hours of listening.",
        "Remove it.",
    ],
    [
        "no_csp",
        "Medium",
        "Headers",
        "No Content-Security-Policy",
        "Nothing limits what an injected script may do.",
        "Send a policy; begin with report-only.",
    ],
    [
        "no_hsts",
        "Medium",
        "Headers",
        "No Strict-Transport-Security",
        "A first visit can be kept on plain HTTP.",
        "Send the header with a long max-age.",
    ],
    [
        "no_integrity",
        "Medium",
        "Components",
        "Scripts without integrity",
        "Whoever controls the other host controls this page.",
        "Pin each script with its hash.",
    ],
    [
        "certificate_ends",
        "Low",
        "Encryption",
        "The certificate ends soon",
        "Visitors will be warned away in 12 days.",
        "Renew it automatically.",
    ],
    [
        "no_permissions_policy",
        "Low",
        "Headers",
        "No Permissions-Policy",
        "Embedded pages may ask for camera and location.",
        "Send the header.",
    ],
    [
        "version_disclosed",
        "Informational",
        "Disclosure",
        "Server version disclosed",
        "It saves an attacker a guess.",
        "Turn it off.",
    ],
    [
        "no_waf",
        "Informational",
        "Defence",
        "No firewall in front",
        "Nothing filters requests before they reach the site.",
        "Consider one.",
    ],
];

pub(crate) fn is_on() -> bool {
    std::env::var_os("FAKE_KAST_DEMO").is_some()
}

pub(crate) fn plugins() -> Vec<Value> {
    let one = |plugin: &Plugin| {
        let available = plugin.time.is_some() || plugin.kind == "active";
        json!({ "name": plugin.name, "display_name": plugin.title, "description": plugin.about, "scan_type": plugin.kind, "available": available })
    };
    PLUGINS.iter().map(one).collect()
}

/// Returns the dependencies as `kast plugins deps` prints them.
pub(crate) fn dependencies() -> String {
    let tree = |plugin: &Plugin| {
        let needs: Vec<String> = plugin.needs.iter().map(|need| format!("        └─ {need} (<lambda>)\n")).collect();
        format!(
            "  [✓] Priority  10 | {} ({})\n      Dependencies:{}\n{}",
            plugin.name,
            plugin.kind,
            if needs.is_empty() { " None" } else { "" },
            needs.concat()
        )
    };
    PLUGINS.iter().map(tree).collect()
}

pub(crate) fn registry() -> Vec<Value> {
    let one = |[id, severity, category, name, description, remediation]: &[&str; 6]| json!({ "id": id, "severity": severity, "category": category, "display_name": name, "description": description, "remediation": remediation });
    ISSUES.iter().map(one).collect()
}

/// Runs the passive plugins in parallel, for `whole` in total.
pub(crate) async fn play(out: &Path, host: &str, whole: Duration) {
    let at_work_for_ever = host.starts_with("staging");
    let mut info = Vec::new();
    let mut events: Vec<(u32, bool, &Plugin)> = Vec::new();
    for plugin in PLUGINS.iter().filter(|plugin| plugin.kind == "passive") {
        match plugin.time {
            Some((start, end)) => events.extend([(start, true, plugin), (end, false, plugin)]),
            None => info.push(json!({ "plugin_name": plugin.name, "status": "unavailable", "start_timestamp": null, "end_timestamp": null })),
        }
    }
    // At the same time, an end comes before a start.
    events.sort_by_key(|(at, starts, _)| (*at, *starts));
    let (mut now, mut started) = (0, std::collections::HashMap::new());
    for (at, starts, plugin) in events {
        tokio::time::sleep(whole * (at - now) / 100).await;
        now = at;
        if at_work_for_ever && at > 55 {
            println!("{}: asking {host} …", plugin.name);
            std::future::pending::<()>().await;
        }
        if starts {
            println!("Running {}", plugin.title);
            started.insert(plugin.name, stamp());
            super::write(out, &format!("{}.json", plugin.name), b"[]");
            continue;
        }
        let failed = host.starts_with("intranet") && plugin.name == "cors_analyzer";
        println!("{}: {}", plugin.title, if failed { "connection reset by peer" } else { plugin.summary });
        super::write(out, &format!("{}_processed.json", plugin.name), processed(plugin, failed).to_string().as_bytes());
        let status = if failed { "fail" } else { "success" };
        info.push(json!({ "plugin_name": plugin.name, "start_timestamp": started[plugin.name], "end_timestamp": stamp(), "status": status }));
    }
    super::write(out, "kast_info.json", json!({ "kast_version": "3.0.40", "plugins": info }).to_string().as_bytes());
    super::write(out, "kast_style.css", include_bytes!("fake_kast_demo.css"));
    super::write(out, "kast_report.html", report(host).as_bytes());
}

fn processed(plugin: &Plugin, failed: bool) -> Value {
    if failed {
        return json!({ "plugin-name": plugin.name, "findings": { "disposition": "fail", "results": "connection reset by peer" }, "findings_count": 0, "issues": [] });
    }
    json!({
        "plugin-name": plugin.name,
        "plugin-display-name": plugin.title,
        "findings": { "disposition": "success", "results": plugin.issues },
        "findings_count": plugin.issues.len(),
        "summary": plugin.summary,
        "issues": plugin.issues,
    })
}

fn report(host: &str) -> String {
    let rows: String = ISSUES
        .iter()
        .map(|[_, severity, _, name, description, _]| format!("<tr><td>{severity}<td>{name}<td>{description}"))
        .collect();
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{host}</title><link rel=stylesheet href=kast_style.css><h1>{host}</h1><table>{rows}</table>"
    )
}

/// Returns a time as KAST writes it: local and without a zone.
#[expect(clippy::disallowed_methods, reason = "another process compares it with its own wall clock")]
fn stamp() -> String {
    jiff::ZonedDateTime::now().strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}
