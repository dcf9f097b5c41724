//! The scanner, its plugins and its settings.

use kastrel_actors::model::{PluginInfo, ScannerInfo};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The scanner and its plugins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Catalogue {
    /// The scanner and its version.
    pub scanner: ScannerInfo,
    /// The scanner's name and version, as text.
    #[serde(default)]
    #[schema(required = true)]
    pub label: String,
    /// The plugins that the scanner offers.
    pub plugins: Vec<PluginInfo>,
    /// The scanner's settings; empty if this process does not know them.
    #[serde(default)]
    #[schema(required = true)]
    pub settings: Vec<SettingBody>,
}

/// A setting of the scanner. The `overrides` of a submission set it as `name=value`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Setting)]
pub struct SettingBody {
    /// `plugin.key`. A name that ends in `.` accepts any key below it.
    pub name: String,
    /// What the setting is for.
    pub description: String,
    /// The value without an override; empty for a secret.
    pub default: String,
    /// Whether submissions that set it are refused.
    pub locked: bool,
    /// Why it is locked.
    pub reason: Option<String>,
    /// Whether its value is a secret. Secrets are never shown.
    pub secret: bool,
}
