//! The state of an actor, for people.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The state of one actor and of those below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorView {
    /// Its name in the tree, such as `dispatcher` or `scan-17`.
    pub name: String,
    /// What it is doing, in a word or two.
    pub state: String,
    /// Since when.
    pub since: Timestamp,
    /// How often its supervisor restarted it.
    pub restarts: u32,
    /// Why it last failed.
    pub last_failure: Option<ActorFailure>,
    /// Its children.
    pub children: Vec<ActorView>,
}

/// Why an actor failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorFailure {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}
