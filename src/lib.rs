//! The application: everything of Kastrel that touches the world.

pub mod adapters;
pub mod app;
pub mod backup;
pub mod cli;
pub mod config;
mod error_chain;
pub mod human_time;
pub mod server;
pub mod telemetry;
mod terminal_text;
pub mod web;
