//! The faults that keep a node from starting scans, as text for people.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

named_enum! {
    /// The kind of thing that a node lacks.
    pub enum FaultKind {
        /// The scanner's program is missing or not executable.
        ScannerProgram = "scanner_program",
        /// The results folder is missing, full or not writable.
        ResultsFolder = "results_folder",
        /// The data folder is missing, full or not writable.
        DataFolder = "data_folder",
        /// The process has too many open files.
        OpenFiles = "open_files",
        /// The system has no free memory, or cannot start another process.
        Memory = "memory",
        /// Too many attempts failed.
        Failures = "failures",
    }
}

/// A fault of a node: while it lasts, no scan can start there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFault {
    /// The kind of fault.
    pub kind: FaultKind,
    /// The fault; a fragment without control characters.
    pub text: String,
    /// The remedy; a fragment.
    pub remedy: String,
}

impl NodeFault {
    /// Creates a fault of `kind`.
    pub fn new(kind: FaultKind, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, text: text.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for NodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.remedy)
    }
}

/// Starts of scans are held back. The scans wait; this costs no attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// The start of the hold, by the node's clock.
    pub since: Timestamp,
    /// The next check, or the end of the hold if that is known; by the node's clock.
    pub until: Timestamp,
    /// The reasons; at least one.
    pub faults: Vec<NodeFault>,
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            write!(f, "{}{fault}", if index > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

/// The scans that a node currently does not start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeHold {
    /// A hold of all scans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<HeldBack>,
    /// Holds of the scans of single targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetHold>,
}

/// A target whose scans are currently not started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetHold {
    /// The target in its displayed form.
    pub target: String,
    /// The reason and the end of the hold.
    pub held: HeldBack,
}

impl NodeHold {
    /// Returns true if every scan may start.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.node.is_none() && self.targets.is_empty()
    }

    /// Returns the hold that keeps a scan of `target` from starting on this node.
    #[must_use]
    pub fn of(&self, target: &str) -> Option<&HeldBack> {
        self.node.as_ref().or_else(|| self.targets.iter().find(|hold| hold.target == target).map(|hold| &hold.held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NodeRegistration;
    use crate::testing::fixtures;

    fn held(text: &str) -> HeldBack {
        let faults = vec![NodeFault::new(FaultKind::ResultsFolder, text, "mount it")];
        HeldBack { since: Timestamp::UNIX_EPOCH, until: Timestamp::UNIX_EPOCH, faults }
    }

    #[test]
    fn a_node_hold_counts_for_every_target_and_a_target_hold_for_its_own() {
        let of_a = NodeHold { node: None, targets: vec![TargetHold { target: "a".into(), held: held("a fails") }] };
        let of_node = NodeHold { node: Some(held("no folder")), ..of_a.clone() };
        for (hold, target, expected) in [
            (&of_a, "a", Some("a fails (mount it)")),
            (&of_a, "b", None),
            (&of_node, "a", Some("no folder (mount it)")),
            (&of_node, "b", Some("no folder (mount it)")),
        ] {
            assert_eq!(hold.of(target).map(ToString::to_string).as_deref(), expected);
        }
        assert!(!of_a.is_empty() && NodeHold::default().is_empty());
    }

    #[test]
    fn registration_of_an_older_version_holds_nothing_back() {
        let now = fixtures::registration("a");
        let text = serde_json::to_string(&now).unwrap();
        assert!(!text.contains("hold"), "a well node says what it always said: {text}");
        assert_eq!(serde_json::from_str::<NodeRegistration>(&text).unwrap(), now);
        let held = NodeRegistration { hold: NodeHold { node: Some(held("no folder")), targets: Vec::new() }, ..now };
        assert_eq!(serde_json::from_str::<NodeRegistration>(&serde_json::to_string(&held).unwrap()).unwrap(), held);
    }
}
