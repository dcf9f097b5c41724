//! Tests of the runner with real processes. The fake KAST misbehaves in every known way, and no
//! test may leave a process behind.

pub(crate) mod stage;

mod cases;
mod egress;
mod ends;
mod environment;
mod escapes;
mod floods;
mod isolation;
mod leftovers;
mod real_kast;
mod remains;
mod reports;
mod results;
mod sink;
mod starts;
mod stops;
mod watchdog;
