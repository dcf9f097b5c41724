//! Reads the scanner's results, `<name>_processed.json` and `kast_info.json`, as what they are: text that hostile sites and crashing programs have written.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use kastrel_actors::model::{IssueRef, PluginResult, PluginStatus};
use serde::Deserialize;

use super::catalogue::Catalogue;
use super::loose::{Bounded, Loose, mend_surrogates};
use super::text::{clean, is_plugin_name};

/// The largest `kast_info.json` that is read.
pub(super) const MOST_INFO_BYTES: u64 = 16 << 20;
/// The largest `<name>_processed.json` that is read.
pub(super) const MOST_PROCESSED_BYTES: u64 = 8 << 20;
const MOST_PLUGINS: usize = 200;
/// What is said of a plugin whose result file cannot be read, before the reason.
const UNREADABLE: &str = "its result file cannot be read: ";
const MOST_MESSAGE_CHARS: usize = 500;
const MOST_ID_CHARS: usize = 120;

/// The parts of a plugin's result file that matter.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Processed {
    findings_count: Loose,
    issues: Loose,
    disposition: Loose,
    findings: Findings,
    summary: Loose,
    timestamp: Loose,
}

/// `findings`: an object with a disposition and results, or anything else.
#[derive(Debug, Default)]
struct Findings {
    disposition: Loose,
    results: Loose,
    is_empty_object: bool,
}

