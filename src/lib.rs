//! The application: everything of Kastrel that touches the world.

pub mod adapters;
pub mod cli;
pub mod config;
pub mod web;
