//! What the scanner offers, as far as this process knows: its own scanner's plugins, or those of
//! the nodes together.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::model::{PluginInfo, SettingNatures, SettingsSchema};

/// The offered plugins and what is known of their settings; none as long as nothing is known.
#[derive(Debug)]
pub struct Offered {
    plugins: watch::Sender<Arc<[PluginInfo]>>,
    settings: RwLock<(Arc<SettingNatures>, Option<Arc<SettingsSchema>>)>,
    /// Until when it is worth waiting for the first answer.
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
    /// The scanner is being asked, and may take so long.
    pub fn expect_within(&self, limit: Duration) {
        *self.expected_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + limit);
    }

    /// The scanner has said what it offers.
    pub fn set(&self, plugins: &[PluginInfo], settings: &SettingNatures, schema: Option<&SettingsSchema>) {
        // The settings first: a task that waits for the plugins reads both.
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) =
            (Arc::new(settings.clone()), schema.cloned().map(Arc::new));
        self.plugins.send_replace(plugins.into());
    }

    /// What it offers.
    #[must_use]
    pub fn get(&self) -> Arc<[PluginInfo]> {
        Arc::clone(&self.plugins.borrow())
    }

    /// The same, but while the first answer is expected it is waited for: neither a selection nor a
    /// setting can be judged without it.
    pub async fn first(&self) -> Arc<[PluginInfo]> {
        let until = *self.expected_until.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until.filter(|until| *until > Instant::now()) {
            let mut plugins = self.plugins.subscribe();
            // Without an answer the scanner has the last word when it starts.
            let _answered = timeout_at(until, plugins.wait_for(|plugins| !plugins.is_empty())).await;
        }
        self.get()
    }

    /// What its settings are, once a scanner is known.
    #[must_use]
    pub fn known_settings(&self) -> Option<Arc<SettingNatures>> {
        let is_known = !self.plugins.borrow().is_empty();
        is_known.then(|| self.settings())
    }

    /// What its settings are, as far as it is known.
    #[must_use]
    pub fn settings(&self) -> Arc<SettingNatures> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// What its settings take, where that is known.
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
    async fn the_first_answer_is_waited_for_while_it_is_expected() {
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
