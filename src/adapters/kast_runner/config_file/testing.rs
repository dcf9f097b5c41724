//! Settings and the schema of KAST, for the tests of this folder.

use kastrel_actors::model::ConfigOverride;
use kastrel_actors::policy::overrides::SettingsSchema;

use crate::adapters::kast_runner::settings_text;

pub(super) fn change(text: &str) -> ConfigOverride {
    let (path, value) = text.split_once('=').unwrap();
    let (plugin, key) = path.split_once('.').unwrap();
    ConfigOverride { plugin: plugin.into(), key: key.into(), value: value.into() }
}

pub(super) fn schema() -> SettingsSchema {
    settings_text::settings(include_str!("../fixtures/config-schema.json")).unwrap()
}
