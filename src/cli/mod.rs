//! The command line: its grammar, its commands, and how they show what they do.

pub mod args;
pub mod exit;
pub mod output;
pub mod text;
pub mod view;
