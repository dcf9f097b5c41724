//! The parameters of exports of findings.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// The format of the export of a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ScanExportParams {
    /// The format: csv, github, json, jsonl, junit or sarif.
    #[param(pattern = "^(csv|github|json|jsonl|junit|sarif)$")]
    pub format: String,
}

/// The format of the export of findings, and which ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FindingExportParams {
    /// The format: csv, jsonl, openvex or sarif.
    #[param(pattern = "^(csv|jsonl|openvex|sarif)$")]
    pub format: String,
    /// The filter as tokens and words, as for the list of findings.
    #[param(max_length = 2000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
}