impl<'de> Deserialize<'de> for Findings {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Findings;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("any value")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Findings, E> {
                Ok(Findings::default())
            }
            fn visit_i64<E>(self, _: i64) -> Result<Findings, E> {
                Ok(Findings::default())
            }
            fn visit_u64<E>(self, _: u64) -> Result<Findings, E> {
                Ok(Findings::default())
            }
            fn visit_f64<E>(self, _: f64) -> Result<Findings, E> {
                Ok(Findings::default())
            }
            fn visit_unit<E>(self) -> Result<Findings, E> {
                Ok(Findings::default())
            }
            fn visit_str<E>(self, text: &str) -> Result<Findings, E> {
                Ok(Findings { results: Loose::Text(text.to_owned()), ..Findings::default() })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Findings, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Findings::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Findings, A::Error> {
                let mut findings = Findings { is_empty_object: true, ..Findings::default() };
                while let Some(key) = map.next_key::<String>()? {
                    findings.is_empty_object = false;
                    match key.as_str() {
                        "disposition" => findings.disposition = map.next_value()?,
                        "results" => findings.results = map.next_value()?,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(findings)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Parses JSON; the error is short, printable and completes "cannot be read: …".
fn parse<'a, T: Deserialize<'a>>(json: &'a str, mended: &'a mut String) -> Result<T, String> {
    if !json.trim_start().starts_with('{') && !json.trim_start().is_empty() {
        return Err("it holds no JSON object".into());
    }
    let first = match serde_json::from_str(json) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if first.is_eof() {
        return Err("it is truncated".into());
    }
    if first.to_string().contains("surrogate") {
        *mended = mend_surrogates(json);
        return serde_json::from_str(mended).map_err(|error| clean(&error.to_string(), 200));
    }
    Err(clean(&first.to_string(), 200))
}

/// Whether this is what [`processed`] says of a plugin whose result file cannot be read.
pub(super) fn is_unreadable(plugin: &PluginResult) -> bool {
    plugin.message.as_deref().is_some_and(|message| message.starts_with(UNREADABLE))
}

/// A plugin whose result file is there, whatever is in it.
pub(super) fn processed(name: &str, json: Result<&str, String>, catalogue: Option<&Catalogue>) -> PluginResult {
    let mut mended = String::new();
    let file: Processed = match json.and_then(|json| parse(json, &mut mended)) {
        Ok(file) => file,
        Err(problem) => {
            return PluginResult { message: Some(format!("{UNREADABLE}{problem}")), ..PluginResult::new(name, PluginStatus::Failed) };
        }
    };
    let disposition = file.disposition.text().or_else(|| file.findings.disposition.text());
    let summary = file.summary.text().map(|text| clean(text, MOST_MESSAGE_CHARS)).filter(|text| !text.is_empty());
    let status = match disposition.map(str::to_ascii_lowercase).as_deref() {
        Some("fail" | "failed" | "error") => PluginStatus::Failed,
        Some("skipped") => PluginStatus::Skipped,
        Some("unavailable") => PluginStatus::Unavailable,
        Some(_) => PluginStatus::Completed,
        // A plugin that broke off leaves no disposition, no findings and KAST's stock phrase.
        None if file.findings.is_empty_object && summary.as_deref() == Some("No results available.") => PluginStatus::Failed,
        None => PluginStatus::Completed,
    };
    let error = || file.findings.results.text().map(|text| clean(text, MOST_MESSAGE_CHARS)).filter(|text| !text.is_empty());
    let issues = file.issues.listed().iter().map(|id| issue(id, catalogue));
    PluginResult {
        findings_count: file.findings_count.count(),
        message: summary.or_else(error),
        ended_at: file.timestamp.text().and_then(|text| text.parse().ok()),
        ..PluginResult::new(name, status).with_issues(issues)
    }
}

fn issue(id: &str, catalogue: Option<&Catalogue>) -> IssueRef {
    use kastrel_actors::model::Severity;
    let known = catalogue.and_then(|catalogue| catalogue.registry.get(id));
    let id = clean(id, MOST_ID_CHARS);
    IssueRef { severity: known.map_or(Severity::Unknown, |kind| kind.severity), title: known.map_or_else(|| id.clone(), |kind| kind.title.clone()), id }
}

/// `kast_info.json`, as far as it matters.
#[derive(Debug, Deserialize)]
struct Info {
    plugins: Bounded<InfoPlugin, MOST_PLUGINS>,
}

/// One entry of its list; here something else than an object is an error, because the file is the verdict.
#[derive(Debug, Default)]
struct InfoPlugin {
    plugin_name: Loose,
    status: Loose,
    start_timestamp: Loose,
    end_timestamp: Loose,
}

impl<'de> Deserialize<'de> for InfoPlugin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> serde::de::Visitor<'de> for Object {
            type Value = InfoPlugin;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a plugin")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<InfoPlugin, A::Error> {
                let mut plugin = InfoPlugin::default();
                while let Some(key) = map.next_key::<String>()? {
                    let field = match key.as_str() {
                        "plugin_name" => &mut plugin.plugin_name,
                        "status" => &mut plugin.status,
                        "start_timestamp" => &mut plugin.start_timestamp,
                        "end_timestamp" => &mut plugin.end_timestamp,
                        _ => {
                            map.next_value::<serde::de::IgnoredAny>()?;
                            continue;
                        }
                    };
                    *field = map.next_value()?;
                }
                Ok(plugin)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Reads `kast_info.json` and merges it with what the plugins said themselves.
///
/// The file decides about states and times, the plugins' own files about findings. Its times are local without a zone; `zone` is this machine's.
///
/// # Errors
/// Why it cannot be read, as a fragment.
pub(super) fn info(json: &str, own: &[PluginResult], zone: &TimeZone) -> Result<Vec<PluginResult>, String> {
    let mut mended = String::new();
    let info: Info = parse(json, &mut mended)?;
    let mut merged: Vec<PluginResult> = Vec::new();
    for plugin in &info.plugins.0 {
        let Some(name) = plugin.plugin_name.text().filter(|name| is_plugin_name(name)) else { continue };
        if merged.iter().any(|one| one.name == name) {
            continue;
        }
        let base = own.iter().find(|one| one.name == name);
        let (status, reason) = final_status(plugin.status.text().unwrap_or("unknown"), base);
        let mut result = base.cloned().unwrap_or_else(|| PluginResult::new(name, status));
        result.status = status;
        result.message = result.message.take().or(reason);
        result.started_at = plugin.start_timestamp.text().and_then(|text| local_time(text, zone)).or(result.started_at);
        result.ended_at = plugin.end_timestamp.text().and_then(|text| local_time(text, zone)).or(result.ended_at);
        merged.push(result);
    }
    let unlisted: Vec<_> = own.iter().filter(|one| merged.iter().all(|listed| listed.name != one.name)).cloned().collect();
    merged.extend(unlisted);
    Ok(merged)
}

/// KAST's word for a plugin's end, and what to say where the plugin said nothing itself.
fn final_status(word: &str, own: Option<&PluginResult>) -> (PluginStatus, Option<String>) {
    match word.to_ascii_lowercase().as_str() {
        "success" => (PluginStatus::Completed, None),
        "fail" | "failed" | "error" => (PluginStatus::Failed, Some("it failed without saying why; its log lines may tell".into())),
        "unavailable" => (PluginStatus::Unavailable, Some("its tool is not installed on this node".into())),
        "skipped" => (PluginStatus::Skipped, Some("the scanner left it out".into())),
        word => match own.filter(|own| own.status.is_final()) {
            Some(own) => (own.status, None),
            None => (PluginStatus::Failed, Some(format!("the scanner ended it as `{}`", clean(word, 40)))),
        },
    }
}

fn local_time(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(timestamp) = text.parse() {
        return Some(timestamp);
    }
    text.parse::<DateTime>().ok()?.to_zoned_datetime(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests;
