//! The command line: its grammar, its commands, and how they show what they do.

pub mod args;
pub mod backend;
pub mod error;
pub mod exit;
pub mod output;
pub mod progress;
pub mod summary;
pub mod table;
pub mod text;
pub mod view;
