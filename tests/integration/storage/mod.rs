//! Tests of the storage's guarantee: after every stop all acknowledged commands have their effect,
//! or the start is refused.

mod damage;
mod disk_faults;
mod failing_disk;
mod ledger;
mod rotation;
