//! Tests of the complete actor tree under paused time, with a scripted runner.
//!
//! `attempts`: how an attempt ends and what follows. `successors`: shutdown, a killed node, and the
//! node that continues. `leases`: a lost lease, a machine that slept, lost answers of the store.
//! `restarts`: failed actors. `directives`: drain, pause, stop. `placement`: nodes with different
//! scanners. `repair`: nodes with faults and failing targets.

mod attempts;
mod directives;
mod leases;
mod placement;
mod repair;
mod restarts;
mod successors;
mod support;
