//! The coverage and the issues of a scan.
#![expect(unused_qualifications, reason = "the derive of a schema qualifies the type of an inlined field")]

use kastrel_actors::model::{Coverage, GapNames, PluginStatus, SeverityCounts};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, Type};

/// The coverage of a scan: how its checks ended. A check is a plugin that the scan selected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Coverage)]
pub struct CoverageBody {
    /// How many checks completed.
    pub ran: usize,
    /// How many checks the scan has, as far as known.
    pub total: usize,
    /// How many checks did not complete and never will. A dry run has none.
    pub gaps: usize,
    /// How many checks wait or run.
    #[serde(default)]
    #[schema(required = true)]
    pub unfinished: usize,
    /// Whether the scan had checks and all of them completed.
    #[serde(default)]
    #[schema(required = true)]
    pub complete: bool,
    /// Whether no check completed.
    #[serde(default)]
    #[schema(required = true)]
    pub nothing_checked: bool,
    /// The coverage in words: `10 of 12 checks ran`, `no checks ran`, `not run: dry run`.
    #[serde(default)]
    #[schema(required = true, example = "10 of 12 checks ran")]
    pub label: String,
    /// The checks of each kind of gap.
    #[serde(flatten)]
    #[schema(schema_with = gap_names)]
    pub gap_names: GapNames,
    /// The plugins that the user's own selection leaves out. They are not checks of the scan.
    #[serde(default)]
    #[schema(required = true)]
    pub left_out: Vec<String>,
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

impl CoverageBody {
    /// Returns the checks that did not complete, by cause in words.
    pub fn causes(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        Coverage::GAPS.iter().map(|status| (status.text().cause, self.gap_names.of(*status)))
    }
}

/// The number of issues of a scan, by severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Issues)]
pub struct IssuesBody {
    /// All issues.
    pub total: u64,
    /// The issues of each severity.
    #[serde(flatten)]
    #[schema(inline)]
    pub by_severity: SeverityCounts,
}

impl From<SeverityCounts> for IssuesBody {
    fn from(counts: SeverityCounts) -> Self {
        Self { total: counts.total(), by_severity: counts }
    }
}
