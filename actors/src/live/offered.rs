//! The scanner's offer, as this process knows it: the plugins of its own scanner, or the merged
//! plugins of all nodes.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::model::{PluginInfo, SettingNatures, SettingsSchema};

/// The offered plugins and the properties of their settings; empty while no offer is known.
#[derive(Debug)]
pub struct Offered {
    plugins: watch::Sender<Arc<[PluginInfo]>>,
    settings: RwLock<(Arc<SettingNatures>, Option<Arc<SettingsSchema>>)>,
    /// Until when callers wait for the first offer.
    expected_until: Mutex<Option<Instant>>,
}

impl Default for Offered {
    fn default() -> Self {
        Self {
            plugins: watch::Sender::new(Arc::default()),
            settings: RwLock::default(),
            expected_until: Mutex::default(),
        }
    }
}

impl Offered {
    /// Records that the scanner is being queried, which takes at most `limit`.
    pub fn expect_within(&self, limit: Duration) {
        *self.expected_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + limit);
    }

    /// Sets the scanner's offer.
    pub fn set(&self, plugins: &[PluginInfo], settings: &SettingNatures, schema: Option<&SettingsSchema>) {
        // The settings are set first: a task that waits for the plugins reads both.
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) =
            (Arc::new(settings.clone()), schema.cloned().map(Arc::new));
        self.plugins.send_replace(plugins.into());
    }

    /// Returns the offered plugins.
    #[must_use]
    pub fn get(&self) -> Arc<[PluginInfo]> {
        Arc::clone(&self.plugins.borrow())
    }

    /// Returns the offered plugins, and waits for the first offer while one is expected: neither a
    /// selection nor a setting can be checked without it.
    pub async fn first(&self) -> Arc<[PluginInfo]> {
        let until = *self.expected_until.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until.filter(|until| *until > Instant::now()) {
            let mut plugins = self.plugins.subscribe();
            // Without an offer, the scanner makes the final check when it starts.
            let _answered = timeout_at(until, plugins.wait_for(|plugins| !plugins.is_empty())).await;
        }
        self.get()
    }

    /// Returns the properties of the scanner's settings, once a scanner is known.
    #[must_use]
    pub fn known_settings(&self) -> Option<Arc<SettingNatures>> {
        let is_known = !self.plugins.borrow().is_empty();
        is_known.then(|| self.settings())
    }

    /// Returns the known properties of the scanner's settings.
    #[must_use]
    pub fn settings(&self) -> Arc<SettingNatures> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Returns the rules for the scanner's settings, if they are known.
    #[must_use]
    pub fn schema(&self) -> Option<Arc<SettingsSchema>> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PluginInfo, PluginKind};

    fn whatweb() -> PluginInfo {
        PluginInfo {
            name: "whatweb".into(),
            display_name: "WhatWeb".into(),
            description: String::new(),
            kind: PluginKind::Passive,
            available: true,
            dependencies: Vec::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn first_offer_is_awaited_while_it_is_expected() {
        let offered = Arc::new(Offered::default());
        let begun = Instant::now();
        assert!(offered.first().await.is_empty());
        assert_eq!(begun.elapsed(), Duration::ZERO, "nobody asked the scanner");
        offered.expect_within(Duration::from_secs(10));
        assert!(offered.first().await.is_empty());
        assert_eq!(begun.elapsed(), Duration::from_secs(10), "it does not answer");
        assert!(offered.first().await.is_empty());
        assert_eq!(begun.elapsed(), Duration::from_secs(10), "and is not waited for again");
        offered.expect_within(Duration::from_secs(10));
        let teller = Arc::clone(&offered);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            teller.set(&[whatweb()], &SettingNatures::default(), None);
        });
        assert_eq!(offered.first().await.len(), 1);
        assert_eq!(begun.elapsed(), Duration::from_secs(13));
    }
}
