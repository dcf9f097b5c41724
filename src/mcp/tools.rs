//! The tools: their descriptions, and what each does.

use std::time::Duration;

use kastrel_actors::model::{FieldError, ScanId, ScanStatus};
use kastrel_findings::identity::{FindingId, TargetId};
use rmcp::handler::server::common::schema_for_type;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

use super::access::ToolAccess;
use super::arguments::{
    CompareScans, GetFinding, GetScan, GetTarget, ListFindings, ListTargets, SubmitScan, TriageFinding, WaitForScan,
    id, read,
};
use super::fault::ToolFault;

/// The fields of a scan that an assistant needs. The page of the scan has the others.
const OF_SCAN: [&str; 16] = [
    "attempt",
    "completed_at",
    "coverage",
    "created_at",
    "dry_run",
    "error_message",
    "issues",
    "mode",
    "phase",
    "project",
    "results",
    "scan_id",
    "started_at",
    "status",
    "target",
    "waiting",
];

/// A tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToolName {
    ListTargets,
    GetTarget,
    SubmitScan,
    GetScan,
    WaitForScan,
    ListFindings,
    GetFinding,
    TriageFinding,
    CompareScans,
}

/// What a tool does to Kastrel and to the scanned sites.
enum Effect {
    /// It reads.
    Reads,
    /// It starts a scan, which sends requests to a target.
    Scans,
    /// It changes a decision of a person.
    Decides,
}

impl ToolName {
    pub(super) const ALL: [Self; 9] = [
        Self::ListTargets,
        Self::GetTarget,
        Self::SubmitScan,
        Self::GetScan,
        Self::WaitForScan,
        Self::ListFindings,
        Self::GetFinding,
        Self::TriageFinding,
        Self::CompareScans,
    ];

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ListTargets => "list_targets",
            Self::GetTarget => "get_target",
            Self::SubmitScan => "submit_scan",
            Self::GetScan => "get_scan",
            Self::WaitForScan => "wait_for_scan",
            Self::ListFindings => "list_findings",
            Self::GetFinding => "get_finding",
            Self::TriageFinding => "triage_finding",
            Self::CompareScans => "compare_scans",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::ListTargets => "List targets",
            Self::GetTarget => "Show a target",
            Self::SubmitScan => "Submit a scan",
            Self::GetScan => "Show a scan",
            Self::WaitForScan => "Wait for a scan",
            Self::ListFindings => "List findings",
            Self::GetFinding => "Show a finding",
            Self::TriageFinding => "Triage a finding",
            Self::CompareScans => "Compare two scans",
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::ListTargets => {
                "Lists the targets that you may see, those with the worst open findings first, with their numbers of open findings by severity."
            }
            Self::GetTarget => {
                "Shows a target: its open findings by severity, its newest scans, what each plugin checked last, its assets, tags and notes."
            }
            Self::SubmitScan => {
                "Submits a scan of a target and returns its number at once. The scan sends requests to the target. Call wait_for_scan next."
            }
            Self::GetScan => {
                "Shows a scan: its state, its plugins with their states and issues, and its coverage: which checks ran to their end."
            }
            Self::WaitForScan => {
                "Waits until a scan has ended, for a limited time. `has_ended` says whether it has; if not, call it again."
            }
            Self::ListFindings => {
                "Lists findings over all targets that you may see, or issues with their numbers of findings. The total and the facets count all matches, also those that the page does not have."
            }
            Self::GetFinding => {
                "Shows a finding: what it is, where, its evidence, what to do, its state, who decided what, and which scans saw it."
            }
            Self::TriageFinding => {
                "Changes what people have decided about a finding: confirm it, mark it as a false positive (needs a reason), accept its risk until a day (needs a reason, an owner and an end), withdraw that, or assign it. Everybody who sees the finding sees the decision, with your account and the reason."
            }
            Self::CompareScans => {
                "Compares two scans of one target: new findings, fixed ones with their proof, unchanged ones, and those that the later scan did not check. `counts` has the number of each, also where a list is cut."
            }
        }
    }

    const fn effect(self) -> Effect {
        match self {
            Self::ListTargets
            | Self::GetTarget
            | Self::GetScan
            | Self::WaitForScan
            | Self::ListFindings
            | Self::GetFinding
            | Self::CompareScans => Effect::Reads,
            Self::SubmitScan => Effect::Scans,
            Self::TriageFinding => Effect::Decides,
        }
    }

    fn annotations(self) -> ToolAnnotations {
        let title = ToolAnnotations::with_title(self.title());
        match self.effect() {
            Effect::Reads => title.read_only(true).open_world(false),
            Effect::Scans => title.read_only(false).destructive(false).idempotent(false).open_world(true),
            Effect::Decides => title.read_only(false).destructive(true).idempotent(false).open_world(false),
        }
    }

    fn schema(self) -> JsonObject {
        let schema = match self {
            Self::ListTargets => schema_for_type::<ListTargets>(),
            Self::GetTarget => schema_for_type::<GetTarget>(),
            Self::SubmitScan => schema_for_type::<SubmitScan>(),
            Self::GetScan => schema_for_type::<GetScan>(),
            Self::WaitForScan => schema_for_type::<WaitForScan>(),
            Self::ListFindings => schema_for_type::<ListFindings>(),
            Self::GetFinding => schema_for_type::<GetFinding>(),
            Self::TriageFinding => schema_for_type::<TriageFinding>(),
            Self::CompareScans => schema_for_type::<CompareScans>(),
        };
        let mut schema = schema.as_ref().clone();
        // The name and the comment of the Rust type say nothing to a client.
        schema.remove("title");
        schema.remove("description");
        schema
    }
}

