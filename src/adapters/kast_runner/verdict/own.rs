//! The result of a plugin by its own file.

use jiff::Timestamp;
use kastrel_actors::model::{PluginResult, PluginStatus};

/// How certain the end of a plugin is, by its own file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::adapters::kast_runner) enum Sureness {
    /// The file does not state it; KAST's word counts.
    Guessed,
    /// The file states it.
    Stated,
    /// The file is unreadable, so the plugin's findings are unknown.
    Unreadable,
}

/// Whether the target responded to a plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::adapters::kast_runner) enum Reach {
    /// The result does not show it.
    #[default]
    Unknown,
    /// The target responded.
    Reached,
    /// The target did not respond.
    Unreached,
}

/// A plugin's own result.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::adapters::kast_runner) struct Own {
    /// The state, issues and message.
    pub(in crate::adapters::kast_runner) result: PluginResult,
    /// How certain the state is.
    pub(in crate::adapters::kast_runner) sureness: Sureness,
    /// The reason of the failure, if stated.
    pub(in crate::adapters::kast_runner) error: Option<String>,
    /// Whether the target responded.
    pub(in crate::adapters::kast_runner) reach: Reach,
    /// The time at which the file was written. The plugin did not end later.
    pub(in crate::adapters::kast_runner) written: Option<Timestamp>,
}

impl Own {
    /// Creates a result with the given certainty.
    pub(in crate::adapters::kast_runner) const fn new(
        result: PluginResult,
        sureness: Sureness,
        error: Option<String>,
    ) -> Self {
        Self { result, sureness, error, reach: Reach::Unknown, written: None }
    }

    /// The result of a plugin with an unreadable file. `problem` completes "Result file cannot be
    /// read: …".
    pub(in crate::adapters::kast_runner) fn unreadable(name: &str, problem: impl std::fmt::Display) -> Self {
        let error = format!("Result file cannot be read: {problem}");
        let result = PluginResult { message: Some(error.clone()), ..PluginResult::new(name, PluginStatus::Failed) };
        Self::new(result, Sureness::Unreadable, Some(error))
    }
}
