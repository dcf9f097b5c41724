//! Reads the files of a scan that has ended, one plugin at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use kastrel_actors::model::{AttemptNumber, AttemptRecord, PluginResult, ScanRecord, ScannerInfo};
use kastrel_actors::policy::ingest::{PluginRead, ScanHead, ScanReading, check_scope};
use kastrel_findings::identity::{RuleSet, current};
use kastrel_findings::lifecycle::{PluginCheck, PluginEnd, ScanOrder};
use kastrel_findings::limits::MOST_FILE_BYTES;
use kastrel_findings::readers::{ReaderInput, Reading, plugin_key, read};
use kastrel_findings::registry::Registry;
use tracing::debug;

use crate::ports::{ArtifactError, ArtifactStore, AttemptKey};

/// The file with ZAP's alerts.
const ZAP_REPORT: &str = "zap_report.json";

/// What could be read of a scan.
#[derive(Debug)]
pub struct ReadFiles {
    /// What it says about its target.
    pub reading: ScanReading,
    /// True if files may be missing because they are not uploaded yet, or could not be opened.
    pub is_partial: bool,
    /// True if the scan has no files at all.
    pub is_empty: bool,
}

/// The files of scans.
#[derive(Debug, Clone)]
pub struct ScanFiles {
    artifacts: Arc<dyn ArtifactStore>,
}

impl ScanFiles {
    /// Creates the reader of this store of files.
    #[must_use]
    pub fn new(artifacts: Arc<dyn ArtifactStore>) -> Self {
        Self { artifacts }
    }

    /// Reads the results of all plugins of a scan. A plugin without its file has no result. `None`:
    /// the scan says nothing about a target.
    ///
    /// # Errors
    /// The store of the files does not respond.
    pub async fn read(&self, record: &ScanRecord, registry: &Registry) -> Result<Option<ReadFiles>, ArtifactError> {
        let Some(head) = ScanHead::of(record) else { return Ok(None) };
        let rules = current();
        let (mut plugins, mut missing) = (Vec::new(), BTreeMap::<AttemptNumber, Vec<String>>::new());
        let (mut is_empty, mut is_partial) = (true, false);
        for plugin in &record.plugins {
            let Some(attempt) = record.attempt_of(plugin) else { continue };
            let key = AttemptKey::of(record, attempt);
            let read = if plugin.status.has_started() {
                self.plugin(&key, record, plugin).await?
            } else {
                OfPlugin::default()
            };
            let OfPlugin { reading, lacks, was_refused } = read;
            is_empty &= reading.is_none();
            is_partial |= was_refused;
            let end = end_of(record, plugin);
            if !lacks.is_empty() && end == PluginEnd::Completed {
                missing.entry(attempt).or_default().extend(lacks);
            }
            plugins.push(plugin_read(record, &head, plugin, end, reading, rules));
        }
        let version = record.last_attempt().map(version_of).unwrap_or_default();
        plugins.extend(not_reached(record, &head, &version, &plugins, rules));
        for (attempt, names) in missing {
            is_partial |= self.may_come(&AttemptKey::of(record, attempt), &names).await?;
        }
        Ok(Some(ReadFiles { reading: ScanReading::new(head, plugins, registry, rules), is_partial, is_empty }))
    }

    /// Returns true if some of these files of an attempt, which were not read, may still come: not
    /// all files are there, or one is there and could not be opened.
    async fn may_come(&self, attempt: &AttemptKey, names: &[String]) -> Result<bool, ArtifactError> {
        match self.artifacts.list(attempt).await {
            Ok(listing) => Ok(listing.partial || names.iter().any(|name| listing.has(name))),
            Err(error @ ArtifactError::Unavailable(_)) => Err(error),
            // The folder, or the bucket, has nothing of it yet, or it may be readable later.
            Err(_) => Ok(true),
        }
    }

