//! What the scanner offers, as far as this process knows: its own scanner's plugins, or those of the nodes together.

use std::sync::{Arc, PoisonError, RwLock};

use crate::model::{PluginInfo, SettingNatures};

/// The offered plugins and what is known of their settings; none as long as nothing is known.
#[derive(Debug, Default)]
pub struct Offered {
    plugins: RwLock<Arc<[PluginInfo]>>,
    settings: RwLock<Arc<SettingNatures>>,
}

impl Offered {
    /// The scanner has said what it offers.
    pub fn set(&self, plugins: &[PluginInfo], settings: &SettingNatures) {
        *self.plugins.write().unwrap_or_else(PoisonError::into_inner) = plugins.into();
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings.clone());
    }

    /// What it offers.
    #[must_use]
    pub fn get(&self) -> Arc<[PluginInfo]> {
        Arc::clone(&self.plugins.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What its settings are.
    #[must_use]
    pub fn settings(&self) -> Arc<SettingNatures> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }
}
