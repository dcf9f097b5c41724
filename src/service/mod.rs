//! The application services: operations that need a port of the application besides those of the
//! orchestration. Web and command line use them like the services of `kastrel_actors::service`.

mod deletion;

pub use deletion::{DeletionError, DeletionOutcome, DeletionService};
