//! Tests of the complete actor tree under paused time, with a scripted runner.
//!
//! `attempts`: how an attempt ends and what follows. `successors`: shutdown, a killed node, and the
//! node that continues. `leases`: a lost lease, a machine that slept, lost answers of the store.
//! `restarts`: failed actors. `directives`: drain, pause, stop. `placement`: nodes with different
//! scanners. `repair`: nodes with faults and failing targets. `keys`: the right of a submitter and
//! the clearance of a target. `resume`: what a retry runs again, and what it keeps.

mod attempts;
mod directives;
mod keys;
mod leases;
mod placement;
mod repair;
mod restarts;
mod resume;
mod successors;
mod support;
