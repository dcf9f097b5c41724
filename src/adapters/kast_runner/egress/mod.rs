//! The egress limit: an own network for each attempt, in which only the target's addresses, the
//! resolvers and explicitly allowed addresses are reachable.
//!
//! Kastrel checks the addresses of a target before a scan starts, but KAST and its tools resolve
//! the names again. With the limit, the result of a later lookup does not matter: between the
//! scanner and the outside is a router in a network of its own, which has no route to unchecked
//! addresses. [pasta](https://passt.top) connects the router to the outside: it forwards the
//! traffic of the network with its own sockets. It needs only rights over the new network, and does
//! not change the machine's network.
//!
//! - [`network`] decides what is reachable, and generates the routes, names and resolvers. It does
//!   not touch the system.
//! - [`addresses`] resolves the hosts for that decision.
//! - [`enter`] is the process that creates the network, enters it and executes the scanner.
//! - [`trial`] checks before the first scan whether this machine supports the limit.

mod addresses;
mod enter;
mod limit;
mod network;
mod tools;
mod trial;

pub(super) use addresses::reachable;
pub(super) use enter::{COMMAND, RUN};
pub use enter::{network_arguments, network_main};
pub use limit::EgressLimit;
pub(super) use network::{Network, Resolved};
pub(super) use tools::{Tools, is_connection};
pub(super) use trial::{holds, prepare};
