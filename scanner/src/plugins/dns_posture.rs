//! `dns_posture`: SPF (RFC 7208), DMARC (RFC 7489) and CAA (RFC 8659) of the target's name.

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::time::timeout;
use url::Host;

use crate::issues;
use crate::plugin::{Finding, Meta, Outcome, Plugin, Report};
use crate::scan::Scan;
use crate::settings::Settings;
use crate::text::clip;

static META: Meta = Meta {
    name: "dns_posture",
    display_name: "DNS Posture",
    description: "Reads the SPF, DMARC and CAA records of the target's domain.",
    website_url: "https://www.rfc-editor.org/rfc/rfc7489",
    priority: 5,
};

/// The plugin.
#[derive(Debug)]
pub struct DnsPosture;

#[async_trait]
impl Plugin for DnsPosture {
    fn meta(&self) -> &'static Meta {
        &META
    }

    async fn run(&self, scan: &Scan) -> Outcome {
        let name = match scan.target.host() {
            Host::Domain(name) => name.trim_end_matches('.').to_owned(),
            _ => return Outcome::Skipped("the target is an IP address; SPF, DMARC and CAA belong to names".to_owned()),
        };
        if let Some(reason) = private_name(&name) {
            return Outcome::Skipped(reason);
        }
        // The operator configures the system's name servers; a setting can name another one.
        let of_setting = scan.settings.nameserver.map_or(Ok(()), |server| scan.gate.check_address(server.ip()));
        let in_scope = of_setting.map_err(|error| format!("setting `dns_posture.nameserver`: {error}"));
        if let Err(reason) = in_scope.and_then(|()| scan.gate.check_host(scan.target.host())) {
            return Outcome::Failed(reason);
        }
        let limit = scan.settings.dns_timeout;
        match timeout(limit, check(&name, &scan.settings)).await {
            Ok(Ok(report)) => Outcome::Done(report),
            Ok(Err(reason)) => Outcome::Failed(reason),
            Err(_) => Outcome::Failed(format!("the name servers did not answer within {} s", limit.as_secs())),
        }
    }
}

/// Returns the reason if a name has no public DNS records (RFC 6761, RFC 6762).
#[must_use]
pub fn private_name(name: &str) -> Option<String> {
    let last = name.rsplit('.').next().unwrap_or_default();
    if !name.contains('.') {
        Some(format!("{name} is a single label, not a public domain name"))
    } else if matches!(last, "localhost" | "local" | "internal" | "test" | "invalid" | "example") {
        Some(format!("names below .{last} are not in the public DNS"))
    } else {
        None
    }
}

async fn check(name: &str, settings: &Settings) -> Result<Report, String> {
    let resolver = resolver(settings)?;
    let domain = name.strip_prefix("www.").unwrap_or(name);
    let mut report = Report::default();
    // A name that does not exist has no records of any kind, so "no SPF record" would be
    // misleading.
    if !exists(&resolver, name).await? {
        return Err(format!("the name servers say that {name} does not exist"));
    }

    let spf = texts(&resolver, domain).await?;
    report.findings.extend(judge_spf(&spf, domain));
    report
        .observations
        .extend(spf.iter().filter(|text| is_spf(text)).map(|text| format!("SPF at {domain}: {}", clip(text, 300))));

    // A policy of the organization's domain covers the names below it. Climbing through the parent
    // domains finds it without a list of public suffixes.
    let mut dmarc = Vec::new();
    let mut found_at = domain;
    for ancestor in ancestors(domain) {
        dmarc = texts(&resolver, &format!("_dmarc.{ancestor}")).await?;
        dmarc.retain(|text| is_dmarc(text));
        if !dmarc.is_empty() {
            found_at = ancestor;
            break;
        }
    }
    report.findings.extend(judge_dmarc(&dmarc, domain));
    report.observations.extend(dmarc.iter().map(|text| format!("DMARC at _dmarc.{found_at}: {}", clip(text, 300))));

    let mut caa = Vec::new();
    for ancestor in ancestors(name) {
        caa = records(&resolver, ancestor, RecordType::CAA).await?;
        if !caa.is_empty() {
            report.observations.push(format!("CAA at {ancestor}: {} records", caa.len()));
            break;
        }
    }
    if caa.is_empty() {
        report.findings.push(Finding::new(&issues::CAA_MISSING, name, "no CAA record on the name or above it"));
    }
    report.headline = format!("SPF, DMARC and CAA of {domain}");
    Ok(report)
}

