//! The rules by which a form shows the settings of a scan: which ones are locked or secret, and how
//! a secret value stays with the form.

use std::sync::Arc;

use crate::model::{ConfigOverride, KeptSecret, Lock, SettingNature, SettingNatures, Target};
use crate::policy::override_policy::OverridePolicy;
use crate::ports::{SecretSealer, secret_sealer};

/// The rules for the settings of the scanner, as known now.
#[derive(Clone)]
pub struct SettingRules {
    policy: Arc<OverridePolicy>,
    natures: Arc<SettingNatures>,
    sealer: Arc<dyn SecretSealer>,
}

impl SettingRules {
    /// Creates rules.
    #[must_use]
    pub fn new(policy: Arc<OverridePolicy>, natures: Arc<SettingNatures>, sealer: Arc<dyn SecretSealer>) -> Self {
        Self { policy, natures, sealer }
    }

    /// Returns why a scan may not change a setting of this nature, if it may not.
    #[must_use]
    pub fn lock(&self, plugin: &str, key: &str, nature: SettingNature) -> Option<Lock> {
        self.policy.lock(plugin, key, nature)
    }

    /// Returns true if the value of a setting is a secret.
    #[must_use]
    pub fn is_secret(&self, one: &ConfigOverride) -> bool {
        one.is_secret() || self.natures.nature(&one.plugin, &one.key).secret
    }

    /// Seals a value that was typed into a form, which the form submits again.
    #[must_use]
    pub fn keep(&self, name: &str, value: &str) -> Option<KeptSecret> {
        secret_sealer::keep(&*self.sealer, name, value)
    }

    /// Seals the secrets of an earlier scan again, for a form that repeats the scan.
    #[must_use]
    pub fn keep_of_scan(&self, target: &Target, overrides: &[ConfigOverride]) -> Vec<KeptSecret> {
        secret_sealer::keep_of_scan(&*self.sealer, target, overrides, &self.natures)
    }
}

impl std::fmt::Debug for SettingRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SettingRules").finish_non_exhaustive()
    }
}
