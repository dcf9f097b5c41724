//! Checks a selection of plugins against the scanner's offer, and completes it. Pure.

use std::collections::BTreeSet;

use crate::model::{FieldError, PluginInfo, PluginKind, ScanMode, ScanRequest};

/// The plugins that a scan leaves out of its selection, and the warnings for its user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The selected plugins that the mode does not run.
    pub left_out: Vec<String>,
    /// Warnings, one sentence each.
    pub warnings: Vec<String>,
}

/// Returns true if a plugin of this kind runs in this mode.
#[must_use]
pub const fn runs_in(kind: PluginKind, mode: ScanMode) -> bool {
    match mode {
        ScanMode::Both => true,
        ScanMode::Passive => matches!(kind, PluginKind::Passive),
        ScanMode::Active => matches!(kind, PluginKind::Active),
    }
}

/// Returns the selected plugins with all direct and indirect dependencies, in the scanner's order;
/// plugins that are not offered come last. An empty selection stays empty: it means all plugins.
#[must_use]
pub fn with_dependencies(selected: &[String], offered: &[PluginInfo]) -> Vec<String> {
    let plugin = |name: &str| offered.iter().find(|plugin| plugin.name == name);
    let mut wanted: BTreeSet<&str> = BTreeSet::new();
    let mut next: Vec<&str> = selected.iter().map(String::as_str).collect();
    while let Some(name) = next.pop() {
        if wanted.insert(name) {
            next.extend(plugin(name).into_iter().flat_map(|plugin| plugin.dependencies.iter().map(String::as_str)));
        }
    }
    let known = offered.iter().map(|plugin| plugin.name.as_str()).filter(|name| wanted.contains(name));
    let unknown = selected.iter().map(String::as_str).filter(|name| plugin(name).is_none());
    known.chain(unknown).map(str::to_owned).collect()
}

/// Returns the plugins that the scanner must run for a request: the selected plugins of its mode,
/// with all dependencies. Plugins of another mode are left out, unless the selection would become
/// empty, because an empty selection means all plugins.
#[must_use]
pub fn selection(request: &ScanRequest, offered: &[PluginInfo]) -> Vec<String> {
    let plugin = |name: &str| offered.iter().find(|plugin| plugin.name == name);
    let runs = |name: &&String| plugin(name).is_none_or(|plugin| runs_in(plugin.kind, request.options.mode));
    let of_mode: Vec<String> = request.options.plugins.iter().filter(runs).cloned().collect();
    with_dependencies(if of_mode.is_empty() { &request.options.plugins } else { &of_mode }, offered)
}

/// Returns the plugins that a request will run, as far as they are offered, in the scanner's order.
#[must_use]
pub fn expected(request: &ScanRequest, offered: &[PluginInfo]) -> Vec<String> {
    let selected = selection(request, offered);
    let chosen = |plugin: &&PluginInfo| {
        runs_in(plugin.kind, request.options.mode) && (selected.is_empty() || selected.contains(&plugin.name))
    };
    offered.iter().filter(chosen).map(|plugin| plugin.name.clone()).collect()
}

/// Compares a selection with a scanner's offer. Without an offer nothing is refused: the scanner
/// makes the final check when it starts. Plugins that the scanner does not have are not refused
/// here, because another node may have them; see [`unknown`].
///
/// # Errors
/// The selection would check nothing; the error names the field to change.
pub fn select(mode: ScanMode, plugins: &[String], offered: &[PluginInfo]) -> Result<Selection, FieldError> {
    if offered.is_empty() {
        return Ok(Selection::default());
    }
    if plugins.is_empty() {
        return if offered.iter().any(|plugin| runs_in(plugin.kind, mode)) {
            Ok(Selection::default())
        } else {
            Err(FieldError::new(
                "mode",
                format!("the scanner has no {mode} plugin; choose mode {}", of_kind(other(mode))),
            ))
        };
    }
    let known = |name: &String| offered.iter().find(|plugin| plugin.name == *name);
    let (mut left_out, mut runs, mut missing) = (Vec::new(), 0_usize, Vec::new());
    for name in plugins {
        match known(name) {
            Some(plugin) if !runs_in(plugin.kind, mode) => {
                if !left_out.contains(name) {
                    left_out.push(name.clone());
                }
            }
            Some(plugin) if !plugin.available => {
                runs += 1;
                missing.push(name.as_str());
            }
            Some(_) | None => runs += 1,
        }
    }
    // All excluded plugins are of the one kind that the mode does not run.
    let kind = other(mode);
    let choice = format!("choose mode {} or both", of_kind(kind));
    let (is, noun) =
        if left_out.len() == 1 { ("is", format!("an {kind} plugin")) } else { ("are", format!("{kind} plugins")) };
    let noun = noun.replace("an passive", "a passive");
    let what = || format!("{} {is} {noun}", enumerated(&left_out));
    if runs == 0 && !left_out.is_empty() {
        return Err(FieldError::new("plugins", format!("{}; {choice}", what())));
    }
    let mut warnings = Vec::new();
    if !left_out.is_empty() {
        warnings.push(format!(
            "{} and not part of this {mode} scan; to run {}, {choice}",
            what(),
            if left_out.len() == 1 { "it" } else { "them" }
        ));
    }
    if !missing.is_empty() {
        let verb = if missing.len() == 1 { "has its tool" } else { "have their tools" };
        warnings.push(format!("{} cannot run now: no node {verb} installed", enumerated(&missing)));
    }
    Ok(Selection { left_out, warnings })
}

