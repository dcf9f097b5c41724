//! Decides from a plugin's findings whether the plugin checked anything.
//!
//! KAST calls a plugin successful if its tool ran, whatever the tool did: testssl without a
//! connection, wafw00f with a site that "appears to be down", a CORS check in which every request
//! failed. Some plugins leave a trace of such a failure in their findings. The others are judged by
//! the findings of plugins that contacted the same target.

use std::collections::BTreeMap;
use std::io::Read;

use kastrel_actors::model::{PluginResult, PluginStatus, Scheme};

use super::super::json::{Fault, JsonReader};
use super::super::plugin_name;
use super::message::said;
use super::own::{Own, Reach, Sureness};

/// The maximum number of bytes of a text that are kept.
const MOST_TEXT_BYTES: usize = 16 << 10;

/// A plugin that is judged by the results of others. If it found nothing, the target may not have
/// responded.
struct Silent {
    key: &'static str,
    /// The plugins that contact the same address in the same way.
    witnesses: &'static [&'static str],
    /// The schemes that it uses if the target has none.
    schemes: &'static [Scheme],
}

const SILENT: &[Silent] = &[
    Silent { key: "cors_analyzer", witnesses: &["wafw00f", "script_detection"], schemes: &[Scheme::Https] },
    Silent {
        key: "katana",
        witnesses: &["wafw00f", "script_detection", "whatweb"],
        schemes: &[Scheme::Https, Scheme::Http],
    },
    Silent {
        key: "ftap",
        witnesses: &["wafw00f", "script_detection", "whatweb"],
        schemes: &[Scheme::Https, Scheme::Http],
    },
];
/// The plugins that read the results of others, with these others.
const READERS: &[(&str, &[&str])] = &[("ai_surface_detection", &["katana", "whatweb", "script_detection"])];
/// Parts of error messages that mean that a connection was made.
const REACHED_WORDS: &[&str] =
    &["CERTIFICATE_VERIFY_FAILED", "Client Error", "Server Error", "TooManyRedirects", "Exceeded "];
/// Parts of error messages that mean that no connection was made.
const UNREACHED_WORDS: &[&str] =
    &["ConnectionPool(", "Connection", "timed out", "Name or service not known", "SSLError"];

/// The relevant parts of the tool's own result, in `findings`.
#[derive(Debug, Default)]
pub(super) struct ToolResult {
    /// The number of listed results, if `results` is a list.
    pub(super) listed: Option<u64>,
    /// `Some` if `scanResult` exists; true if it has the result of a test.
    scan: Option<bool>,
    /// True if the tool's output exists but was not parsed.
    is_raw: bool,
    /// The reason why the tool ended early.
    problem: Option<String>,
    is_interrupted: bool,
    /// `Some` if `results` is an object; true if it has members with test results.
    has_tests: Option<bool>,
    /// The error message in `results`.
    answer: Option<String>,
}

