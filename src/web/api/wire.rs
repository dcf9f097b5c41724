//! The JSON types that several resources of the API share. They are declared here and not in the
//! model, so that a change of the model does not change the API.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use kastrel_actors::model::{
    AttemptPhase, CancelledBy, Coverage, GapNames, HeldBack, NodeActivity, PluginKind, PluginResult, PluginStatus,
    Priority, ReportFormat, ScanMode, ScanSnapshot, ScanState, ScanStatus, ScannerInfo, ScannerKind, Severity,
    SeverityCounts,
};
use kastrel_actors::policy::waiting::{StartBlocker, Waiting};
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// A point in time, to the second, in UTC: `2025-11-07T09:00:00Z`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.0}", self.0))
    }
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(format))
            .description(Some("A point in time, to the second, in UTC."))
            .into()
    }
}

impl ToSchema for Moment {}

/// Serializes a value as its `Display` text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsText<T>(pub(crate) T);

impl<T: fmt::Display> Serialize for AsText<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Documents the names of a model enum, from the same list that serializes them.
macro_rules! names {
    ($($name:ident: $model:ty = $title:literal;)+) => { $(
        #[doc = concat!("The names of ", $title, ", for the API's description.")]
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some(<$model>::ALL.iter().map(|one| one.as_str()))).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($model).into()
            }
        }
    )+ };
}

names! {
    StatusName: ScanStatus = "a scan's states";
    PluginStatusName: PluginStatus = "a plugin's states";
    SeverityName: Severity = "severities";
    PhaseName: AttemptPhase = "the phases of an attempt";
    ModeName: ScanMode = "modes";
    FormatName: ReportFormat = "report formats";
    PriorityName: Priority = "priorities";
    CancelledByName: CancelledBy = "those who cancel";
    ScannerKindName: ScannerKind = "scanners";
    PluginKindName: PluginKind = "kinds of plugins";
    ActivityName: NodeActivity = "whether nodes take new scans";
}

/// The scanner and its version.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = Scanner)]
pub(crate) struct ScannerBody<'a> {
    /// KAST, or the small scanner in Kastrel's own binary.
    #[schema(value_type = ScannerKindName)]
    pub(crate) kind: ScannerKind,
    /// The version text of the scanner.
    pub(crate) version: &'a str,
}

impl<'a> From<&'a ScannerInfo> for ScannerBody<'a> {
    fn from(info: &'a ScannerInfo) -> Self {
        Self { kind: info.kind, version: &info.version }
    }
}

/// The number of issues of each severity.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct Severities {
    critical: u64,
    high: u64,
    medium: u64,
    low: u64,
    informational: u64,
    /// Issues whose severity the scanner's registry does not know.
    unknown: u64,
}

impl From<SeverityCounts> for Severities {
    fn from(counts: SeverityCounts) -> Self {
        let SeverityCounts { critical, high, medium, low, informational, unknown } = counts;
        Self { critical, high, medium, low, informational, unknown }
    }
}

/// The number of issues of a scan, by severity.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = Issues)]
pub(crate) struct IssuesBody {
    /// All issues.
    total: u64,
    critical: u64,
    high: u64,
    medium: u64,
    low: u64,
    informational: u64,
    /// Issues whose severity the scanner's registry does not know.
    unknown: u64,
}

impl From<SeverityCounts> for IssuesBody {
    fn from(counts: SeverityCounts) -> Self {
        let SeverityCounts { critical, high, medium, low, informational, unknown } = counts;
        Self { total: counts.total(), critical, high, medium, low, informational, unknown }
    }
}

/// The coverage of a scan: how its checks ended. A check is a plugin that the scan selected.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Coverage)]
pub(crate) struct CoverageBody {
    /// How many checks completed.
    pub(crate) ran: usize,
    /// How many checks the scan has, as far as known.
    pub(crate) total: usize,
    /// How many checks did not complete and never will. A dry run has none.
    pub(crate) gaps: usize,
    /// How many checks wait or run.
    unfinished: usize,
    /// Whether the scan had checks and all of them completed.
    complete: bool,
    /// Whether no check completed.
    nothing_checked: bool,
    /// The coverage in words: `10 of 12 checks ran`, `no checks ran`, `not run: dry run`.
    #[schema(example = "10 of 12 checks ran")]
    pub(crate) label: String,
    #[serde(flatten)]
    #[schema(schema_with = gap_names)]
    gap_names: GapNames,
    /// The plugins that the user's own selection leaves out. They are not checks of the scan.
    left_out: Vec<String>,
}

