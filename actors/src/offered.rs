//! What the scanner offers, as far as this process knows: its own scanner's plugins, or those of the nodes together.

use std::sync::{Arc, PoisonError, RwLock};

use crate::model::PluginInfo;

/// The offered plugins; none as long as nothing is known.
#[derive(Debug, Default)]
pub struct Offered(RwLock<Arc<[PluginInfo]>>);

impl Offered {
    /// The scanner has said what it offers.
    pub fn set(&self, plugins: &[PluginInfo]) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = plugins.into();
    }

    /// What it offers.
    #[must_use]
    pub fn get(&self) -> Arc<[PluginInfo]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
