//! The target of a scan: a typed host with optional port, or an http(s) URL of one. Never free
//! text.
//!
//! - `host` has the parts of a target, `value` the target itself, and `error` the reasons why a
//!   text is not a target.
//! - `parse` parses a text; `authority` parses its host and port, `number` an IPv4 address, and
//!   `range` detects texts that mean more than one address or port.

mod authority;
mod error;
mod host;
mod number;
mod parse;
mod range;
mod value;

pub use error::TargetError;
pub use host::{Host, Scheme};
pub use value::Target;
