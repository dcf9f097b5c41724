//! What a plugin's findings show of whether it checked anything.
//!
//! KAST calls a plugin successful whose tool ran, whatever became of it: testssl that could not
//! connect, wafw00f whose site "appears to be down", a CORS check of which every request failed.
//! Some of them leave a trace of that in their findings; the others are judged by what those say.

use std::collections::BTreeMap;
use std::io::Read;

use kastrel_actors::model::{PluginResult, PluginStatus, Scheme};

use super::super::json::{Fault, JsonReader};
use super::super::plugin_name;
use super::processed::Own;
use super::{Sureness, said};

/// The most bytes of a text that are kept.
const MOST_TEXT_BYTES: usize = 16 << 10;

/// A plugin whose result is judged by what others saw: that it found nothing may mean that nobody
/// answered.
struct Silent {
    key: &'static str,
    /// The plugins that ask the same address in the same way.
    witnesses: &'static [&'static str],
    /// How it asks where the target names no scheme.
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
/// The plugin that looks into the results of others, and those.
const READERS: &[(&str, &[&str])] = &[("ai_surface_detection", &["katana", "whatweb", "script_detection"])];
/// What errors of a connection have in them that was made.
const REACHED_WORDS: &[&str] =
    &["CERTIFICATE_VERIFY_FAILED", "Client Error", "Server Error", "TooManyRedirects", "Exceeded "];
/// What errors of a connection have in them that was not made.
const UNREACHED_WORDS: &[&str] =
    &["ConnectionPool(", "Connection", "timed out", "Name or service not known", "SSLError"];

/// Whether the target answered the plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::adapters::kast_runner) enum Reach {
    /// Nothing shows it.
    #[default]
    Unknown,
    /// It answered.
    Reached,
    /// It did not.
    Unreached,
}

/// What the tool's own result shows, within `findings`.
#[derive(Debug, Default)]
pub(super) struct ToolResult {
    /// How many results are listed, where `results` is a list.
    pub(super) listed: Option<u64>,
    /// Whether `scanResult` is there, and whether it holds the result of a test.
    scan: Option<bool>,
    /// Whether the tool's output is there and was not understood.
    is_raw: bool,
    /// Why the tool ended early.
    problem: Option<String>,
    is_interrupted: bool,
    /// Whether the members of `results` have those of a test in them, where it is an object.
    has_tests: Option<bool>,
    /// What an error in `results` says.
    answer: Option<String>,
}

impl ToolResult {
    /// Reads a member of `findings`. `false`: it is none of these, and was not read.
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
                    .is_some_and(|text| text.to_lowercase().contains("interrupted"))
            }
            "raw_data" => {
                self.is_raw = true;
                reader.skip()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Reads `results` where it is an object.
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

    /// One element of testssl's result: a host with lists of tests, or a problem.
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

    /// Why the plugin of this key checked nothing although it calls itself successful; its findings
    /// are an object, empty or not.
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
            // It lists each site that answered, with a firewall or without.
            "wafw00f" if self.listed == Some(0) => {
                Some("wafw00f reached no site: the target did not answer".to_owned())
            }
            _ => None,
        }
    }
}

/// Whether the target answered the plugin of this key.
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

/// When it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::adapters::kast_runner) enum Moment {
    /// Plugins run still, and may show something.
    Running,
    /// Nothing will change any more.
    Over,
}

/// What is to be thought of a plugin that ended well and found nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Doubt {
    /// It is as it says.
    None,
    /// Nothing shows yet whether anybody answered.
    Open,
    /// It checked nothing; why.
    Unchecked(String),
}

/// A plugin that ended well and found nothing where nothing shows whether anybody answered: the
/// target itself has to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::adapters::kast_runner) struct Unsure {
    /// The key of its name.
    pub(in crate::adapters::kast_runner) key: &'static str,
    /// How it asks where the target names no scheme, one after the other.
    pub(in crate::adapters::kast_runner) schemes: &'static [Scheme],
}

/// Judges the plugins that ended well and found nothing by what the others saw. One of which it is
/// open still is in progress, or is returned where all is over.
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

/// Judges the plugins that look into the results of others, once those are judged.
fn judge_readers(plugins: &mut [PluginResult], moment: Moment) {
    for (name, others) in READERS {
        let Some((plugin, states)) = found_nothing(plugins, name, others) else { continue };
        apply(of_reader(&states, moment), plugin);
    }
}

/// Ends the doubt about `unsure` by what the target answered for each: `Err` says why it did not.
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

/// Takes back that plugins have checked anything: their network was cut off at a time that nobody
/// knows.
pub(in crate::adapters::kast_runner) fn cut_off(plugins: &mut [PluginResult]) {
    const WHY: &str = "The connection of the attempt's network ended before the scanner did (scans.egress_limit), so that nothing shows what this plugin reached";
    for plugin in plugins.iter_mut().filter(|plugin| plugin.status == PluginStatus::Completed) {
        (plugin.status, plugin.message) = (PluginStatus::Failed, said(WHY));
    }
}

/// The plugin of this key, where it ended well and found nothing, and how those of `others` stand
/// that are there.
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

/// Whether a plugin may still show something.
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
