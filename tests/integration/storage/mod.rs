//! The promise of the storage: what was acknowledged is there after every stop, or the start is
//! refused.

mod damage;
mod disk_faults;
mod failing_disk;
mod ledger;
mod rotation;
