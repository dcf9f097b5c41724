//! The request of a new check of a target.

use kastrel_actors::model::{
    ConfigOverride, HIDDEN_VALUE, PluginInfo, PluginKind, ScanMode, ScanRecord, ScanRequest, ScanRequestDraft,
    SettingValue, TargetRecord,
};
use kastrel_actors::service::SettingRules;

/// Returns true if a scan is no check of a part of its target: it did not run one plugin alone, and
/// is no re-run of some plugins.
pub(super) fn is_whole(scan: &ScanRecord) -> bool {
    let plugins = &scan.request.options.plugins;
    plugins.is_empty() || (plugins.len() > 1 && scan.rerun_of.is_none())
}

/// Returns the draft of a scan of a target: the request of an earlier scan, or a passive scan of
/// the origin. With `plugin`, only this plugin runs; `known` says whether it is passive. The
/// settings of the other plugins stay, so that the next check of the target finds them. A dry run
/// is repeated as a scan.
pub(super) fn draft(
    target: &TargetRecord,
    earlier: Option<&ScanRequest>,
    plugin: Option<&str>,
    known: &[PluginInfo],
    rules: &SettingRules,
) -> ScanRequestDraft {
    let project = Some(target.project.to_string());
    let only: Vec<String> = plugin.map(str::to_owned).into_iter().collect();
    let kind = known.iter().find(|known| Some(known.name.as_str()) == plugin).map(|known| known.kind);
    let Some(earlier) = earlier else {
        let mode = kind.filter(|kind| *kind == PluginKind::Active).map(|_| ScanMode::Active.to_string());
        let target = target.origin.to_string();
        return ScanRequestDraft { target, project, plugins: only, mode, ..ScanRequestDraft::default() };
    };
    let options = &earlier.options;
    let mode = match (kind, options.mode) {
        (Some(PluginKind::Passive), _) => ScanMode::Passive,
        (Some(PluginKind::Active), ScanMode::Passive) => ScanMode::Active,
        (_, mode) => mode,
    };
    ScanRequestDraft {
        target: earlier.target.to_string(),
        project,
        mode: Some(mode.to_string()),
        plugins: if plugin.is_some() { only } else { options.plugins.clone() },
        parallel: Some(options.parallel),
        max_workers: Some(options.max_workers.into()),
        verbose: Some(options.verbose),
        dry_run: Some(false),
        format: Some(options.format.to_string()),
        priority: Some(options.priority.to_string()),
        kept: rules.keep_of_scan(&earlier.target, &earlier.overrides),
        overrides: earlier.overrides.iter().map(text).collect(),
        confirm_active: None,
    }
}

/// Returns a setting as it is entered. A sealed value is hidden, and kept beside.
fn text(one: &ConfigOverride) -> String {
    let value = match &one.value {
        SettingValue::Plain(value) => value.as_str(),
        SettingValue::Secret(_) | SettingValue::Sealed(_) | SettingValue::Hidden => HIDDEN_VALUE,
    };
    format!("{}.{}={value}", one.plugin, one.key)
}
