/// A message to the relay.
pub(crate) enum Message {
    /// The actor's task has ended, which must not happen.
    Ended(String),
}
