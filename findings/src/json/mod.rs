//! A bounded JSON tree that tolerates the output of Python and of crashed programs.
//!
//! Python's `json` module writes `NaN` and lone surrogates, and tools around it add byte order
//! marks, raw control characters and repeated keys. A strict parser rejects a complete document for
//! one of these, so one odd value would lose the findings of a plugin. Here the odd value alone
//! suffers.
//!
//! - **Memory**: the [limits](crate::limits) bound values and texts. What is beyond them is skipped
//!   and counted in [`Cuts`].
//! - **Time**: one pass over the bytes.
//! - **Stack**: nesting beyond the limit is skipped without recursion.
//! - **Numbers** stay text, so no number is out of range.
//! - **Repeated keys**: the last one counts, as in Python.

mod fault;
mod node;
mod parse;
#[cfg(test)]
mod tests;

pub use fault::{Cuts, Fault};
pub use node::{Members, Node};
pub use parse::parse;
