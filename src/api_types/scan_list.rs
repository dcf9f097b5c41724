//! Lists and exports of scans, and the responses to a submission.

use kastrel_actors::model::ScanRequestDraft;
use kastrel_actors::service::RerunPlugins;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::ProblemBody;
use super::scans::{ScanDetail, ScanSummary};

/// A page of scans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScanList {
    /// The scans of the page, newest first by default.
    pub scans: Vec<ScanSummary>,
    /// The number of scans that match.
    pub total: u64,
    /// Whether more scans may match than `total`: with filters, counting is bounded.
    #[serde(default)]
    #[schema(required = true)]
    pub total_is_floor: bool,
    /// The number of pages.
    #[serde(default)]
    #[schema(required = true)]
    pub pages: u64,
    /// The number of the page, from 1.
    #[serde(default)]
    #[schema(required = true)]
    pub current_page: usize,
    /// The number of scans on a page.
    #[serde(default)]
    #[schema(required = true)]
    pub per_page: usize,
    /// The value of `before` that gets the next scans without counting pages; null after the last
    /// scan.
    #[serde(default)]
    pub next_before: Option<u64>,
    /// The value of `at` that gets the next scans, in the orders that are not by number; null after
    /// the last scan.
    #[serde(default)]
    pub next_at: Option<String>,
    /// Whether the search stopped before the page was full. A search is bounded; continue it with
    /// `next_before` (as `before` or `after`) or `next_at`.
    #[serde(default)]
    #[schema(required = true)]
    pub is_partial: bool,
    /// How many scans are left out because their rows cannot be read. The log has the reason.
    #[serde(default)]
    #[schema(required = true)]
    pub unreadable: usize,
    /// The numbers of the scans that cannot be read.
    #[serde(default)]
    #[schema(required = true)]
    pub unreadable_scans: Vec<u64>,
}

/// The filters, the order and the page of a scan list. Clients write it; the server reads the query
/// by hand, because parameters may be repeated and each wrong one is named.
#[derive(Debug, Clone, Default, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ScanListParams {
    /// The page number, from 1.
    #[param(minimum = 1, maximum = 10_000_000, default = 1)]
    pub page: Option<u32>,
    /// The number of scans on a page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub per_page: Option<u32>,
    /// Only scans in these states. Repeat the parameter, or separate the states by commas.
    #[param(
        pattern = "^ *(pending|running|completed|failed|cancelled)?( *,( *(pending|running|completed|failed|cancelled))?)* *$"
    )]
    pub status: Option<String>,
    /// Only scans of this project, which the caller must be allowed to see.
    pub project: Option<String>,
    /// Only scans whose target contains this text.
    #[param(max_length = 280)]
    pub target: Option<String>,
    /// Only scans of this mode.
    #[param(pattern = "^ *(passive|active|both)? *$")]
    pub mode: Option<String>,
    /// Only scans in which this plugin has results: collected items or issues. Not case-sensitive.
    #[param(max_length = 280)]
    pub plugin: Option<String>,
    /// Only scans that have ended with an issue of this severity or worse.
    #[param(pattern = "^ *(critical|high|medium|low|informational|unknown)? *$")]
    pub min_severity: Option<String>,
    /// Only scans with exactly this tag.
    #[param(max_length = 280)]
    pub tag: Option<String>,
    /// Only scans that were accepted on this day or later, or from this moment on.
    #[param(
        pattern = "^ *(([012][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([012][0-9](0[48]|[2468][048]|[13579][26])|(0[048]|1[26]|2[048])00)-02-29)(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?)? *$"
    )]
    pub from: Option<String>,
    /// Only scans that were accepted on this day or earlier, or before this moment.
    #[param(
        pattern = "^ *(([012][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([012][0-9](0[48]|[2468][048]|[13579][26])|(0[048]|1[26]|2[048])00)-02-29)(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?)? *$"
    )]
    pub to: Option<String>,
    /// The time zone of the days, such as Europe/Berlin. Default: UTC.
    pub zone: Option<String>,
    /// The order: newest (default), oldest, target, longest, findings or worst.
    #[param(pattern = "^ *(newest|oldest|target|longest|findings|worst)? *$")]
    pub sort: Option<String>,
    /// Only scans with a number below this one. New scans do not shift such a page.
    pub before: Option<u64>,
    /// Only scans with a number above this one.
    pub after: Option<u64>,
    /// Where the page begins, in the orders that are not by number: the `next_at` of the previous
    /// page.
    #[param(pattern = "^(.{0,280}~[0-9]{1,18})?$")]
    pub at: Option<String>,
}

/// An item of an export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ExportItem {
    /// A scan, as in the list.
    Scan(Box<ScanSummary>),
    /// A scan whose row cannot be read.
    Unreadable(UnreadableScan),
}

/// The entry of a scan whose row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnreadableScan {
    /// The scan's number.
    pub scan_id: u64,
    /// Always `true`: the row cannot be read, and the log has the reason.
    pub unreadable: bool,
}

/// An accepted scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AcceptedScan {
    /// The scan.
    #[serde(flatten)]
    #[schema(inline)]
    pub scan: ScanDetail,
    /// All warnings in one line, such as that a selected plugin is left out, that the queue does
    /// not respond or is paused, or that no worker takes scans.
    #[serde(default)]
    pub warning: Option<String>,
    /// The warnings one by one; empty if no plugin is left out and nothing keeps the scan from
    /// starting.
    #[serde(default)]
    #[schema(required = true)]
    pub warnings: Vec<String>,
}

/// The scans of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Batch)]
pub struct BatchBody {
    /// 1 to 500 scans. All are checked before the first one is stored.
    #[schema(min_items = 1, max_items = 500)]
    pub scans: Vec<ScanRequestDraft>,
}

/// The results of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BatchResult {
    /// How many scans are accepted and stored.
    pub accepted: usize,
    /// The result of each scan, in the order of the request.
    pub scans: Vec<BatchItem>,
}

/// The result of one scan of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BatchItem {
    /// The target, as submitted.
    pub target: String,
    /// The scan's number; null if it was not accepted.
    pub scan_id: Option<u64>,
    /// Whether this request created the scan. False if it was not accepted, or if an earlier
    /// request with the same idempotency key created it.
    pub created: bool,
    /// The warnings, as in the response to a single submission.
    pub warnings: Vec<String>,
    /// Why the scan was not accepted; null if it was.
    pub problem: Option<ProblemBody>,
}

/// The options of a rerun, besides those of the repeated scan.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = Rerun)]
pub struct RerunBody {
    /// Confirms that you have permission to run active plugins against the target. Required at each
    /// rerun of a scan in mode active or both.
    #[schema(required = false, default = false)]
    pub confirm_active: bool,
    /// Which plugins of the scan run once more, with all that they depend on.
    #[schema(required = false)]
    pub plugins: RerunChoice,
}

/// Which plugins a rerun has.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RerunChoice {
    /// All plugins of the scan.
    #[default]
    All,
    /// The plugins without a result: they failed, were interrupted or not run, or the tool that
    /// they missed is installed now.
    Failed,
}

impl From<RerunChoice> for RerunPlugins {
    fn from(choice: RerunChoice) -> Self {
        match choice {
            RerunChoice::All => Self::All,
            RerunChoice::Failed => Self::Failed,
        }
    }
}
