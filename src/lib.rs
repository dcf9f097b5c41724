//! The application: everything of Kastrel that touches the world.

pub mod adapters;
pub mod app;
pub mod backup;
pub mod cli;
pub mod config;
pub mod connections;
pub mod descriptors;
mod error_chain;
pub mod human_time;
pub mod private;
mod sentence;
pub mod server;
pub mod server_proof;
pub mod telemetry;
mod terminal_text;
pub mod web;
