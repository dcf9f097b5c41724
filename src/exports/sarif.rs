//! SARIF 2.1.0. The frame is written by hand around results that are serialized one by one; the
//! rules of the results, which are few, and what was not checked follow them.

mod result;
mod text;

use std::collections::BTreeMap;

use kastrel_findings::Severity;
use serde_json::{Value, json};
use serde_sarif::sarif::{
    Invocation, Message, MultiformatMessageString, Notification, ReportingConfiguration, ReportingDescriptor,
    ReportingDescriptorReference, SCHEMA_URL, ToolComponent,
};

use super::finding::ExportedFinding;
use super::head::{ExportHead, ExportedScan};
use super::json::value;
use super::writer::{EncodeError, Writer};
pub use result::FINGERPRINT_KEY;
use result::{level_name, properties, result_of};
use text::{message_text, uri_of};

/// The limit for rules that are described. A result of a further rule has its name only.
const MOST_RULES: usize = 2_000;

/// The descriptor of the notifications about what was not checked.
const NOT_CHECKED: &str = "not-checked";

#[derive(Default)]
pub(super) struct SarifWriter {
    results: u64,
    unchecked: u64,
    rules: BTreeMap<String, Rule>,
}

/// What is said of an issue.
struct Rule {
    title: String,
    severity: Severity,
    help: Option<String>,
    tags: Vec<String>,
}

impl Writer for SarifWriter {
    fn begin(&mut self, head: &ExportHead, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(format!("{{\"$schema\":\"{SCHEMA_URL}\",\"version\":\"2.1.0\",\"runs\":[{{").as_bytes());
        if let Some(scan) = head.scan() {
            // The part before the last slash is the category of the run.
            let id = format!("kastrel/{}/{}", uri_of(&scan.target_text).replace('/', "-"), scan.id);
            out.extend_from_slice(b"\"automationDetails\":");
            value(&json!({ "id": id }), out)?;
            out.push(b',');
        }
        out.extend_from_slice(b"\"columnKind\":\"unicodeCodePoints\",\"results\":[");
        Ok(())
    }

    fn finding(&mut self, finding: &ExportedFinding, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(if self.results == 0 { &b"\n"[..] } else { &b",\n"[..] });
        self.results += 1;
        self.unchecked += u64::from(finding.life.as_ref().is_some_and(|life| life.not_checked_since.is_some()));
        value(&result_of(finding), out)?;
        self.note_rule(finding);
        Ok(())
    }

    fn end(&mut self, head: &ExportHead, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(b"\n],\"tool\":");
        let mut driver = ToolComponent::builder().name("Kastrel").build();
        driver.version = Some(head.kastrel.clone());
        driver.semantic_version = Some(head.kastrel.clone());
        driver.rules = Some(self.rules.iter().map(|(id, rule)| rule.descriptor(id)).collect());
        let mut not_checked = ReportingDescriptor::builder().id(NOT_CHECKED).build();
        not_checked.short_description = Some(multiformat("A plugin did not check everything."));
        driver.notifications = Some(vec![not_checked]);
        value(&json!({ "driver": driver }), out)?;
        out.extend_from_slice(b",\"invocations\":[");
        let invocation = match head.scan() {
            Some(scan) => invocation_of_scan(scan),
            None => invocation_of_list(head, self.unchecked),
        };
        value(&invocation, out)?;
        out.extend_from_slice(b"]}]}\n");
        Ok(())
    }
}

impl SarifWriter {
    fn note_rule(&mut self, finding: &ExportedFinding) {
        let id = finding.rule();
        if let Some(rule) = self.rules.get_mut(&id) {
            rule.severity = rule.severity.min(finding.severity);
            return;
        }
        if self.rules.len() >= MOST_RULES {
            return;
        }
        let mut tags = vec!["security".to_owned(), finding.plugin.clone()];
        tags.extend(finding.category.clone());
        tags.extend(finding.references.iter().filter_map(|text| cwe_tag(text)));
        tags.sort();
        tags.dedup();
        // The parser encodes what is no part of an address. The text itself may have it.
        let is_safe = |url: &url::Url| url.scheme() == "https";
        let help = finding.references.iter().find_map(|text| url::Url::parse(text).ok().filter(is_safe));
        let (title, severity, help) = (finding.title.clone(), finding.severity, help.map(String::from));
        self.rules.insert(id, Rule { title, severity, help, tags });
    }
}

