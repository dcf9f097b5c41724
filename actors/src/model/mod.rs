//! The data types of Kastrel: plain data that every other module uses, without behaviour that needs
//! the outside world.

#[macro_use]
mod names;
mod account;
mod account_name;
mod actor_view;
mod answers;
mod attempt_report;
mod audit_query;
mod clearance;
mod command;
mod count;
mod coverage;
mod credential;
mod device_login;
mod dispatch;
mod event;
mod event_text;
mod finding;
mod grants;
mod idempotency_key;
mod ids;
mod issues;
mod labels;
mod list_query;
mod listing;
mod mail_address;
mod network;
mod node;
mod node_fault;
mod operation;
mod outcome;
mod passkey;
mod plugin;
mod plugin_status;
mod principal;
mod project;
mod project_filter;
mod provider_identity;
mod public_link;
mod public_link_id;
mod record;
mod request;
mod request_context;
mod roles;
mod scan_overview;
mod scan_target;
mod scanner_info;
mod seal;
mod second_factor;
mod setting_nature;
mod setting_schema;
mod setting_value;
mod share;
mod snapshot;
mod stats;
mod trace_context;

pub use account::{Account, AccountChange, AccountChanged, AccountKind, MemberChanged, NewAccount, Project};
pub use account_name::{AccountName, ParseAccountNameError};
pub use actor_view::{ActorFailure, ActorView};
pub use answers::{Deleted, Submitted};
pub use attempt_report::{AttemptReport, ExitKind, InfoFile, Remains};
pub use audit_query::{AuditCursor, AuditPage, AuditQuery, ParseAuditCursorError};
pub use clearance::{Clearance, ClearanceDraft, ClearanceLevel, HostPattern, ParseHostPatternError};
pub use command::{CancelledBy, Command, Resolution};
pub use count::{MAX_COUNT, bounded_count, grouped_count, total_count};
pub use coverage::{Coverage, GapNames};
pub use credential::{
    LinkPurpose, OneTimeLink, ParseSecretDigestError, ParseTokenIdError, SecretDigest, Session, SessionRenewal,
    SetUpResult, TokenId, TokenRecord,
};
pub use device_login::{
    DeviceDecision, DeviceLogin, DeviceLoginCreated, DeviceLoginLimits, DeviceLoginState, DevicePolls,
    DeviceTokenRequest,
};
pub use dispatch::{DueScan, RunningScan};
pub use event::{
    AuditEntry, DeadLetter, DeliveryBacklog, DomainEvent, EventError, LeasedEntries, OutboxEntry, OutboxKey,
    UnreadableEntry,
};
pub use finding::{
    FindingChanges, FindingEntry, FindingRecord, LastCheck, LogChange, MOST_LOG_ENTRIES, MOST_TARGET_ASSETS,
    OBSERVED_CHUNK, ObservedRecord, Put, SavedFilter, ScanNotes, ScanResult, SeenAsset, TargetRecord, TriageKind,
};
pub use grants::{Grants, SharedScan, TokenScope};
pub use idempotency_key::{IdempotencyKey, IdempotencyKeyError};
pub use ids::{AttemptNumber, FencingToken, NodeId, ParseNodeIdError, ScanId};
pub use issues::{IssueCollector, IssueRef, MOST_LISTED_ISSUES, Severity, SeverityCounts};
pub use labels::{AttemptOutcome, ExitClass, LeaseResult};
pub use list_query::{Cursor, ListQuery, ScanPage};
pub use listing::ScanOrder;
pub use mail_address::{MailAddress, MailRequest, MailedLink, ParseMailAddressError};
pub use names::UnknownName;
pub use network::{Network, ParseNetworkError};
pub use node::{NodeActivity, NodeLease, NodeLeaseRefused, NodeRecord, NodeRegistration, QueuePause};
pub use node_fault::{FaultKind, HeldBack, NodeFault, NodeHold, TargetHold};
pub use operation::Operation;
pub use outcome::{AttemptEnd, ClassifiedEnd, Failure, FailureKind, Interruption, ResultSummary, Verdict};
pub use passkey::{ParsePasskeyIdError, Passkey, PasskeyAddition, PasskeyId, PasskeyUse, SignedChallenge};
pub use plugin::{PluginResult, end_with_attempt};
pub use plugin_status::{PluginClass, PluginStatus, PluginText, PluginTone};
pub use principal::Principal;
pub use project::{ParseProjectIdError, ProjectId};
pub use project_filter::ProjectFilter;
pub use provider_identity::{LinkResult, LinkedIdentity, ProviderIdentity, ProviderIdentityError, ProviderSignIn};
pub use public_link::PublicLink;
pub use public_link_id::{ParsePublicLinkIdError, PublicLinkId};
pub use record::{AttemptRecord, PendingReason, ScanRecord, ScanState, ScanStatus};
pub use request::{
    ConfigOverride, DraftFields, FieldError, KeptSecret, MAX_OVERRIDES, MAX_WORKERS, NewScan, Priority, ReportFiles,
    ReportFormat, SECRET_MARK, ScanMode, ScanOptions, ScanRequest, ScanRequestDraft,
};
pub use request_context::RequestContext;
pub use roles::{ProjectRole, ServerRole};
pub use scan_overview::ScanOverview;
pub use scan_target::{Host, Scheme, Target, TargetError};
pub use scanner_info::{PluginInfo, PluginKind, ScannerInfo, ScannerKind, ScannerOffer, merge_offers};
pub use seal::{
    ChainDigest, ChainHead, EntryKey, LooseEntry, LoosePage, ParseHexError, Pruning, Seal, SealContent, SealKey,
    SealKeyId, SealSignature, SealedEntry, SealingState, StoredEntry, Unsealed,
};
pub use second_factor::{FactorChange, FactorUse, NewSecondFactor, PendingSignIn, SecondFactor, SignInEnd};
pub use setting_nature::{Lock, SettingNature, SettingNatures};
pub use setting_schema::{SettingRule, SettingsSchema, ValueKind};
pub use setting_value::{
    HIDDEN_VALUE, SettingValue, holds_a_password, is_secret_name, is_secret_value, json_texts, texts, words,
};
pub use share::{Grantee, Share, ShareCreated, ShareRight};
pub use snapshot::{AttemptPhase, ScanSnapshot};
pub use stats::{DayOutcomes, EndedFloors, PastRun, RunsLike, StoreStats};
pub use trace_context::{TraceContext, TraceContextError};
