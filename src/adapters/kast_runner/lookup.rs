//! Looks names up, with a limit of time.

use std::net::IpAddr;
use std::time::Duration;

use kastrel_actors::model::Host;

/// How long a name may take to resolve.
const LIMIT: Duration = Duration::from_secs(5);

/// Why a name has no addresses.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    /// The resolver says so.
    #[error("does not resolve: {0}")]
    Missing(std::io::Error),
    /// Its servers do not answer in time.
    #[error("did not resolve within {} s", LIMIT.as_secs())]
    Late,
}

/// The addresses that a host has now.
pub(super) async fn look_up(host: &Host) -> Result<Vec<IpAddr>, LookupError> {
    match host {
        Host::Name(name) => match tokio::time::timeout(LIMIT, tokio::net::lookup_host((name.as_str(), 0))).await {
            Ok(found) => found.map(|found| found.map(|address| address.ip()).collect()).map_err(LookupError::Missing),
            Err(_) => Err(LookupError::Late),
        },
        Host::V4(_) | Host::V6(_) => Ok(host.address().into_iter().collect()),
    }
}