/// The description of [`GapNames`]: a list for each kind of gap.
fn gap_names() -> Object {
    let names = |status: &PluginStatus| {
        ArrayBuilder::new()
            .items(ObjectBuilder::new().schema_type(Type::String))
            .description(Some(format!("The checks that ended as `{status}`.")))
    };
    let object = Coverage::GAPS.iter().fold(ObjectBuilder::new(), |object, status| {
        object.property(status.as_str(), names(status)).required(status.as_str())
    });
    object.build()
}

impl From<Coverage> for CoverageBody {
    fn from(coverage: Coverage) -> Self {
        Self {
            ran: coverage.ran(),
            total: coverage.total(),
            gaps: coverage.gaps(),
            unfinished: coverage.unfinished().len(),
            complete: coverage.is_complete(),
            nothing_checked: coverage.nothing_checked(),
            label: coverage.label(),
            gap_names: GapNames::from(&coverage),
            left_out: coverage.left_out,
        }
    }
}

/// Returns the last known results of the plugins.
pub(crate) fn plugins_of(scan: &ScanSnapshot) -> &[PluginResult] {
    scan.last_plugins()
}

/// Returns the duration in seconds, rounded to milliseconds.
pub(crate) fn seconds(duration: SignedDuration) -> f64 {
    (duration.as_secs_f64().max(0.0) * 1000.0).round() / 1000.0
}

/// Returns why a scan failed, if it failed.
pub(crate) fn error_of(state: &ScanState) -> Option<&str> {
    match state {
        ScanState::Failed { failure, .. } => Some(&failure.detail),
        ScanState::Pending { .. }
        | ScanState::Running { .. }
        | ScanState::Completed { .. }
        | ScanState::Cancelled { .. } => None,
    }
}

/// Why a scan waits at this moment.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Waiting)]
pub(crate) struct WaitingBody {
    /// `queued` (waits for a free slot), `retry` (the last attempt failed), `held_back` (no node
    /// can start the scan now; this costs no attempt), `paused` (the queue is paused), `no_worker`,
    /// `no_capable_worker` (no worker has all plugins of the scan) or `queue_down` (the job queue
    /// is unavailable).
    pub(crate) reason: &'static str,
    /// The position in the queue of due scans, from 1; null if it is unknown or the scan waits for
    /// something else.
    position: Option<u64>,
    /// The kind of failure, interruption or missing resource.
    kind: Option<&'static str>,
    /// Details of the reason: how the last attempt failed, what is missing and what to do, or why
    /// the queue is paused.
    detail: Option<String>,
    /// The reason and its details in sentences, for people.
    text: String,
    /// The earliest start of the next attempt. For a scan that is held back: the next check, or the
    /// end of the hold.
    pub(crate) due: Moment,
}

impl WaitingBody {
    /// Returns `None` if the scan does not wait.
    pub(crate) fn of(state: &ScanState, waiting: Option<&Waiting>) -> Option<Self> {
        let (ScanState::Pending { due, .. }, Some(waiting)) = (state, waiting) else { return None };
        let position = if let Waiting::Queued { position, .. } = waiting { *position } else { None };
        Some(Self {
            reason: waiting.name(),
            position,
            kind: waiting.kind(),
            detail: waiting.detail(),
            text: waiting.to_string(),
            due: Moment(waiting.next(*due)),
        })
    }
}

/// What keeps every scan from starting.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = StartBlocker)]
pub(crate) struct BlockerBody {
    /// `paused`, `queue_down`, `no_worker` or `held_back`.
    reason: &'static str,
    /// The reason in sentences, for people.
    text: String,
    since: Option<Moment>,
    /// The next check or the end of the blocker, if known.
    until: Option<Moment>,
}

impl From<&StartBlocker> for BlockerBody {
    fn from(blocker: &StartBlocker) -> Self {
        Self {
            reason: blocker.name(),
            text: blocker.to_string(),
            since: blocker.since().map(Moment),
            until: blocker.until().map(Moment),
        }
    }
}

/// A hold: the node starts no scans for now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HeldBack)]
pub(crate) struct HeldBody<'a> {
    since: Moment,
    /// The next check, or the end of the hold if known.
    until: Moment,
    /// What is missing.
    faults: Vec<FaultBody<'a>>,
}

/// A fault: something that a node lacks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NodeFault)]
struct FaultBody<'a> {
    /// `scanner_program`, `results_folder`, `data_folder`, `open_files`, `memory` or `failures`.
    kind: &'a str,
    /// What is wrong.
    text: &'a str,
    /// What to do.
    remedy: &'a str,
}

impl<'a> From<&'a HeldBack> for HeldBody<'a> {
    fn from(held: &'a HeldBack) -> Self {
        let faults = held
            .faults
            .iter()
            .map(|fault| FaultBody { kind: fault.kind.as_str(), text: &fault.text, remedy: &fault.remedy })
            .collect();
        Self { since: Moment(held.since), until: Moment(held.until), faults }
    }
}