impl Rule {
    fn descriptor(&self, id: &str) -> ReportingDescriptor {
        let mut rule = ReportingDescriptor::builder().id(id).build();
        rule.short_description = Some(multiformat(&self.title));
        rule.help_uri = self.help.clone();
        let mut configuration = ReportingConfiguration::builder().build();
        configuration.level = Some(Value::from(level_name(self.severity)));
        rule.default_configuration = Some(configuration);
        let mut bag = properties(score(self.severity).map(|score| ("security-severity", Value::from(score))));
        bag.tags = Some(self.tags.clone());
        rule.properties = Some(bag);
        rule
    }
}

fn multiformat(text: &str) -> MultiformatMessageString {
    MultiformatMessageString::builder().text(message_text(text)).build()
}

/// Returns the score of a severity on the scale of CVSS, in the middle of its range. An unknown
/// severity has none.
const fn score(severity: Severity) -> Option<&'static str> {
    match severity {
        Severity::Critical => Some("9.5"),
        Severity::High => Some("8.0"),
        Severity::Medium => Some("5.5"),
        Severity::Low => Some("2.0"),
        Severity::Informational => Some("0.0"),
        Severity::Unknown => None,
    }
}

/// Returns the tag by which code scanning knows a CWE number.
fn cwe_tag(reference: &str) -> Option<String> {
    let number: u32 = reference.strip_prefix("CWE-")?.parse().ok()?;
    Some(format!("external/cwe/cwe-{number:03}"))
}

fn invocation_of_scan(scan: &ExportedScan) -> Invocation {
    let mut notifications: Vec<Notification> = scan
        .gaps()
        .map(|(plugin, gap)| {
            let level = if gap.is_left_out { "warning" } else { "error" };
            notification(level, &format!("{plugin} did not check everything: {}", gap.reason), Some(plugin))
        })
        .collect();
    if !scan.is_complete() && notifications.is_empty() {
        let text = format!("The scan ended as {}, and its checks are not known to be complete", scan.status);
        notifications.push(notification("error", &text, None));
    }
    let mut invocation = Invocation::builder().execution_successful(scan.is_complete()).build();
    invocation.end_time_utc = Some(scan.ended_at.to_string());
    invocation.tool_execution_notifications = Some(notifications);
    invocation.properties = Some(properties([
        ("scan", Value::from(scan.id)),
        ("target", Value::from(scan.target_text.clone())),
        ("comparedWith", Value::from(scan.compared_with)),
    ]));
    invocation
}

/// The run of a list is the export itself. What its findings lack is in a notification.
fn invocation_of_list(head: &ExportHead, unchecked: u64) -> Invocation {
    let mut invocation = Invocation::builder().execution_successful(true).build();
    invocation.end_time_utc = Some(head.at.to_string());
    if unchecked > 0 {
        let text = format!("{unchecked} of these findings were not checked by the newest scan of their target");
        invocation.tool_execution_notifications = Some(vec![notification("warning", &text, None)]);
    }
    invocation
}

fn notification(level: &str, text: &str, plugin: Option<&str>) -> Notification {
    let mut notification = Notification::builder().message(Message::builder().text(message_text(text)).build()).build();
    notification.level = Some(Value::from(level));
    notification.descriptor = Some(ReportingDescriptorReference::builder().id(NOT_CHECKED).build());
    notification.properties = plugin.map(|plugin| properties([("plugin", Value::from(plugin))]));
    notification
}
