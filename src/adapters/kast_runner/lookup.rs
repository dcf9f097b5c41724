//! Resolves host names to addresses, with a timeout.

use std::net::IpAddr;
use std::time::Duration;

use kastrel_actors::model::Host;

/// The timeout of one lookup.
const LIMIT: Duration = Duration::from_secs(5);

/// The error of a failed lookup.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    /// The resolver returned an error.
    #[error("does not resolve: {0}")]
    Missing(std::io::Error),
    /// The resolver did not respond in time.
    #[error("did not resolve within {} s", LIMIT.as_secs())]
    Late,
}

/// Returns the current addresses of a host.
pub(super) async fn look_up(host: &Host) -> Result<Vec<IpAddr>, LookupError> {
    match host {
        Host::Name(name) => match tokio::time::timeout(LIMIT, tokio::net::lookup_host((name.as_str(), 0))).await {
            Ok(found) => found.map(|found| found.map(|address| address.ip()).collect()).map_err(LookupError::Missing),
            Err(_) => Err(LookupError::Late),
        },
        Host::V4(_) | Host::V6(_) => Ok(host.address().into_iter().collect()),
    }
}
