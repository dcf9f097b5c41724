//! Reads an attempt's folder repeatedly, and in each pass only the files that changed.
//!
//! - `pass` is one pass while the attempt runs, with the state between two passes.
//! - `conclusion` is the last pass, which reads the results once more and decides.

mod conclusion;
mod pass;
#[cfg(test)]
mod testing;

pub(super) use conclusion::Conclusion;
pub(super) use pass::{FolderDiff, MOST_BYTES, Observer};
