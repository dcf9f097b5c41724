//! The state of an actor, for display.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The state of one actor and of its children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorView {
    /// Its name in the tree, such as `dispatcher` or `scan-17`.
    pub name: String,
    /// What it is doing, in one or two words.
    pub state: String,
    /// The time since which it is in this state.
    pub since: Timestamp,
    /// How often its supervisor restarted it.
    pub restarts: u32,
    /// Its last failure.
    pub last_failure: Option<ActorFailure>,
    /// Its children.
    pub children: Vec<ActorView>,
}

/// The failure of an actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorFailure {
    /// The time of the failure.
    pub at: Timestamp,
    /// The reason.
    pub reason: String,
}
