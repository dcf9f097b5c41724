//! What the plugins of one scan share: the target, its addresses resolved once, the client, and one look at the landing page.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::net::lookup_host;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use url::Url;

use crate::http::{Client, HttpError, Visit};
use crate::settings::Settings;
use crate::target::Target;

/// The landing page and the address under which the site really answers.
#[derive(Debug)]
pub struct Landing {
    /// The way to the page.
    pub visit: Visit,
}

impl Landing {
    /// The address of the page.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.visit.page().url
    }

    /// Whether the site answers over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url().scheme() == "https"
    }

    /// An address on the same origin.
    ///
    /// # Errors
    /// A readable reason, when `path` does not join.
    pub fn at(&self, path: &str) -> Result<Url, String> {
        self.url().join(path).map_err(|error| format!("{path}: {error}"))
    }
}

/// The shared part of one scan. Failures are kept like results: the second plugin that asks gets the same reason at once.
#[derive(Debug)]
pub struct Scan {
    /// What is scanned.
    pub target: Target,
    /// The settings.
    pub settings: Settings,
    /// When the scan began. Decisions about time use this, not the clock.
    pub now: Timestamp,
    addresses: OnceCell<Result<Vec<IpAddr>, String>>,
    client: OnceCell<Result<Client, HttpError>>,
    landing: OnceCell<Result<Landing, String>>,
}

impl Scan {
    /// Makes the shared part. Nothing is sent yet.
    #[must_use]
    pub fn new(target: Target, settings: Settings, now: Timestamp) -> Arc<Self> {
        Arc::new(Self { target, settings, now, addresses: OnceCell::new(), client: OnceCell::new(), landing: OnceCell::new() })
    }

    /// The target's addresses, resolved once for the whole scan: a name that changes its address between two look-ups
    /// (DNS rebinding) cannot move a later request elsewhere.
    ///
    /// # Errors
    /// A readable reason, when the name does not resolve in time.
    pub async fn addresses(&self) -> Result<&[IpAddr], String> {
        let resolved = self.addresses.get_or_init(|| async {
            if let Some(ip) = self.target.ip() {
                return Ok(vec![ip]);
            }
            let name = self.target.host().to_string();
            let limit = self.settings.connect_timeout;
            match timeout(limit, lookup_host((name.as_str(), 0))).await {
                Err(_) => Err(format!("the name {name} did not resolve within {} s", limit.as_secs())),
                Ok(Err(error)) => Err(format!("the name {name} does not resolve: {error}")),
                Ok(Ok(found)) => {
                    let mut addresses: Vec<IpAddr> = Vec::new();
                    for address in found {
                        if !addresses.contains(&address.ip()) {
                            addresses.push(address.ip());
                        }
                    }
                    if addresses.is_empty() { Err(format!("the name {name} has no address")) } else { Ok(addresses) }
                }
            }
        });
        resolved.await.as_deref().map_err(Clone::clone)
    }

    /// The client.
    ///
    /// # Errors
    /// A readable reason, when the name does not resolve or the client cannot be made.
    pub async fn client(&self) -> Result<&Client, String> {
        let addresses = self.addresses().await?;
        let made = self.client.get_or_init(|| async { Client::new(&self.target, addresses, &self.settings) }).await;
        made.as_ref().map_err(ToString::to_string)
    }

    /// The landing page: the first candidate address that gives an answer.
    ///
    /// # Errors
    /// A readable reason for each address that was tried.
    pub async fn landing(&self) -> Result<&Landing, String> {
        let client = self.client().await?;
        let found = self.landing.get_or_init(|| async {
            let mut reasons = Vec::new();
            for url in self.target.candidates() {
                match client.visit(&url).await {
                    Ok(visit) => return Ok(Landing { visit }),
                    Err(error) => reasons.push(error.to_string()),
                }
            }
            Err(reasons.join("; "))
        });
        found.await.as_ref().map_err(Clone::clone)
    }

    /// How many HTTP requests were sent so far.
    #[must_use]
    pub fn requests_sent(&self) -> u64 {
        self.client.get().and_then(|client| client.as_ref().ok()).map_or(0, Client::requests_sent)
    }
}
