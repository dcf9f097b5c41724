//! The program that the commands of Kastrel itself run.

/// This program. The path also works for a user who cannot access the program's folder.
pub(super) const OURSELVES: &str = "/proc/self/exe";
