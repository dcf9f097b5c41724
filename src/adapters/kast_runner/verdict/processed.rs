//! A plugin's own file, `<name>_processed.json`: read from a stream, in bounded memory, however large it is.

use std::io::Read;

use jiff::Timestamp;
use kastrel_actors::model::{IssueCollector, MAX_COUNT, PluginResult, PluginStatus};

use super::super::catalogue::Catalogue;
use super::super::json::{Fault, JsonReader, Value};
use super::end_word::EndWord;
use super::{MOST_MESSAGE_CHARS, Sureness, issues, said};

/// The most bytes of a text that are kept: what is shown of it is shorter.
const MOST_TEXT_BYTES: usize = 16 << 10;
/// The most bytes of a number that are kept.
const MOST_NUMBER_BYTES: usize = 1 << 10;
/// KAST's word where a plugin left nothing.
const NO_RESULTS: &str = "No results available.";
/// What the summary of a plugin that failed begins with where it only says that nothing was found: no reason for a failure.
const EMPTY_SUMMARY: &str = "No ";

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::adapters::kast_runner) struct Own {
    /// Its state, issues and message.
    pub(in crate::adapters::kast_runner) result: PluginResult,
    /// How sure the state is.
    pub(in crate::adapters::kast_runner) sureness: Sureness,
    /// Why it failed, where it says so.
    pub(in crate::adapters::kast_runner) error: Option<String>,
}

impl Own {
    /// A plugin whose file cannot be read. `problem` completes "Result file cannot be read: …".
    pub(in crate::adapters::kast_runner) fn unreadable(name: &str, problem: impl std::fmt::Display) -> Self {
        let error = format!("Result file cannot be read: {problem}");
        let result = PluginResult { message: Some(error.clone()), ..PluginResult::new(name, PluginStatus::Failed) };
        Self { result, sureness: Sureness::Unreadable, error: Some(error) }
    }
}

/// The parts of the file that matter.
#[derive(Default)]
struct Parts {
    count: Option<u64>,
    issues: IssueCollector,
    disposition: Option<String>,
    error: Option<String>,
    summary: Option<String>,
    /// What a summary of named texts says under `Error`.
    summary_error: Option<String>,
    timestamp: Option<Timestamp>,
    findings: Section,
    /// `fail` or `failed`, in place of `findings`.
    failure: Section,
}

/// An object with a disposition and results, or a text in its place.
#[derive(Default)]
struct Section {
    disposition: Option<String>,
    error: Option<String>,
    results: Option<String>,
    is_empty_object: bool,
}

/// Reads the file of the plugin `name`.
pub(in crate::adapters::kast_runner) fn read(name: &str, source: impl Read, catalogue: Option<&Catalogue>) -> Own {
    match parts(source, catalogue) {
        Ok(parts) => own(name, parts),
        Err(fault) => Own::unreadable(name, fault),
    }
}

fn parts(source: impl Read, catalogue: Option<&Catalogue>) -> Result<Parts, Fault> {
    let (mut parts, mut is_result) = (Parts::default(), false);
    JsonReader::open(source)?.object(|reader, key| {
        // A key that is repeated: the last one counts, as in Python.
        is_result |= matches!(key, "findings_count" | "issues" | "disposition" | "summary" | "findings" | "fail" | "failed" | "error");
        match key {
            "findings_count" => parts.count = reader.value(MOST_NUMBER_BYTES)?.count(MAX_COUNT),
            "issues" => parts.issues = issues::read(reader, catalogue)?,
            "disposition" => parts.disposition = text(reader)?,
            "error" => parts.error = text(reader)?,
            "summary" => (parts.summary, parts.summary_error) = summary(reader)?,
            "timestamp" => parts.timestamp = text(reader)?.and_then(|text| text.trim().parse().ok()),
            "findings" => parts.findings = section(reader)?,
            "fail" | "failed" => parts.failure = section(reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    if is_result { Ok(parts) } else { Err(Fault::NoResult) }
}

fn text<R: Read>(reader: &mut JsonReader<R>) -> Result<Option<String>, Fault> {
    Ok(reader.value(MOST_TEXT_BYTES)?.into_text())
}

fn section<R: Read>(reader: &mut JsonReader<R>) -> Result<Section, Fault> {
    if !reader.is_object()? {
        return Ok(Section { results: text(reader)?, ..Section::default() });
    }
    let mut section = Section { is_empty_object: true, ..Section::default() };
    reader.object(|reader, key| {
        section.is_empty_object = false;
        match key {
            "disposition" => section.disposition = text(reader)?,
            "error" => section.error = text(reader)?,
            "results" => section.results = text(reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    Ok(section)
}

/// A text, or a list of objects with named texts, of which one may be an error.
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

fn own(name: &str, parts: Parts) -> Own {
    let Parts { count, issues, disposition, error, summary, summary_error, timestamp, findings, failure } = parts;
    // What the file says in several places is as bad as the worst of them.
    let words = [disposition, findings.disposition, failure.disposition].into_iter().flatten().map(|word| EndWord::read(&word));
    let word = words.filter(|word| *word != EndWord::Silent).reduce(|one, other| if other.badness() > one.badness() { other } else { one });
    let stated = word.as_ref().and_then(EndWord::stated);
    let has_failed = stated == Some(PluginStatus::Failed);
    // Results that are a text are an error only where the plugin failed.
    let results = findings.results.or(failure.results).filter(|_| has_failed);
    let error = [findings.error, failure.error, error, results, summary_error].into_iter().flatten().find_map(|text| said(&text));
    let summary = summary.and_then(|text| said(&text));
    let left_nothing = findings.is_empty_object && summary.as_deref() == Some(NO_RESULTS);
    let (status, sureness) = match stated {
        Some(status) => (status, Sureness::Stated),
        // A plugin that broke off leaves no disposition; it leaves an error, or nothing and KAST's stock phrase.
        None if error.is_some() || left_nothing => (PluginStatus::Failed, Sureness::Guessed),
        None => (PluginStatus::Completed, Sureness::Guessed),
    };
    let error = error.or_else(|| word.as_ref().and_then(EndWord::odd_word).map(|word| format!("The plugin ended as \"{word}\"")));
    let message = error.clone().or_else(|| summary.filter(|text| status != PluginStatus::Failed || !text.starts_with(EMPTY_SUMMARY)));
    let mut result = PluginResult { status, message, ended_at: timestamp, ..PluginResult::new(name, status) }.with_collected_issues(issues);
    // A count that is no number is at least that of the issues.
    result.findings_count = count.unwrap_or_else(|| result.issues_count());
    Own { result, sureness, error }
}

/// Whether a value may be a message; bounded and printable.
pub(super) fn message(value: Value) -> Option<String> {
    value.into_name().and_then(|text| said(&text))
}

const _: () = assert!(MOST_TEXT_BYTES >= 4 * MOST_MESSAGE_CHARS, "a message of the longest characters fits");