impl ToolResult {
    /// Reads a member of `findings`. Returns `false` without reading if the key is not relevant.
    pub(super) fn member<R: Read>(&mut self, reader: &mut JsonReader<R>, key: &str) -> Result<bool, Fault> {
        match key {
            "scanResult" => {
                let mut has_tests = false;
                let mut problem = None;
                let mut each = |reader: &mut JsonReader<R>| Self::host(reader, &mut has_tests, &mut problem);
                if reader.is_list()? {
                    reader.list(each)?;
                } else {
                    each(reader)?;
                }
                self.scan = Some(has_tests);
                self.problem = problem;
            }
            "scanTime" => {
                self.is_interrupted = reader
                    .value(MOST_TEXT_BYTES)?
                    .into_text()
                    .is_some_and(|text| text.to_lowercase().contains("interrupted"));
            }
            "raw_data" => {
                self.is_raw = true;
                reader.skip()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Reads `results` if it is an object.
    pub(super) fn results<R: Read>(&mut self, reader: &mut JsonReader<R>) -> Result<(), Fault> {
        let (mut has_tests, mut answers) = (false, [None, None]);
        reader.object(|reader, key| {
            match key {
                "error" => answers[1] = reader.value(MOST_TEXT_BYTES)?.into_text(),
                "message" => answers[0] = reader.value(MOST_TEXT_BYTES)?.into_text(),
                _ => {
                    has_tests |= matches!(key, "scan" | "tests") && reader.is_object()?;
                    reader.skip()?;
                }
            }
            Ok(())
        })?;
        self.has_tests = Some(has_tests);
        self.answer = answers.into_iter().flatten().find_map(|text| said(&text));
        Ok(())
    }

    /// Reads one element of testssl's result: a host with lists of tests, or a problem.
    fn host<R: Read>(
        reader: &mut JsonReader<R>,
        has_tests: &mut bool,
        problem: &mut Option<String>,
    ) -> Result<(), Fault> {
        let (mut id, mut severity, mut finding) = (None, None, None);
        reader.object(|reader, key| {
            let place = match key {
                "id" => &mut id,
                "severity" => &mut severity,
                "finding" => &mut finding,
                _ => {
                    *has_tests |= reader.is_list()?;
                    return reader.skip();
                }
            };
            *place = reader.value(MOST_TEXT_BYTES)?.into_text();
            Ok(())
        })?;
        if id.as_deref() == Some("scanProblem") && severity.is_some_and(|word| word.eq_ignore_ascii_case("FATAL")) {
            problem.get_or_insert_with(|| {
                finding.as_deref().and_then(said).unwrap_or_else(|| "testssl could not scan the target".into())
            });
        }
        Ok(())
    }

    /// Returns the reason if a plugin checked nothing although its status is successful. The
    /// plugin's findings are an object; `is_empty` is true if the object is empty.
    pub(super) fn unchecked(&self, key: &str, is_empty: bool) -> Option<String> {
        match key {
            "testssl" => {
                if let Some(problem) = &self.problem {
                    return Some(problem.clone());
                }
                let why = match self.scan {
                    _ if self.is_interrupted => "testssl was interrupted",
                    Some(false) => "testssl left a result without any test",
                    None if self.is_raw => "testssl left a result that the plugin could not read",
                    None if is_empty => "testssl left no result",
                    Some(true) | None => return None,
                };
                Some(why.to_owned())
            }
            "mozilla_observatory" if self.has_tests == Some(false) => {
                Some(self.answer.clone().unwrap_or_else(|| "Mozilla Observatory gave no result of a test".to_owned()))
            }
            // wafw00f lists each site that responded, with or without a firewall.
            "wafw00f" if self.listed == Some(0) => {
                Some("wafw00f reached no site: the target did not answer".to_owned())
            }
            _ => None,
        }
    }
}

/// Decides whether the target responded to the plugin with this key.
pub(super) fn reach(key: &str, result: &PluginResult, sureness: Sureness, listed: Option<u64>) -> Reach {
    let has_failed = result.status == PluginStatus::Failed && sureness != Sureness::Unreadable;
    let contains =
        |words: &[&str]| result.message.as_deref().is_some_and(|text| words.iter().any(|word| text.contains(word)));
    match key {
        "wafw00f" if listed.is_some_and(|listed| listed > 0) => Reach::Reached,
        "wafw00f" if listed == Some(0) => Reach::Unreached,
        "whatweb" if listed.is_some_and(|listed| listed > 0) => Reach::Reached,
        "whatweb" if has_failed && listed == Some(0) => Reach::Unreached,
        "script_detection" if result.status == PluginStatus::Completed => Reach::Reached,
        "script_detection" if has_failed && contains(REACHED_WORDS) => Reach::Reached,
        "script_detection" if has_failed && contains(UNREACHED_WORDS) => Reach::Unreached,
        _ => Reach::Unknown,
    }
}

/// The time of the judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::adapters::kast_runner) enum Moment {
    /// Plugins still run, and may yield more evidence.
    Running,
    /// The attempt has ended; nothing will change any more.
    Over,
}

/// The judgement of a successful plugin that found nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Doubt {
    /// The result is accepted.
    None,
    /// No evidence yet that the target responded.
    Open,
    /// The plugin checked nothing; with the reason.
    Unchecked(String),
}

/// A successful plugin that found nothing and has no evidence that the target responded. The target
/// must be probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::adapters::kast_runner) struct Unsure {
    /// The key of its name.
    pub(in crate::adapters::kast_runner) key: &'static str,
    /// The schemes to try, one after the other, if the target has none.
    pub(in crate::adapters::kast_runner) schemes: &'static [Scheme],
}

/// Judges successful plugins that found nothing, by the results of the others. A plugin without a
/// decision is set to in progress; after the end of the attempt, it is returned instead.
pub(in crate::adapters::kast_runner) fn judge(
    plugins: &mut [PluginResult],
    own: &BTreeMap<String, Own>,
    moment: Moment,
) -> Vec<Unsure> {
    let mut unsure = Vec::new();
    for silent in SILENT {
        let Some((plugin, states)) = found_nothing(plugins, silent.key, silent.witnesses) else { continue };
        let doubt = of_silent(&states, own, moment);
        if (&doubt, moment) == (&Doubt::Open, Moment::Over) {
            unsure.push(Unsure { key: silent.key, schemes: silent.schemes });
        } else {
            apply(doubt, plugin);
        }
    }
    judge_readers(plugins, moment);
    unsure
}