fn resolver(settings: &Settings) -> Result<TokioResolver, String> {
    let mut builder = match settings.nameserver {
        Some(address) => {
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            server
                .connections
                .iter_mut()
                .for_each(|connection: &mut ConnectionConfig| connection.port = address.port());
            TokioResolver::builder_with_config(
                ResolverConfig::from_parts(None, Vec::new(), vec![server]),
                TokioRuntimeProvider::default(),
            )
        }
        None => TokioResolver::builder_tokio()
            .map_err(|error| format!("the system's name servers cannot be read: {error}"))?,
    };
    let options = builder.options_mut();
    options.timeout = settings.dns_timeout / 3;
    options.attempts = 1;
    builder.build().map_err(|error| error.to_string())
}

/// Returns true if the name exists for the name servers (NXDOMAIN, RFC 2308 and RFC 8020).
async fn exists(resolver: &TokioResolver, name: &str) -> Result<bool, String> {
    match resolver.lookup(format!("{name}."), RecordType::TXT).await {
        Err(error) if error.is_nx_domain() => Ok(false),
        Err(error) if error.is_no_records_found() => Ok(true),
        Err(error) => Err(format!("the look-up of {name} failed: {error}")),
        Ok(_) => Ok(true),
    }
}

/// Returns the records of one kind. An answer without records is an empty list; every other failure
/// is an error.
async fn records(resolver: &TokioResolver, name: &str, kind: RecordType) -> Result<Vec<RData>, String> {
    // The final dot prevents the use of the system's search list.
    match resolver.lookup(format!("{name}."), kind).await {
        Ok(lookup) => Ok(lookup
            .answers()
            .iter()
            .filter(|record| record.record_type() == kind)
            .map(|record| record.data.clone())
            .collect()),
        Err(error) if error.is_no_records_found() => Ok(Vec::new()),
        Err(error) => Err(format!("the look-up of {kind} records of {name} failed: {error}")),
    }
}

async fn texts(resolver: &TokioResolver, name: &str) -> Result<Vec<String>, String> {
    let found = records(resolver, name, RecordType::TXT).await?;
    // The strings of one record are concatenated without a space (RFC 7208, 3.3).
    let joined = found.iter().filter_map(|data| match data {
        RData::TXT(text) => Some(text.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect::<String>()),
        _ => None,
    });
    Ok(joined.collect())
}

/// Returns the name and its parent domains, down to two labels.
fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| {
        name.split_once('.').map(|(_, rest)| rest).filter(|rest| rest.contains('.'))
    })
}

fn is_spf(text: &str) -> bool {
    text.split_ascii_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("v=spf1"))
}

fn is_dmarc(text: &str) -> bool {
    text.split(';').next().is_some_and(|word| word.replace(' ', "") == "v=DMARC1")
}

/// Checks the TXT records of a domain for SPF.
#[must_use]
pub fn judge_spf(texts: &[String], domain: &str) -> Option<Finding> {
    let records: Vec<_> = texts.iter().filter(|text| is_spf(text)).collect();
    let record = match records.as_slice() {
        [] => return Some(Finding::new(&issues::SPF_MISSING, domain, "no TXT record starts with v=spf1")),
        [one] => one.to_ascii_lowercase(),
        many => return Some(Finding::new(&issues::SPF_INVALID, domain, format!("{} SPF records", many.len()))),
    };
    let terms: Vec<_> = record.split_ascii_whitespace().skip(1).collect();
    let lookups = terms
        .iter()
        .filter(|term| {
            let term = term.trim_start_matches(['+', '-', '~', '?']);
            let name = term.split([':', '/', '=']).next().unwrap_or_default();
            matches!(name, "include" | "a" | "mx" | "ptr" | "exists" | "redirect")
        })
        .count();
    if lookups > 10 {
        return Some(Finding::new(
            &issues::SPF_INVALID,
            domain,
            format!("{lookups} terms that need a look-up, at most 10 are allowed"),
        ));
    }
    let all = terms.iter().find(|term| term.trim_start_matches(['+', '-', '~', '?']) == "all");
    match all {
        Some(&"-all" | &"~all" | &"?all") => None,
        Some(all) => Some(Finding::new(&issues::SPF_PERMISSIVE, domain, format!("the record holds {all}"))),
        None if terms.iter().any(|term| term.starts_with("redirect=")) => None,
        None => Some(Finding::new(&issues::SPF_PERMISSIVE, domain, "the record has neither all nor redirect")),
    }
}

