//! Small ready-made values for tests.

mod findings;

use jiff::Timestamp;

pub use self::findings::{finding_record, observed_record, scan_order, scan_result, seen_asset, target_record};
use crate::model::{
    NewScan, NodeActivity, NodeHold, NodeId, NodeRegistration, PluginInfo, PluginKind, Principal, ProjectId,
    RequestContext, ScanId, ScanRecord, ScanRequest, ScanRequestDraft, ScannerInfo, ScannerKind, ScannerOffer,
    TraceContext,
};

/// Returns a request for a passive scan of `target`.
#[must_use]
pub fn request(target: &str) -> ScanRequest {
    ScanRequestDraft { target: target.into(), ..ScanRequestDraft::default() }.check().unwrap()
}

/// Returns a trace context that is always the same.
#[must_use]
pub fn trace() -> TraceContext {
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap()
}

/// Returns the context of an operation of Kastrel itself, in the trace [`trace`].
#[must_use]
pub fn context() -> RequestContext {
    RequestContext::system(trace())
}

/// Returns a submission of a passive scan of `target`.
#[must_use]
pub fn new_scan(target: &str) -> NewScan {
    NewScan {
        request: request(target),
        left_out: Vec::new(),
        idempotency_key: None,
        trace: trace(),
        rerun_of: None,
        submitted_by: Principal::System,
        project: ProjectId::default(),
    }
}

/// Returns a row that was just submitted at `now`.
#[must_use]
pub fn record(id: u64, now: Timestamp) -> ScanRecord {
    ScanRecord::submitted(ScanId(id), new_scan("example.com"), now)
}

/// Returns the offer of a scanner with these plugins.
#[must_use]
pub fn offer(kind: ScannerKind, plugins: &[&str]) -> ScannerOffer {
    let plugin = |name: &&str| PluginInfo {
        name: (*name).into(),
        display_name: (*name).into(),
        description: String::new(),
        kind: PluginKind::Passive,
        available: true,
        dependencies: Vec::new(),
    };
    ScannerOffer {
        scanner: ScannerInfo { kind, version: "1".into(), configuration: None },
        plugins: plugins.iter().map(plugin).collect(),
        settings: Default::default(),
        schema: None,
    }
}

/// Returns the registration of a node, with default data except for its id.
#[must_use]
pub fn registration(id: &str) -> NodeRegistration {
    NodeRegistration {
        id: id.parse::<NodeId>().unwrap(),
        host: "host".into(),
        pid: 1,
        version: "0.0.0".into(),
        capacity: 4,
        running: 0,
        started_at: Timestamp::UNIX_EPOCH,
        activity: NodeActivity::Active,
        offer: None,
        actors: None,
        hold: NodeHold::default(),
    }
}
