//! The application services: operations that need a port of the application besides those of the
//! orchestration. Web and command line use them like the services of `kastrel_actors::service`.

pub mod access;
mod deletion;
pub mod findings;

pub use deletion::{DeletionError, DeletionOutcome, DeletionService};
