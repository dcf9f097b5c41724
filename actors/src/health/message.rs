/// What the health actor is told.
pub(crate) enum Message {
    /// Its task has ended, which it never should.
    Ended(String),
}
