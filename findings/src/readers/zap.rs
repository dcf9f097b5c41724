//! ZAP: alerts with their instances, from `zap_report.json` or from the findings.
//!
//! Two forms exist: the report has sites with alerts and their instances; the API has a flat list,
//! one alert for each instance.

use super::collect::Collector;
use super::file::File;
use crate::json::Node;
use crate::notes::NoteKind;
use crate::place::{Label, Place};
use crate::severity::Severity;
use crate::sighting::Sighting;
use crate::text::{clean, without_tags};

/// The rules for which KAST's registry has an issue of its own.
const REGISTERED: &[(&str, &str)] = &[
    ("10062", "zap-pii-disclosure"),
    ("90022", "zap-application-error-disclosure"),
    ("10023", "zap-application-error-disclosure"),
    ("10040", "zap-mixed-content"),
    ("10040-1", "zap-mixed-content"),
    ("10028", "zap-open-redirect"),
    ("20019", "zap-open-redirect"),
];

/// The rules whose parameter is the name of a cookie.
const COOKIE_RULES: &[&str] = &["10010", "10011", "10029", "10054", "90033"];

/// The confidence of an alert that a person has marked in ZAP as wrong.
const FALSE_POSITIVE: &str = "0";

pub(super) fn read(file: &File, out: &mut Collector) {
    let findings = file.unwrapped();
    let sources = [file.report(), Some(findings)];
    let with_alerts = |source: &&Node| source.find("site").is_some() || source.find("alerts").is_some();
    let Some(source) = sources.into_iter().flatten().find(with_alerts) else {
        out.notes.add(NoteKind::NotUnderstood, "there are no alerts, neither in the report nor in the findings");
        return;
    };
    for site in source.get("site").one_or_more() {
        let name = site.text_of("@name");
        site.get("alerts").one_or_more().iter().for_each(|alert| read_alert(alert, name, out));
    }
    source.get("alerts").one_or_more().iter().for_each(|alert| read_alert(alert, None, out));
}

/// An alert: what its instances have in common.
struct Alert<'a> {
    node: &'a Node,
    rule: &'a str,
    key: String,
    name: String,
    severity: Severity,
}

fn read_alert(node: &Node, site: Option<&str>, out: &mut Collector) {
    let Some(alert) = Alert::of(node) else {
        out.notes.add(NoteKind::NotUnderstood, "an alert without a rule and a name");
        return;
    };
    if node.word_of("confidence") == Some(FALSE_POSITIVE) {
        out.notes.add(NoteKind::LeftOut, &format!("marked as a false positive in ZAP: {}", alert.name));
        return;
    }
    let instances = node.get("instances").one_or_more();
    if node.find("url").is_some() || node.find("uri").is_some() {
        alert.push(node, site, out);
    } else if instances.is_empty() {
        alert.push(&Node::List(Vec::new()), site, out);
    }
    instances.iter().for_each(|instance| alert.push(instance, site, out));
    // ZAP lists only some instances of what it sees everywhere.
    let count = node.word_of("count").and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
    if count > instances.len() && !instances.is_empty() {
        out.no_result(&alert.key);
        out.notes.add_many(NoteKind::LeftOut, count - instances.len(), "instances that ZAP counts and does not list");
    }
}

impl<'a> Alert<'a> {
    fn of(node: &'a Node) -> Option<Self> {
        let rule = node.word_of("pluginid").or_else(|| node.word_of("pluginId"));
        let name = node.text_of("name").or_else(|| node.text_of("alert"));
        let name = clean(&without_tags(name.or(rule)?), crate::limits::MOST_TITLE_CHARS);
        // `alertRef` names the variant of a rule: `10055-4`.
        let key = match node.word_of("alertRef").or(rule) {
            Some(reference) => reference.to_owned(),
            None => name.to_lowercase(),
        };
        // Like KAST: an alert without a risk is informational.
        let severity = match node.word_of("riskcode") {
            Some("3") => Severity::High,
            Some("2") => Severity::Medium,
            Some("1") => Severity::Low,
            Some(_) => Severity::Informational,
            None => {
                node.text_of("risk").map_or(Some(Severity::Informational), Severity::read).unwrap_or(Severity::Unknown)
            }
        };
        Some(Self { node, rule: rule.unwrap_or_default(), key, name, severity })
    }

    fn push(&self, instance: &Node, site: Option<&str>, out: &mut Collector) {
        let address = instance.text_of("uri").or_else(|| instance.text_of("url"));
        let parameter = instance.text_of("param");
        let place = match (address.and_then(|address| out.address(address)), parameter.map(Label::parse)) {
            (Some(address), Some(Ok(cookie))) if COOKIE_RULES.contains(&self.rule) => {
                Place::Cookie { origin: address.origin().clone(), cookie }
            }
            (Some(address), parameter) => Place::Url { address, parameter: parameter.and_then(Result::ok) },
            (None, _) => address.map_or_else(|| out.site(site), |address| out.page(address)),
        };
        let field = |key: &str| instance.text_of(key).or_else(|| self.node.text_of(key));
        // Evidence and attack are parts of requests and answers, so their tags stay.
        let seen = [("evidence", "evidence"), ("attack", "attack")]
            .map(|(key, label)| field(key).map(|text| format!("{label}: {text}")));
        let other = ["otherinfo", "other"].map(|key| field(key).map(|text| format!("other: {}", without_tags(text))));
        let evidence: Vec<String> = seen.into_iter().chain(other).flatten().collect();
        let reference = self.node.text_of("reference").map(without_tags).unwrap_or_default();
        let cwe = self.number("cweid").map(|number| format!("CWE-{number}"));
        let wasc = self.number("wascid").map(|number| format!("WASC-{number}"));
        let with_risk = format!("{} [{}]", self.name, risk_word(self.severity));
        let registered = REGISTERED.iter().filter(|(rule, _)| *rule == self.key || *rule == self.rule);
        let sighting: Sighting = out
            .sighting(&self.key, place)
            .severity(Some(self.severity))
            .title(&self.name)
            .location(address.unwrap_or_default())
            .evidence(&evidence.join("; "))
            .references(cwe.iter().chain(wasc.iter()).map(String::as_str).chain(reference.split_whitespace()))
            .attribute("method", instance.text_of("method"))
            .attribute("rule", Some(self.rule))
            .attribute("confidence", self.node.word_of("confidence"))
            .registry_ids(registered.map(|(_, id)| *id).chain([with_risk.as_str()]).take(2));
        out.push(sighting);
    }

    /// A positive number of the alert.
    fn number(&self, key: &str) -> Option<u32> {
        self.node.word_of(key)?.parse().ok().filter(|number| *number > 0)
    }
}

/// ZAP's word for a risk, with which KAST builds ids.
const fn risk_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "High",
        Severity::Medium => "Medium",
        Severity::Low => "Low",
        Severity::Informational | Severity::Unknown => "Informational",
    }
}
