//! The runner against real processes: the fake KAST plays every bad behaviour, and no test may leave a process behind.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "kast_runner/stage.rs"]
mod stage;

#[path = "kast_runner/ends.rs"]
mod ends;
#[path = "kast_runner/environment.rs"]
mod environment;
#[path = "kast_runner/floods.rs"]
mod floods;
#[path = "kast_runner/leftovers.rs"]
mod leftovers;
#[path = "kast_runner/real_kast.rs"]
mod real_kast;
#[path = "kast_runner/results.rs"]
mod results;
#[path = "kast_runner/starts.rs"]
mod starts;
#[path = "kast_runner/stops.rs"]
mod stops;
