//! The steps of a normal form.

/// The steps that led from a text to its normal form, for explanations.
pub(crate) type Steps = Vec<String>;
