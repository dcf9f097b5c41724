//! The tools that Kastrel offers to assistants over the Model Context Protocol (MCP): list targets,
//! submit and watch scans, read findings, triage them, compare scans.
//!
//! [`McpServer`] has the protocol and the tools. What a tool does, it does through [`ToolAccess`],
//! with the rights of one caller: the command line implements it over its backend, for `kastrel
//! mcp` on standard input and output, and the web server over the services, for `/mcp`.
//!
//! A result is the JSON of the HTTP API, bounded in size. Texts that Kastrel did not make, such as
//! those of scanned sites, are below the key `untrusted_text`: an assistant must
//! not take them for instructions.

mod access;
mod arguments;
mod bounds;
mod fault;
mod server;
#[cfg(test)]
mod tests;
mod tools;
mod untrusted;

pub use access::{FindingsWanted, Sorting, TargetsWanted, ToolAccess, Triage, TriageKind};
pub use fault::ToolFault;
pub use server::McpServer;
