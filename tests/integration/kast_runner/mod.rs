//! The runner against real processes: the fake KAST plays every bad behaviour, and no test may
//! leave a process behind.

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
