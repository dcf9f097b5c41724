//! The parts of a snapshot that only the running attempt knows.

use jiff::Timestamp;

use crate::model::{AttemptPhase, PluginResult, ScanSnapshot};

/// The parts of a snapshot that an attempt may change.
#[derive(Debug)]
pub struct LiveAttempt<'a>(pub(super) &'a mut ScanSnapshot);

impl LiveAttempt<'_> {
    /// Sets the phase of the attempt's actor.
    pub fn phase(&mut self, phase: AttemptPhase) -> &mut Self {
        self.0.phase = Some(phase);
        self
    }

    /// Sets the process id.
    pub fn pid(&mut self, pid: u32) -> &mut Self {
        self.0.pid = Some(pid);
        self
    }

    /// Sets the state of the plugins.
    pub fn plugins(&mut self, plugins: Vec<PluginResult>) -> &mut Self {
        self.0.plugins = plugins;
        self
    }

    /// Sets the time of the last sign of life.
    pub fn alive(&mut self, at: Timestamp) -> &mut Self {
        self.0.last_progress_at = Some(at);
        self
    }
}
