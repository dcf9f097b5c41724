//! The state that the plugins of one scan share: the target, its addresses resolved and checked
//! once, the client, and one visit of the landing page.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use url::Url;

use crate::http::{Client, HttpError, Visit};
use crate::scope::Gate;
use crate::settings::Settings;
use crate::target::Target;
use crate::text::clip;

/// The landing page and its final address.
#[derive(Debug)]
pub struct Landing {
    /// The redirects to the page, and the page.
    pub visit: Visit,
}

impl Landing {
    /// Returns the address of the page.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.visit.page().url
    }

    /// Returns true if the site answers over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url().scheme() == "https"
    }

    /// Returns an address on the same origin.
    ///
    /// # Errors
    /// Returns a readable reason if `path` cannot be joined.
    pub fn at(&self, path: &str) -> Result<Url, String> {
        self.url().join(path).map_err(|error| format!("{path}: {error}"))
    }
}

/// The shared part of one scan. Failures are cached like results, so a second plugin gets the same
/// reason immediately.
#[derive(Debug)]
pub struct Scan {
    /// The target.
    pub target: Target,
    /// The settings.
    pub settings: Settings,
    /// The addresses that the scan may connect to.
    pub gate: Gate,
    /// The start of the scan. Decisions about time use this, not the clock.
    pub now: Timestamp,
    addresses: OnceCell<Result<Vec<IpAddr>, String>>,
    client: OnceCell<Result<Client, HttpError>>,
    landing: OnceCell<Result<Landing, String>>,
}

impl Scan {
    /// Creates the shared part. It sends nothing yet.
    #[must_use]
    pub fn new(target: Target, settings: Settings, gate: Gate, now: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            target,
            settings,
            gate,
            now,
            addresses: OnceCell::new(),
            client: OnceCell::new(),
            landing: OnceCell::new(),
        })
    }

    /// Returns the target's addresses. They are resolved once per scan and checked against the
    /// scope policy. A name that changes its address between two lookups (DNS rebinding) therefore
    /// cannot redirect a later request.
    ///
    /// # Errors
    /// Returns a readable reason if the name does not resolve in time or an address is out of
    /// scope.
    pub async fn addresses(&self) -> Result<&[IpAddr], String> {
        let resolved =
            self.addresses.get_or_init(|| self.gate.addresses(self.target.host(), self.settings.connect_timeout));
        resolved.await.as_deref().map_err(Clone::clone)
    }

    /// Returns the HTTP client.
    ///
    /// # Errors
    /// Returns a readable reason if the name does not resolve or the client cannot be created.
    pub async fn client(&self) -> Result<&Client, String> {
        let addresses = self.addresses().await?;
        let made = self.client.get_or_init(|| async { Client::new(&self.target, addresses, &self.settings) }).await;
        made.as_ref().map_err(ToString::to_string)
    }

    /// Returns the landing page: the first candidate address that returns a response.
    ///
    /// # Errors
    /// Returns a readable reason for each address that was tried.
    pub async fn landing(&self) -> Result<&Landing, String> {
        let client = self.client().await?;
        // Each request has its limit, but a chain of slow redirects could use up the time of every
        // plugin.
        let limit = (self.settings.request_timeout * 3).min(self.settings.plugin_timeout / 2);
        let found = self.landing.get_or_init(|| async {
            let mut reasons = Vec::new();
            let search = async {
                for url in self.target.candidates() {
                    match client.visit(&url).await {
                        Ok(visit) => return Some(Landing { visit }),
                        Err(error) => reasons.push(clip(&error.to_string(), 500)),
                    }
                }
                None
            };
            let found = timeout(limit, search).await;
            if found.is_err() {
                reasons.push(format!("the landing page did not arrive within {} s", limit.as_secs()));
            }
            found.ok().flatten().ok_or_else(|| reasons.join("; "))
        });
        found.await.as_ref().map_err(Clone::clone)
    }

    /// Returns the number of HTTP requests sent so far.
    #[must_use]
    pub fn requests_sent(&self) -> u64 {
        self.client.get().and_then(|client| client.as_ref().ok()).map_or(0, Client::requests_sent)
    }
}