    async fn plugin(
        &self,
        attempt: &AttemptKey,
        record: &ScanRecord,
        plugin: &PluginResult,
    ) -> Result<OfPlugin, ArtifactError> {
        let name = format!("{}_processed.json", plugin.name);
        let processed = self.file(attempt, &name).await?;
        // ZAP has two files, which come one after the other.
        let has_report = plugin_key(&plugin.name) == "zap";
        let report = if has_report { self.file(attempt, ZAP_REPORT).await? } else { OneFile::Missing };
        let lacks_processed = (!processed.is_read()).then_some(name);
        let lacks_report = (has_report && !report.is_read()).then(|| ZAP_REPORT.to_owned());
        let lacks = lacks_processed.into_iter().chain(lacks_report).collect();
        let was_refused = processed.was_refused() || report.was_refused();
        let (processed, report) = (processed.bytes(), report.bytes());
        if processed.is_none() && report.is_none() {
            return Ok(OfPlugin { reading: None, lacks, was_refused });
        }
        let (name, target) = (plugin.name.clone(), record.request.target.to_string());
        let task = tokio::task::spawn_blocking(move || {
            let processed = processed.unwrap_or_default();
            read(&ReaderInput { plugin: &name, target: &target, processed: &processed, zap_report: report.as_deref() })
        });
        // A reader that fails is a plugin without a result: it closes nothing.
        Ok(OfPlugin { reading: task.await.ok(), lacks, was_refused })
    }

    /// Reads a file. One that is too long is cut, so that its reader says that it is no whole
    /// result.
    async fn file(&self, attempt: &AttemptKey, name: &str) -> Result<OneFile, ArtifactError> {
        let mut opened = match self.artifacts.open(attempt, name, None).await {
            Ok(opened) => opened,
            Err(error @ ArtifactError::Unavailable(_)) => return Err(error),
            Err(ArtifactError::NotFound | ArtifactError::Refused) => return Ok(OneFile::Missing),
            Err(error) => {
                debug!(file = name, error = &error as &dyn std::error::Error, "a file of a scan cannot be opened");
                return Ok(OneFile::Refused);
            }
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = opened.bytes.next().await {
            let chunk = chunk.map_err(|error| ArtifactError::Unavailable(Box::new(error)))?;
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MOST_FILE_BYTES {
                break;
            }
        }
        Ok(OneFile::Read(bytes))
    }
}

/// What was read of a plugin.
#[derive(Default)]
struct OfPlugin {
    /// Its result, if it left one.
    reading: Option<Reading>,
    /// The files that were not read.
    lacks: Vec<String>,
    /// True if a file is there, or may be, and could not be opened.
    was_refused: bool,
}

/// A file of an attempt.
enum OneFile {
    /// Its content.
    Read(Vec<u8>),
    /// It is not there.
    Missing,
    /// It cannot be opened now: it has no read permission, or is no file.
    Refused,
}

impl OneFile {
    const fn is_read(&self) -> bool {
        matches!(self, Self::Read(_))
    }

    const fn was_refused(&self) -> bool {
        matches!(self, Self::Refused)
    }

    fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Read(bytes) => Some(bytes),
            Self::Missing | Self::Refused => None,
        }
    }
}

/// Returns the digest of the configuration file with which the scanner of an attempt ran.
fn configuration(attempt: &AttemptRecord) -> Option<&str> {
    attempt.scanner.as_ref().and_then(|scanner| scanner.configuration.as_deref())
}

fn plugin_read(
    record: &ScanRecord,
    head: &ScanHead,
    plugin: &PluginResult,
    end: PluginEnd,
    reading: Option<Reading>,
    rules: &RuleSet,
) -> PluginRead {
    let attempt = record.attempt_of(plugin).and_then(|number| record.attempt(number));
    let scope = check_scope(&record.request, &plugin.name, &head.origin, attempt.and_then(configuration));
    let version = attempt.map(version_of).unwrap_or_default();
    let check = PluginCheck::new(end, &version, scope, reading.as_ref(), rules);
    PluginRead { check: PluginCheck { kept_from: kept_from(record, plugin), ..check }, reading }
}

/// Returns the scanner of an attempt and its version, such as `KAST 3.0.40`; empty if not known.
fn version_of(attempt: &AttemptRecord) -> String {
    attempt.scanner.as_ref().map(ScannerInfo::label).unwrap_or_default()
}

