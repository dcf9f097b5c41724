//! Detects which protocol versions and cipher suites a server accepts, from SSL 3.0 to TLS 1.3.
//!
//! rustls supports only modern suites. So this module writes the ClientHello itself (RFC 5246,
//! 7.4.1.2; RFC 8446, 4.1.2) and reads the server's first flight. It never completes the handshake.
//! A server that answers with an alert speaks TLS and refuses the offer.
//!
//! - `version` and `suite` are what is detected; `suites` is the table of all suites.
//! - `hello` writes the ClientHello, `flight` splits the bytes of a server into messages, and
//!   `answer` classifies them.
//! - `probe` sends hellos to a server, and `survey` is the result for one version.

mod answer;
mod flight;
mod hello;
mod probe;
mod suite;
mod suites;
mod survey;
#[cfg(test)]
mod testing;
mod version;

pub use answer::{Agreement, Answer, read_answer};
pub use hello::client_hello;
pub use probe::Probe;
pub use suite::Suite;
pub use survey::{End, Survey};
pub use version::Version;
