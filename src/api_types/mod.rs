//! The types of the HTTP API. The server writes them, the command line reads them from a server or
//! builds them itself, and prints them with `--json`. The OpenAPI description is generated from
//! them.
//!
//! Each type is built from the nouns of the model in one constructor. Nouns whose JSON is that of
//! the API, such as [`ScannerInfo`](kastrel_actors::model::ScannerInfo), are used directly. Their
//! schema comes from the feature `openapi` of `kastrel-actors`.
//!
//! The command line reads servers of other versions as well. So a field that an earlier version did
//! not send has `#[serde(default)]`, and `#[schema(required = true)]` if every response has it now.

mod accounts;
mod audit;
mod backups;
mod clearances;
mod compare;
mod coverage;
mod device;
mod exports;
mod finding_detail;
mod finding_words;
mod findings;
mod identities;
mod links;
mod log;
mod moment;
mod nodes;
mod notes;
mod plugins;
mod problem;
mod queue;
mod reading;
mod scan_list;
mod scans;
mod server;
mod shares;
mod stats;
mod targets;
mod triage;

pub use accounts::{
    AccountBody, AccountChangeBody, AccountList, AccountParams, CreatedAccount, CreatedToken, MemberBody, MemberList,
    MemberRoleBody, NewAccountBody, NewProjectBody, NewTokenBody, PasswordLink, ProjectBody, ProjectList,
    RequestedChange, SecretText, TokenBody, TokenList, Whoami,
};
pub use audit::{AuditBody, AuditList, AuditParams, DeadLetterBody, DeadLetterList};
pub use backups::{BackupBody, BackupFailureBody, BackupsBody};
pub use clearances::{ClearanceBody, ClearanceList, NewClearanceBody};
pub use compare::{
    CompareParams, ComparedBody, ComparisonBody, ComparisonCountsBody, PluginCheckBody, ScanFindingBody,
    ScanFindingList, ScanFindingParams, ScanResultBody,
};
pub use coverage::{CoverageBody, IssuesBody};
pub use device::{DeviceCode, DeviceCodeBody, DeviceToken, NewDeviceLoginBody};
pub use exports::{FindingExportParams, ScanExportParams};
pub use finding_detail::{
    CommentBody, ConfirmationBody, DecisionBody, Explanation, FindingDetailBody, FindingLogBody, IssueFixBody,
    ProofBody,
};
pub use findings::{
    FacetBody, FacetValueBody, FindingBody, FindingGroupBody, FindingGroupList, FindingGroupParams, FindingList,
    FindingParams, NotCheckedBody, SeenBody,
};
pub use identities::{IdentityBody, NewIdentityBody};
pub use links::{CreatedPublicLink, NewPublicLinkBody, PublicLinkBody, PublicLinkList};
pub use log::LogBody;
pub use moment::{Moment, seconds};
pub use nodes::{ActorBody, ActorFailureBody, DrainBody, FaultBody, HeldBody, NodeBody, NodeList};
pub use notes::{NewFilterBody, SavedFilterBody, SavedFilterList, ScanNotesBody, SlaBody};
pub use plugins::{Catalogue, SettingBody};
pub use problem::ProblemBody;
pub use queue::{BlockerBody, PauseBody, QueueBody, WaitingBody};
pub use scan_list::{
    AcceptedScan, BatchBody, BatchItem, BatchResult, ExportItem, RerunBody, RerunChoice, ScanList, ScanListParams,
    UnreadableScan,
};
pub use scans::{
    AttemptBody, PluginBody, ReportsBody, RequestBody, ScanDetail, ScanProgress, ScanSummary, StatusBody, error_of,
};
pub use server::{Check, Proof, Readiness};
pub use shares::{NewShareBody, ShareBody, ShareList, SharedScanBody, SharedScanList, SharedScanParams, TransferBody};
pub use stats::{ChangesBody, ScanCounts, Stats};
pub use targets::{
    AssetBody, RecheckBody, TargetBody, TargetCheckBody, TargetDetailBody, TargetEditBody, TargetList, TargetParams,
};
pub use triage::{TriageBody, TriageList, TriageResultBody};