/// Judges the plugins that read the results of others, after those are judged.
fn judge_readers(plugins: &mut [PluginResult], moment: Moment) {
    for (name, others) in READERS {
        let Some((plugin, states)) = found_nothing(plugins, name, others) else { continue };
        apply(of_reader(&states, moment), plugin);
    }
}

/// Decides the `unsure` plugins by the probe's answers. An `Err` has the reason why the target did
/// not respond.
pub(in crate::adapters::kast_runner) fn settle(
    plugins: &mut [PluginResult],
    unsure: &[Unsure],
    answers: &[Result<(), String>],
) {
    for (one, answer) in unsure.iter().zip(answers) {
        let Err(why) = answer else { continue };
        let text = format!("Found nothing, and nothing shows that the target answered: {why}");
        for plugin in plugins
            .iter_mut()
            .filter(|plugin| plugin_name::key(&plugin.name) == one.key && plugin.status == PluginStatus::Completed)
        {
            (plugin.status, plugin.message) = (PluginStatus::Failed, said(&text));
        }
    }
    judge_readers(plugins, Moment::Over);
}

/// Marks all completed plugins as failed, because their network was cut off at an unknown time.
pub(in crate::adapters::kast_runner) fn cut_off(plugins: &mut [PluginResult]) {
    const WHY: &str = "The connection of the attempt's network ended before the scanner did (scans.egress_limit), so that nothing shows what this plugin reached";
    for plugin in plugins.iter_mut().filter(|plugin| plugin.status == PluginStatus::Completed) {
        (plugin.status, plugin.message) = (PluginStatus::Failed, said(WHY));
    }
}

/// Returns the plugin with this key if it succeeded and found nothing, with the states of the
/// existing plugins in `others`.
fn found_nothing<'a>(
    plugins: &'a mut [PluginResult],
    key: &str,
    others: &[&'static str],
) -> Option<(&'a mut PluginResult, Vec<(&'static str, PluginStatus)>)> {
    let state =
        |other: &str| plugins.iter().find(|plugin| plugin_name::key(&plugin.name) == other).map(|plugin| plugin.status);
    let states = others.iter().filter_map(|other| Some((*other, state(other)?))).collect();
    let plugin = plugins.iter_mut().find(|plugin| plugin_name::key(&plugin.name) == key)?;
    let is_empty = plugin.findings_count == 0 && plugin.issues_count() == 0;
    (plugin.status == PluginStatus::Completed && is_empty).then_some((plugin, states))
}

fn apply(doubt: Doubt, plugin: &mut PluginResult) {
    match doubt {
        Doubt::None => {}
        Doubt::Open => (plugin.status, plugin.message, plugin.ended_at) = (PluginStatus::InProgress, None, None),
        Doubt::Unchecked(why) => (plugin.status, plugin.message) = (PluginStatus::Failed, Some(why)),
    }
}

/// Returns true if the plugin may still yield evidence.
fn is_open(status: PluginStatus, moment: Moment) -> bool {
    moment == Moment::Running && !status.is_final()
}

fn of_reader(states: &[(&str, PluginStatus)], moment: Moment) -> Doubt {
    if states.is_empty() || states.iter().any(|(_, status)| *status == PluginStatus::Completed) {
        Doubt::None
    } else if states.iter().any(|(_, status)| is_open(*status, moment)) {
        Doubt::Open
    } else {
        let names: Vec<&str> = states.iter().map(|(name, _)| *name).collect();
        Doubt::Unchecked(format!("Had nothing to look at: no result of {}", names.join(", ")))
    }
}

fn of_silent(states: &[(&str, PluginStatus)], own: &BTreeMap<String, Own>, moment: Moment) -> Doubt {
    let reach = |witness: &str| own.get(witness).map(|own| own.reach).unwrap_or_default();
    if states.iter().any(|(witness, _)| reach(witness) == Reach::Reached) {
        return Doubt::None;
    }
    let unreached: Vec<&str> =
        states.iter().map(|(witness, _)| *witness).filter(|witness| reach(witness) == Reach::Unreached).collect();
    if unreached.is_empty() || states.iter().any(|(_, status)| is_open(*status, moment)) {
        return Doubt::Open;
    }
    Doubt::Unchecked(format!(
        "Found nothing, and the target did not answer: {} did not reach it",
        unreached.join(" and ")
    ))
}
