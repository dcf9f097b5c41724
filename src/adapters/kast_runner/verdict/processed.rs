//! Reads a plugin's own file, `<name>_processed.json`, as a stream and in bounded memory, whatever
//! its size.

use std::io::Read;

use jiff::Timestamp;
use kastrel_actors::model::{IssueCollector, MAX_COUNT, PluginResult, PluginStatus, ScannerKind};

use super::super::catalogue::Catalogue;
use super::super::json::{Fault, JsonReader, Value};
use super::super::plugin_name;
use super::alerts::{self, Alerts, ZAP};
use super::end_word::EndWord;
use super::evidence::{self, ToolResult};
use super::failure_text::{has_reason, says_failure};
use super::issues;
use super::message::{MOST_MESSAGE_CHARS, said};
use super::own::{Own, Sureness};

/// The maximum number of bytes of a text that are kept; messages are shorter.
const MOST_TEXT_BYTES: usize = 16 << 10;
/// The maximum number of texts of a list that are kept.
const MOST_TEXTS: usize = 200;
/// The maximum number of bytes of a number that are kept.
const MOST_NUMBER_BYTES: usize = 1 << 10;
/// KAST's phrase for a plugin that left no results.
const NO_RESULTS: &str = "No results available.";
/// The start of a summary which only states that nothing was found. It is not a reason for a
/// failure.
const EMPTY_SUMMARY: &str = "No ";
/// A phrase that makes such a summary a reason: the tool produced no output.
const NOTHING_PRODUCED: &str = " produced";

/// The relevant parts of the file.
#[derive(Default)]
struct Parts {
    count: Option<u64>,
    issues: IssueCollector,
    disposition: Option<String>,
    error: Option<String>,
    summary: Option<String>,
    /// The text under `Error` in a summary of named texts.
    summary_error: Option<String>,
    timestamp: Option<Timestamp>,
    findings: Section,
    /// `fail` or `failed`, which some files have in place of `findings`.
    failure: Section,
    /// Other texts that may report a failure, the best reason first.
    details: Option<String>,
    results_message: Option<String>,
    executive_summary: Option<String>,
    /// KAST's issues that duplicate other issues.
    repeated: Vec<String>,
}

/// An object with a disposition and results, or a text in its place.
#[derive(Default)]
struct Section {
    disposition: Option<String>,
    error: Option<String>,
    results: Option<String>,
    is_object: bool,
    is_empty_object: bool,
    tool: ToolResult,
    alerts: Alerts,
}

/// Reads the file of the plugin `name`.
pub(in crate::adapters::kast_runner) fn read(name: &str, source: impl Read, catalogue: Option<&Catalogue>) -> Own {
    match parts(name, source, catalogue) {
        Ok(parts) => own(name, parts, catalogue.is_none_or(|known| known.scanner.kind == ScannerKind::Kast)),
        Err(fault) => Own::unreadable(name, fault),
    }
}

