//! Why a text is no place.

/// The reason why a text is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceFault {
    /// The text is no address.
    #[error("it is no address")]
    NoAddress,
    /// The address has another scheme than HTTP or WebSocket.
    #[error("it is no address of the web")]
    NotWeb,
    /// The host is no name and no IP address.
    #[error("it has no valid host")]
    NoHost,
    /// The port is no number from 1 to 65535.
    #[error("it has no valid port")]
    NoPort,
    /// The text is empty.
    #[error("it is empty")]
    Empty,
}