/// Checks the DMARC records that cover a domain.
#[must_use]
pub fn judge_dmarc(texts: &[String], domain: &str) -> Option<Finding> {
    let records: Vec<_> = texts.iter().filter(|text| is_dmarc(text)).collect();
    let record = match records.as_slice() {
        [] => return Some(Finding::new(&issues::DMARC_MISSING, domain, "no DMARC record on the name or above it")),
        [one] => one,
        many => return Some(Finding::new(&issues::DMARC_INVALID, domain, format!("{} DMARC records", many.len()))),
    };
    let policy = record
        .split(';')
        .filter_map(|tag| tag.split_once('='))
        .find(|(key, _)| key.trim() == "p")
        .map(|(_, value)| value.trim().to_ascii_lowercase());
    match policy.as_deref() {
        Some("reject" | "quarantine") => None,
        Some("none") => Some(Finding::new(&issues::DMARC_NONE, domain, record.as_str())),
        _ => Some(Finding::new(&issues::DMARC_INVALID, domain, record.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(finding: Option<Finding>) -> &'static str {
        finding.map_or("fine", |finding| finding.issue.id)
    }

    #[test]
    fn spf_records_are_checked() {
        let many = format!("v=spf1 {} -all", "include:a.test ".repeat(11));
        let cases: &[(&[&str], &str)] = &[
            (&[], "spf_missing"),
            (&["google-site-verification=x", "v=spf10 -all"], "spf_missing"),
            (&["v=spf1 -all"], "fine"),
            (&["V=SPF1 mx include:a.test ~all"], "fine"),
            (&["v=spf1 redirect=a.test"], "fine"),
            (&["v=spf1 +all"], "spf_permissive"),
            (&["v=spf1 all"], "spf_permissive"),
            (&["v=spf1 mx"], "spf_permissive"),
            (&["v=spf1 -all", "v=spf1 ~all"], "spf_invalid"),
            (&[&many], "spf_invalid"),
        ];
        for (texts, expected) in cases {
            let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(&id(judge_spf(&texts, "a.test")), expected, "{texts:?}");
        }
    }

    #[test]
    fn dmarc_records_are_checked() {
        let cases: &[(&[&str], &str)] = &[
            (&[], "dmarc_missing"),
            (&["v=DMARC1; p=reject; rua=mailto:a@a.test"], "fine"),
            (&["v=DMARC1;p=Quarantine"], "fine"),
            (&["v=DMARC1; p=none"], "dmarc_policy_none"),
            (&["v=DMARC1; rua=mailto:a@a.test"], "dmarc_invalid"),
            (&["v=DMARC1; p=reject", "v=DMARC1; p=none"], "dmarc_invalid"),
            (&["p=reject"], "dmarc_missing"),
        ];
        for (texts, expected) in cases {
            let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(&id(judge_dmarc(&texts, "a.test")), expected, "{texts:?}");
        }
    }

    #[test]
    fn ancestors_end_at_two_labels() {
        assert_eq!(ancestors("a.b.c.com").collect::<Vec<_>>(), ["a.b.c.com", "b.c.com", "c.com"]);
        assert_eq!(ancestors("c.com").collect::<Vec<_>>(), ["c.com"]);
    }

    #[test]
    fn private_names_are_skipped() {
        for name in ["localhost", "printer.local", "a.test", "intranet"] {
            assert!(private_name(name).is_some(), "{name}");
        }
        assert_eq!(private_name("example.com"), None);
    }
}