/// Returns all tools.
pub(super) fn all() -> Vec<Tool> {
    ToolName::ALL.into_iter().map(tool).collect()
}

/// Returns the description of a tool.
pub(super) fn tool(name: ToolName) -> Tool {
    Tool::new(name.name(), name.description(), name.schema())
        .with_title(name.title())
        .with_annotations(name.annotations())
}

/// Calls a tool. Returns its document, which is neither bounded nor marked yet. A fault names the
/// arguments of the tool.
pub(super) async fn call(
    access: &dyn ToolAccess,
    name: ToolName,
    arguments: Option<JsonObject>,
) -> Result<Value, ToolFault> {
    done(access, name, arguments).await.map_err(|fault| match fault {
        ToolFault::Invalid(errors) => {
            ToolFault::Invalid(errors.into_iter().map(|error| renamed(name, error)).collect())
        }
        other => other,
    })
}

/// Returns the error of a field with the name that its argument has in the tool.
fn renamed(name: ToolName, error: FieldError) -> FieldError {
    let field = match (name, error.field.as_str()) {
        (ToolName::ListFindings, "q") => "filter",
        (ToolName::ListTargets, "q") => "words",
        (ToolName::ListTargets, "tag") => "tags",
        (ToolName::CompareScans, "with") => "earlier",
        (ToolName::TriageFinding, "ids" | "ids[0]") => "id",
        _ => return error,
    };
    FieldError::new(field, error.message)
}

async fn done(access: &dyn ToolAccess, name: ToolName, arguments: Option<JsonObject>) -> Result<Value, ToolFault> {
    match name {
        ToolName::ListTargets => {
            let wanted = read::<ListTargets>(arguments)?.wanted()?;
            Ok(page(access.targets(&wanted).await?, wanted.skip))
        }
        ToolName::GetTarget => {
            let id: TargetId = id(&read::<GetTarget>(arguments)?.id)?;
            access.target(id).await?.ok_or_else(|| ToolFault::missing(format_args!("target {id}")))
        }
        ToolName::SubmitScan => {
            let (scan, warning) = access.submit(&read::<SubmitScan>(arguments)?.draft()).await?;
            Ok(json!({ "scan": scan, "warning": warning }))
        }
        ToolName::GetScan => {
            let id = read::<GetScan>(arguments)?.scan()?;
            found(id, access.scan(id).await?)
        }
        ToolName::WaitForScan => {
            let wanted: WaitForScan = read(arguments)?;
            let (id, seconds) = (wanted.scan()?, wanted.seconds()?);
            let at_most = Duration::from_secs(seconds.into()).min(access.longest_wait());
            found(id, access.wait(id, at_most).await?)
        }
        ToolName::ListFindings => {
            let wanted = read::<ListFindings>(arguments)?.wanted()?;
            Ok(page(access.findings(&wanted).await?, wanted.skip))
        }
        ToolName::GetFinding => {
            let id: FindingId = id(&read::<GetFinding>(arguments)?.id)?;
            access.finding(id).await?.ok_or_else(|| ToolFault::missing(format_args!("finding {id}")))
        }
        ToolName::TriageFinding => {
            let wanted: TriageFinding = read(arguments)?;
            let id: FindingId = id(&wanted.id)?;
            access.triage(id, &wanted.triage()).await
        }
        ToolName::CompareScans => {
            let (earlier, later) = read::<CompareScans>(arguments)?.scans()?;
            let compared = access.compare(earlier, later).await?;
            compared.ok_or_else(|| match earlier {
                Some(_) => ToolFault::missing("such pair of scans"),
                None => {
                    ToolFault::missing(format_args!("earlier scan of the target of scan {later}, or no scan {later}"))
                }
            })
        }
    }
}

/// Returns the document of a page, with the number of rows before it.
fn page(mut document: Value, skip: u32) -> Value {
    if let Some(fields) = document.as_object_mut() {
        fields.insert("skip".into(), Value::from(skip));
    }
    document
}

/// Returns the document of a scan.
fn found(id: ScanId, scan: Option<Value>) -> Result<Value, ToolFault> {
    let scan = scan.ok_or_else(|| ToolFault::missing(format_args!("scan {id}")))?;
    let mut fields: Map<String, Value> =
        OF_SCAN.iter().filter_map(|name| Some(((*name).to_owned(), scan.get(*name)?.clone()))).collect();
    let status = scan.get("status").and_then(Value::as_str).and_then(|status| status.parse::<ScanStatus>().ok());
    fields.insert("has_ended".into(), Value::Bool(status.is_some_and(ScanStatus::is_terminal)));
    Ok(Value::Object(fields))
}
