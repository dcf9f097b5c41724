//! The state of a process: its readiness, and the proof that it is the server of a data folder.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The readiness of the process, with its checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether the process can do its work.
    pub ready: bool,
    /// The results of the checks.
    pub checks: Vec<Check>,
}

/// A check of one thing that the process needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// The name of the check.
    pub name: String,
    /// Whether the check passed.
    pub ok: bool,
    /// Whether the process is not ready if this check fails. The queue is not required: without it,
    /// the process still accepts scans, and they start when the queue is back.
    #[serde(default)]
    #[schema(required = true)]
    pub required: bool,
    /// What is wrong, or the current state.
    pub detail: String,
}

/// The response to a challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Proof {
    /// HMAC-SHA256 of the challenge and the server's address, with the key of the data folder.
    pub proof: String,
}