/// Returns the place of the earlier attempt whose result of this plugin the scan keeps. The end of
/// an attempt whose node died may be much later than that of the plugin.
fn kept_from(record: &ScanRecord, plugin: &PluginResult) -> Option<ScanOrder> {
    let last = record.last_attempt()?;
    let number = plugin.attempt.filter(|number| *number != last.number)?;
    let attempt = record.attempt(number)?;
    let end = attempt.ended_at.unwrap_or(last.started_at).min(last.started_at);
    let own = plugin.ended_at.filter(|own| *own >= attempt.started_at);
    Some(ScanOrder { at: own.map_or(end, |own| own.min(end)), scan: record.id.0, token: attempt.token.0 })
}

/// The plugins that were selected, and that the scan ended without.
fn not_reached(
    record: &ScanRecord,
    head: &ScanHead,
    version: &str,
    known: &[PluginRead],
    rules: &RuleSet,
) -> Vec<PluginRead> {
    let options = &record.request.options;
    let is_left_out = |name: &&String| record.left_out.contains(name);
    let is_known = |name: &&String| known.iter().any(|one| one.check.scope.plugin == plugin_key(name));
    let missing = options.plugins.iter().filter(|name| !is_left_out(name) && !is_known(name));
    let end = if options.dry_run { PluginEnd::DryRun } else { PluginEnd::Cancelled };
    missing
        .map(|name| {
            let configuration = record.last_attempt().and_then(configuration);
            let scope = check_scope(&record.request, name, &head.origin, configuration);
            PluginRead { check: PluginCheck::new(end, version, scope, None, rules), reading: None }
        })
        .collect()
}

/// Returns how a plugin ended. The row has no state of its own for a plugin that ran out of time;
/// its message says so.
fn end_of(record: &ScanRecord, plugin: &PluginResult) -> PluginEnd {
    if record.request.options.dry_run {
        return PluginEnd::DryRun;
    }
    let ran_out_of_time = || {
        let message = plugin.message.as_deref().unwrap_or_default().to_lowercase();
        ["timed out", "timeout"].iter().any(|word| message.contains(word))
    };
    match plugin.status.check_end() {
        PluginEnd::Failed if ran_out_of_time() => PluginEnd::TimedOut,
        end => end,
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use kastrel_actors::model::{AttemptRecord, FencingToken, PluginStatus, ScannerKind};
    use kastrel_actors::testing::fixtures;

    use super::*;

    #[test]
    fn kept_result_has_the_time_and_the_scanner_of_its_own_attempt() {
        let minute = |minute| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
        let attempt = |number: u32, begin, end, version: &str| AttemptRecord {
            number: AttemptNumber(number),
            token: FencingToken(u64::from(number) * 10),
            node: "a".parse().unwrap(),
            due: None,
            started_at: minute(begin),
            ended_at: Some(minute(end)),
            end: None,
            scanner: Some(ScannerInfo { kind: ScannerKind::Kast, version: version.into(), configuration: None }),
        };
        let mut record = fixtures::record(7, Timestamp::UNIX_EPOCH);
        record.attempts = vec![attempt(1, 10, 60, "3.0.40"), attempt(2, 90, 120, "3.0.41")];
        let plugin = |attempt: Option<u32>, ended: Option<i64>| PluginResult {
            attempt: attempt.map(AttemptNumber),
            ended_at: ended.map(minute),
            ..PluginResult::new("testssl", PluginStatus::Completed)
        };
        let at = |plugin: &PluginResult| kept_from(&record, plugin).map(|order| (order.at, order.scan, order.token));
        assert_eq!(at(&plugin(None, Some(100))), None);
        assert_eq!(at(&plugin(Some(2), Some(100))), None, "the last attempt keeps nothing of itself");
        assert_eq!(at(&plugin(Some(1), None)), Some((minute(60), 7, 10)));
        assert_eq!(at(&plugin(Some(1), Some(20))), Some((minute(20), 7, 10)), "the node died much later");
        for strange in [5, 70] {
            assert_eq!(at(&plugin(Some(1), Some(strange))), Some((minute(60), 7, 10)), "{strange}");
        }
        let versions = [None, Some(1)].map(|attempt| {
            let number = record.attempt_of(&plugin(attempt, None)).unwrap();
            version_of(record.attempt(number).unwrap())
        });
        assert_eq!(versions, ["KAST 3.0.41", "KAST 3.0.40"]);
    }
}
