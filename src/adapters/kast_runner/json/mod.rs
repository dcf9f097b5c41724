//! A streaming JSON reader that tolerates the output of Python and of crashed programs.
//!
//! Python's `json` module writes `NaN`, `Infinity` and lone surrogates. Tools around it add byte
//! order marks, raw control characters and repeated keys. A strict parser rejects a complete
//! document for one of these, so one odd value loses a plugin's result. This reader degrades only
//! the odd value: the caller requests the values it needs, and skips the others.
//!
//! - **Memory**: one buffer, plus the values that the caller keeps. A text is kept up to the
//!   caller's limit and read to its end; other values are skipped.
//! - **Stack**: nesting in the document uses no stack; only the caller's own calls nest.
//! - **Faults**: a document that is truncated or is not a JSON object is a [`Fault`]. The reader
//!   does not read beyond the end of the object.
//!
//! No crate does this. Strict parsers (`serde_json`, `struson`) would need a layer in front that
//! finds the bounds of texts, which is the same lexer. Also, `serde_json` keeps texts completely in
//! memory.

mod fault;
mod find;
mod reader;
#[cfg(test)]
mod tests;
mod text;
mod tree;
mod value;

pub(super) use fault::Fault;
pub(super) use find::find;
pub(super) use reader::JsonReader;
pub(super) use tree::tree;
pub(super) use value::Value;
