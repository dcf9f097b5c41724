/// What the dispatcher is told.
pub(crate) enum Message {
    /// Its task has ended, which it never should.
    Ended(String),
}