/// Returns an error for each selected plugin that is not offered. Without an offer nothing is
/// refused.
#[must_use]
pub fn unknown(plugins: &[String], offered: &[PluginInfo]) -> Vec<FieldError> {
    let is_unknown = |name: &&String| !offered.is_empty() && !offered.iter().any(|plugin| plugin.name == **name);
    let error = |name| FieldError::new("plugins", format!("the scanner has no plugin `{name}`"));
    plugins.iter().filter(is_unknown).map(error).collect()
}

/// Returns the kind of plugin that a mode does not run.
const fn other(mode: ScanMode) -> PluginKind {
    match mode {
        ScanMode::Active => PluginKind::Passive,
        // `Both` excludes nothing.
        ScanMode::Passive | ScanMode::Both => PluginKind::Active,
    }
}

const fn of_kind(kind: PluginKind) -> ScanMode {
    match kind {
        PluginKind::Passive => ScanMode::Passive,
        PluginKind::Active => ScanMode::Active,
    }
}

/// Returns the names, each quoted: `a`, `a` and `b`, `a`, `b` and `c`.
fn enumerated(names: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered() -> Vec<PluginInfo> {
        let plugin = |(name, kind, available): (&str, PluginKind, bool)| PluginInfo {
            name: name.into(),
            display_name: name.into(),
            description: String::new(),
            kind,
            available,
            dependencies: Vec::new(),
        };
        let (passive, active) = (PluginKind::Passive, PluginKind::Active);
        [("whatweb", passive, true), ("testssl", passive, false), ("zap", active, true), ("sqlmap", active, true)]
            .map(plugin)
            .into()
    }

    fn names(plugins: &[&str]) -> Vec<String> {
        plugins.iter().map(ToString::to_string).collect()
    }

    fn selected(mode: ScanMode, plugins: &[&str]) -> Result<Selection, FieldError> {
        select(mode, &names(plugins), &offered())
    }

    #[test]
    fn a_selection_that_cannot_check_anything_is_refused() {
        use ScanMode::{Active, Both, Passive};
        for (mode, plugins, message) in [
            (Passive, &["zap"][..], Some("`zap` is an active plugin; choose mode active or both")),
            (Passive, &["zap", "zap"], Some("`zap` is an active plugin; choose mode active or both")),
            (Passive, &["zap", "sqlmap"], Some("`zap` and `sqlmap` are active plugins; choose mode active or both")),
            (Active, &["whatweb"], Some("`whatweb` is a passive plugin; choose mode passive or both")),
            (
                Active,
                &["whatweb", "testssl"],
                Some("`whatweb` and `testssl` are passive plugins; choose mode passive or both"),
            ),
            (Both, &["zap"], None),
            (Active, &["zap"], None),
            (Passive, &[], None),
            // Another node may have it.
            (Passive, &["zap", "nmap"], None),
        ] {
            let error = selected(mode, plugins).err();
            assert_eq!(error.as_ref().map(|error| error.message.as_str()), message, "{mode} {plugins:?}");
            assert!(error.is_none_or(|error| error.field == "plugins"));
        }
    }

    #[test]
    fn mixed_selection_lists_the_left_out_plugins() {
        for (mode, plugins, left_out, warnings) in [
            (
                ScanMode::Passive,
                &["whatweb", "zap"][..],
                &["zap"][..],
                &["`zap` is an active plugin and not part of this passive scan; to run it, choose mode active or both"]
                    [..],
            ),
            (
                ScanMode::Active,
                &["whatweb", "testssl", "zap"],
                &["whatweb", "testssl"],
                &[
                    "`whatweb` and `testssl` are passive plugins and not part of this active scan; to run them, choose mode passive or both",
                ],
            ),
            (ScanMode::Passive, &["testssl"], &[], &["`testssl` cannot run now: no node has its tool installed"]),
            (ScanMode::Both, &["whatweb", "zap"], &[], &[]),
            (ScanMode::Passive, &[], &[], &[]),
        ] {
            let Selection { left_out: left, warnings: given } = selected(mode, plugins).unwrap();
            assert_eq!(
                (left, given),
                (
                    left_out.iter().map(ToString::to_string).collect(),
                    warnings.iter().map(ToString::to_string).collect()
                ),
                "{plugins:?}"
            );
        }
    }

    #[test]
    fn a_mode_without_plugins_is_refused_and_an_unknown_scanner_accepts_all() {
        let passive_only: Vec<PluginInfo> =
            offered().into_iter().filter(|plugin| plugin.kind == PluginKind::Passive).collect();
        let error = select(ScanMode::Active, &[], &passive_only).unwrap_err();
        assert_eq!(
            (error.field.as_str(), error.message.as_str()),
            ("mode", "the scanner has no active plugin; choose mode passive")
        );
        assert_eq!(select(ScanMode::Active, &[], &[]), Ok(Selection::default()));
        assert_eq!(select(ScanMode::Passive, &names(&["zap"]), &[]), Ok(Selection::default()));
    }

    #[test]
    fn plugin_that_is_not_offered_is_unknown_once_there_is_an_offer() {
        let plugins = names(&["whatweb", "nmap", "zap"]);
        let errors: Vec<String> = unknown(&plugins, &offered()).iter().map(ToString::to_string).collect();
        assert_eq!(errors, ["plugins: the scanner has no plugin `nmap`"]);
        assert_eq!(unknown(&plugins, &[]), []);
    }
}
