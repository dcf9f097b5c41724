//! The Kastrel application: adapters, configuration, command line and web server.

pub mod adapters;
pub mod api_types;
pub mod app;
pub mod backup;
pub mod cli;
pub mod config;
pub mod connections;
pub mod cookies;
pub mod descriptors;
mod error_chain;
pub mod exports;
pub mod human_time;
pub mod identity;
pub mod mcp;
mod node_fault;
pub mod ports;
pub mod private;
mod sentence;
pub mod server;
pub mod server_proof;
pub mod service;
mod shell;
pub mod telemetry;
mod terminal_text;
pub mod tls;
pub mod web;
