//! What the plugins of one scan share: the target, its addresses resolved and checked once, the
//! client, and one look at the landing page.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use url::Url;

use crate::http::{Client, HttpError, Visit};
use crate::plugin::clip;
use crate::scope::Gate;
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

/// The shared part of one scan. Failures are kept like results: the second plugin that asks gets
/// the same reason at once.
#[derive(Debug)]
pub struct Scan {
    /// What is scanned.
    pub target: Target,
    /// The settings.
    pub settings: Settings,
    /// Where the scan may connect to.
    pub gate: Gate,
    /// When the scan began. Decisions about time use this, not the clock.
    pub now: Timestamp,
    addresses: OnceCell<Result<Vec<IpAddr>, String>>,
    client: OnceCell<Result<Client, HttpError>>,
    landing: OnceCell<Result<Landing, String>>,
}

impl Scan {
    /// Makes the shared part. Nothing is sent yet.
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

    /// The target's addresses, resolved once for the whole scan and checked against the scope
    /// policy: a name that changes its address between two look-ups (DNS rebinding) cannot move a
    /// later request elsewhere.
    ///
    /// # Errors
    /// A readable reason, when the name does not resolve in time or an address is out of scope.
    pub async fn addresses(&self) -> Result<&[IpAddr], String> {
        let resolved =
            self.addresses.get_or_init(|| self.gate.addresses(self.target.host(), self.settings.connect_timeout));
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

    /// How many HTTP requests were sent so far.
    #[must_use]
    pub fn requests_sent(&self) -> u64 {
        self.client.get().and_then(|client| client.as_ref().ok()).map_or(0, Client::requests_sent)
    }
}
