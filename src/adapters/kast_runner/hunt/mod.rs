//! The search for the processes of attempts. There is one, because a second one that differs could
//! leave a process alive.
//!
//! - A [`ProcessTable`] is everything that a pass knows: the processes, their marks, and the members
//!   of cgroups. Only its `read` does I/O.
//! - A [`Hunt`] returns which processes of a table match its [`Criterion`]. It is pure.
//! - A [`CleanStreak`] counts passes without a find, and so decides when nothing is left.
//! - A [`Clearing`] searches for one attempt at its end, and kills.
//!
//! The callers are the [reaper](super::reaper), the [sweep](super::sweep) at boot and the
//! [watchdog](super::watchdog). They differ only in their criterion, their clock and the pause
//! between two passes.

mod clearing;
mod criterion;
mod search;
mod streak;
mod table;
#[cfg(test)]
mod tests;

pub(super) use clearing::{Cleared, Clearing, PAUSE, clear_blocking};
pub(super) use criterion::{AttemptMarks, Criterion};
pub(super) use search::Hunt;
pub(super) use streak::CleanStreak;
pub(super) use table::ProcessTable;