fn parts(name: &str, source: impl Read, catalogue: Option<&Catalogue>) -> Result<Parts, Fault> {
    let (mut parts, mut is_result) = (Parts::default(), false);
    let is_zap = plugin_name::key(name) == ZAP;
    JsonReader::open(source)?.object(|reader, key| {
        // The last of repeated keys counts, as in Python.
        is_result |= matches!(
            key,
            "findings_count" | "issues" | "disposition" | "summary" | "findings" | "fail" | "failed" | "error"
        );
        match key {
            "findings_count" => parts.count = reader.value(MOST_NUMBER_BYTES)?.count(MAX_COUNT),
            "issues" => parts.issues = issues::read(reader, catalogue)?,
            "disposition" => parts.disposition = text(reader)?,
            "error" => parts.error = text(reader)?,
            "summary" => (parts.summary, parts.summary_error) = summary(reader)?,
            "timestamp" => parts.timestamp = text(reader)?.and_then(|text| text.trim().parse().ok()),
            "findings" => parts.findings = section(reader, is_zap, catalogue)?,
            "fail" | "failed" => parts.failure = section(reader, false, None)?,
            "details" => parts.details = text(reader)?,
            "results_message" => parts.results_message = text(reader)?,
            "executive_summary" => parts.executive_summary = first_text(reader)?,
            "zap_kast_issues" if is_zap => parts.repeated = texts(reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    if is_result { Ok(parts) } else { Err(Fault::NoResult) }
}

fn text<R: Read>(reader: &mut JsonReader<R>) -> Result<Option<String>, Fault> {
    Ok(reader.value(MOST_TEXT_BYTES)?.into_text())
}

/// Reads a text, or the first text of a list.
fn first_text<R: Read>(reader: &mut JsonReader<R>) -> Result<Option<String>, Fault> {
    if reader.is_list()? { Ok(texts(reader)?.into_iter().next()) } else { text(reader) }
}

/// Reads the first texts of a list.
fn texts<R: Read>(reader: &mut JsonReader<R>) -> Result<Vec<String>, Fault> {
    let mut texts = Vec::new();
    reader.list(|reader| {
        if let Some(text) = text(reader)?
            && texts.len() < MOST_TEXTS
        {
            texts.push(text);
        }
        Ok(())
    })?;
    Ok(texts)
}

/// Reads a section. `has_alerts` is true if it contains ZAP's alerts.
fn section<R: Read>(
    reader: &mut JsonReader<R>,
    has_alerts: bool,
    catalogue: Option<&Catalogue>,
) -> Result<Section, Fault> {
    if !reader.is_object()? {
        return Ok(Section { results: text(reader)?, ..Section::default() });
    }
    let mut section = Section { is_object: true, is_empty_object: true, ..Section::default() };
    reader.object(|reader, key| {
        section.is_empty_object = false;
        match (key, has_alerts) {
            ("disposition", _) => section.disposition = text(reader)?,
            ("error", _) => section.error = text(reader)?,
            ("alerts", true) => section.alerts.read(reader, catalogue)?,
            ("site", true) => section.alerts.read_sites(reader, catalogue)?,
            ("results", _) if reader.is_list()? => {
                let mut listed = 0;
                reader.list(|reader| {
                    listed += 1;
                    reader.skip()
                })?;
                section.tool.listed = Some(listed);
            }
            ("results", _) if reader.is_object()? => section.tool.results(reader)?,
            ("results", _) => section.results = text(reader)?,
            _ if section.tool.member(reader, key)? => {}
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    Ok(section)
}

/// Reads a summary: a text, or a list of objects with named texts, one of which may be an error.
fn summary<R: Read>(reader: &mut JsonReader<R>) -> Result<(Option<String>, Option<String>), Fault> {
    if !reader.is_list()? {
        return Ok((text(reader)?, None));
    }
    let mut error = None;
    reader.list(|reader| {
        reader
            .object(|reader, key| {
                if key.eq_ignore_ascii_case("error") {
                    error = text(reader)?;
                    Ok(())
                } else {
                    reader.skip()
                }
            })
            .map(drop)
    })?;
    Ok((None, error))
}

/// Computes a plugin's own result. `is_kast` is true for KAST's plugins, because some of these do
/// not report that they checked nothing.
fn own(name: &str, parts: Parts, is_kast: bool) -> Own {
    let Parts {
        count,
        mut issues,
        disposition,
        error,
        summary,
        summary_error,
        timestamp,
        findings,
        failure,
        details,
        results_message,
        executive_summary,
        repeated,
    } = parts;
    let key = if is_kast { plugin_name::key(name) } else { String::new() };
    // If the file has several words for the end, the worst one counts.
    let words =
        [disposition, findings.disposition, failure.disposition].into_iter().flatten().map(|word| EndWord::read(&word));
    let word = words
        .filter(|word| *word != EndWord::Silent)
        .reduce(|one, other| if other.badness() > one.badness() { other } else { one });
    let unchecked = if findings.is_object { findings.tool.unchecked(&key, findings.is_empty_object) } else { None };
    let listed = findings.tool.listed;
    let has_failed = word.as_ref().and_then(EndWord::stated) == Some(PluginStatus::Failed);
    // Results that are a text are an error only if the plugin failed.
    let results = findings.results.or(failure.results).filter(|_| has_failed);
    let mut error = [findings.error, failure.error, error, results, summary_error]
        .into_iter()
        .flatten()
        .find_map(|text| said(&text));
    let summary = summary.and_then(|text| said(&text));
    let left_nothing = findings.is_empty_object && summary.as_deref() == Some(NO_RESULTS);
    // A word for the end has priority. Without one, a sentence may report the failure.
    let says_so = word.is_none()
        && [&summary, &results_message, &executive_summary].into_iter().flatten().any(|text| says_failure(text));
    let stated = if says_so { Some(PluginStatus::Failed) } else { word.as_ref().and_then(EndWord::stated) };
    let (status, sureness) = match stated {
        Some(PluginStatus::Completed) | None if unchecked.is_some() => (PluginStatus::Failed, Sureness::Stated),
        Some(status) => (status, Sureness::Stated),
        // An interrupted plugin leaves no disposition. It leaves an error, or only KAST's stock
        // phrase.
        None if error.is_some() || left_nothing => (PluginStatus::Failed, Sureness::Stated),
        None => (PluginStatus::Completed, Sureness::Guessed),
    };
    if status == PluginStatus::Failed {
        let sentences = [&summary, &results_message, &executive_summary, &details]
            .map(|text| text.as_deref().filter(|text| says_failure(text) && has_reason(text)));
        error = error.or(unchecked).or_else(|| sentences.into_iter().flatten().find_map(said));
    }
    let error = error
        .or_else(|| word.as_ref().and_then(EndWord::odd_word).map(|word| format!("The plugin ended as \"{word}\"")));
    let is_reason =
        |text: &str| (!text.starts_with(EMPTY_SUMMARY) && has_reason(text)) || text.contains(NOTHING_PRODUCED);
    let message =
        error.clone().or_else(|| summary.clone().filter(|text| status != PluginStatus::Failed || is_reason(text)));
    let mut result = PluginResult { status, message, ended_at: timestamp, ..PluginResult::new(name, status) };
    // An invalid count is replaced by the number of issues below.
    let mut findings_count = count;
    if key == ZAP && !findings.alerts.is_empty() {
        issues = findings.alerts.into_issues();
    } else if key == ZAP {
        issues = alerts::from_list(issues, &repeated, summary.as_deref(), count);
    } else if key == "wafw00f" && listed == Some(0) {
        // "No firewall" is not an issue if the target did not respond.
        issues = IssueCollector::default();
        findings_count = Some(0);
    }
    result = result.with_collected_issues(issues);
    result.findings_count = findings_count.unwrap_or_else(|| result.issues_count());
    let reach = evidence::reach(&key, &result, sureness, listed);
    Own { reach, ..Own::new(result, sureness, error) }
}

/// Converts a value to a message: bounded and printable.
pub(super) fn message(value: Value) -> Option<String> {
    value.into_name().and_then(|text| said(&text))
}

const _: () = assert!(MOST_TEXT_BYTES >= 4 * MOST_MESSAGE_CHARS, "a message of the longest characters fits");
