//! TLS of the server: reads and checks the certificate pair, watches its files, and identifies the
//! server to commands of the same data folder.

mod pair;
mod pinned;
mod reload;
mod stamps;

#[cfg(test)]
pub(crate) use pair::testing;
pub use pair::{Pair, PairError, PairFiles, Validity};
pub use pinned::{Fingerprint, client_config};
pub use reload::Reloader;
