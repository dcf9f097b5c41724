/// A message to the health actor.
pub(crate) enum Message {
    /// The actor's task has ended, which must not happen.
    Ended(String),
}
