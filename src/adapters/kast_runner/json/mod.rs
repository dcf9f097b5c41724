//! Reads JSON as Python writes it, and as crashing programs spoil it, from a stream.
//!
//! Python's `json` module writes `NaN`, `Infinity` and lone surrogates, and tools around it add
//! byte order marks, raw control characters and repeated keys. A strict parser refuses a whole
//! document for one of these, and a plugin's result is lost for one odd value. This reader degrades
//! the value alone: the caller asks for what it wants, and takes what it finds.
//!
//! - **Memory**: one buffer, and what the caller keeps. A text is kept up to the caller's bound and
//!   read to its end; a value that nobody wants is passed over.
//! - **Stack**: nesting in the document costs none; only the caller's own calls nest.
//! - **Faults**: a document that ends too early, or that is no JSON object, is a [`Fault`]. What
//!   follows the object is not read.
//!
//! No crate does this: strict ones (`serde_json`, `struson`) need a layer in front that knows where
//! texts begin and end, which is the same lexer; `serde_json` also keeps a text whole.

mod find;
mod reader;
#[cfg(test)]
mod tests;
mod text;
mod tree;
mod value;

pub(super) use find::find;
pub(super) use reader::JsonReader;
pub(super) use tree::tree;
pub(super) use value::Value;

/// Why a document cannot be read. Each completes "cannot be read: …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// It ends in the middle.
    #[error("it is truncated")]
    Truncated,
    /// It is something else.
    #[error("it holds no JSON object")]
    NoObject,
    /// It is text in another encoding.
    #[error("it is UTF-16 text, and UTF-8 was expected")]
    Utf16,
    /// It is JSON up to here.
    #[error("it is no JSON at byte {0}")]
    Malformed(u64),
    /// It is JSON, and about something else.
    #[error("it contains no result")]
    NoResult,
    /// The system does not give it.
    #[error("reading failed ({0})")]
    Io(std::io::ErrorKind),
}
