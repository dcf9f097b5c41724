/// A message to the dispatcher.
pub(crate) enum Message {
    /// The dispatcher's task has ended, which must not happen.
    Ended(String),
}
