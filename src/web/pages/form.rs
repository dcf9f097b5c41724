//! The submit form: what a browser sent, as text, and what is shown of it. Nothing that was typed
//! is lost when something is wrong, but for lines among the settings that are none: they may hold a
//! secret anywhere.

use std::collections::HashSet;

use kastrel_actors::model::{
    ConfigOverride, FieldError, HIDDEN_VALUE, KeptSecret, MAX_OVERRIDES, MAX_WORKERS, PluginInfo, PluginKind, Priority,
    ReportFormat, SECRET_MARK, ScanMode, ScanRequest, ScanRequestDraft, SettingNatures, SettingValue,
};
use kastrel_actors::policy::override_policy::OverridePolicy;
use kastrel_actors::policy::overrides::SettingRule;
use kastrel_actors::policy::permission;
use kastrel_actors::ports::{SecretSealer, secret_sealer};
use url::form_urlencoded;

use crate::web::state::CatalogueView;
use crate::web::text::{clean, sentence};

/// No sealed value is longer: one of 1,000 bytes that is sealed twice, in hexadecimal digits.
const MOST_SEALED_BYTES: usize = 8192;

/// The form as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubmitForm {
    /// New for each form that is shown: sending it twice makes one scan.
    pub(crate) key: String,
    /// One target, or several, one a line.
    pub(crate) target: String,
    mode: String,
    plugins: Vec<String>,
    parallel: bool,
    max_workers: String,
    verbose: bool,
    dry_run: bool,
    format: String,
    priority: String,
    overrides: String,
    /// The sealed values of settings that are shown as hidden.
    kept: Vec<KeptSecret>,
    /// That one may scan the target, asked for where plugins attack.
    confirm: bool,
    /// Whether to start what a preview showed.
    pub(crate) start: bool,
}

impl SubmitForm {
    /// A form with defaults and a new key.
    pub(crate) fn fresh() -> Self {
        Self {
            key: uuid::Uuid::new_v4().to_string(),
            target: String::new(),
            mode: ScanMode::Passive.to_string(),
            plugins: Vec::new(),
            parallel: true,
            max_workers: "5".into(),
            verbose: false,
            dry_run: false,
            format: ReportFormat::Html.to_string(),
            priority: Priority::Normal.to_string(),
            overrides: String::new(),
            kept: Vec::new(),
            confirm: false,
            start: false,
        }
    }

    /// The form of a scan that was asked for before.
    pub(crate) fn of(request: &ScanRequest, rules: &SettingRules<'_>) -> Self {
        Self {
            target: request.target.to_string(),
            mode: request.mode.to_string(),
            plugins: request.plugins.clone(),
            parallel: request.parallel,
            max_workers: request.max_workers.to_string(),
            verbose: request.verbose,
            dry_run: request.dry_run,
            format: request.format.to_string(),
            priority: request.priority.to_string(),
            overrides: request.overrides.iter().map(ConfigOverride::shown).collect::<Vec<_>>().join("\n"),
            // Of use with the same target and the same addresses alone.
            kept: secret_sealer::keep_of_scan(rules.sealer, &request.target, &request.overrides, rules.natures),
            ..Self::fresh()
        }
    }

    /// Reads what a browser sent. A box that is not ticked is not sent.
    pub(crate) fn parse(body: &[u8]) -> Self {
        let mut form = Self { parallel: false, ..Self::fresh() };
        let mut kept = Vec::new();
        for (name, value) in form_urlencoded::parse(body) {
            let value = value.into_owned();
            match &*name {
                "key" => form.key = value,
                "target" => form.target = value,
                "mode" => form.mode = value,
                "plugins" => form.plugins.push(value),
                "parallel" => form.parallel = true,
                "max_workers" => form.max_workers = value,
                "verbose" => form.verbose = true,
                "dry_run" => form.dry_run = true,
                "format" => form.format = value,
                "priority" => form.priority = value,
                "overrides" => form.overrides = value,
                "kept" if value.len() <= MOST_SEALED_BYTES => {
                    kept.extend(
                        value
                            .split_once('=')
                            .map(|(name, sealed)| KeptSecret { name: name.into(), sealed: sealed.into() }),
                    );
                }
                "confirm" => form.confirm = true,
                "action" => form.start = value == "start",
                _ => {}
            }
        }
        form.kept = newest(kept);
        form
    }

    /// The key, if it can be one.
    pub(crate) fn idempotency_key(&self, line: usize) -> Option<String> {
        let usable =
            (1..=64).contains(&self.key.len()) && self.key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        usable.then(|| if line <= 1 { format!("form-{}", self.key) } else { format!("form-{}-{line}", self.key) })
    }

    /// The draft of one target, and what is wrong already with the rest. Plugins that the mode does
    /// not run stay in it: the scan names what it leaves out.
    pub(crate) fn draft_of(&self, target: &str) -> (ScanRequestDraft, Vec<FieldError>) {
        let mut errors = Vec::new();
        let max_workers = match self.max_workers.trim() {
            "" => None,
            text => text.parse().map(Some).unwrap_or_else(|_| {
                errors.push(FieldError::new("max_workers", format!("expected 1 to {MAX_WORKERS}")));
                None
            }),
        };
        if self.mode.parse().is_ok_and(permission::is_required) && !self.confirm {
            errors.push(FieldError::new("confirm", "confirm that you have permission to run active plugins"));
        }
        let draft = ScanRequestDraft {
            target: target.trim().to_owned(),
            mode: Some(self.mode.clone()),
            plugins: self.plugins.clone(),
            parallel: Some(self.parallel),
            max_workers,
            verbose: Some(self.verbose),
            dry_run: Some(self.dry_run),
            format: Some(self.format.clone()),
            // One more than there may be, so that too many are refused, and no more.
            overrides: self
                .overrides
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .take(MAX_OVERRIDES + 1)
                .map(str::to_owned)
                .collect(),
            priority: Some(self.priority.clone()),
            // The page asks by a field of its own, which is checked with the rest of the form.
            confirm_active: Some(true),
            kept: self.kept.clone(),
        };
        (draft, errors)
    }

    /// The draft by which the targets alone are judged, one after the other: without the settings,
    /// which are the same for all of them.
    pub(crate) fn draft_of_targets(&self) -> ScanRequestDraft {
        ScanRequestDraft { overrides: Vec::new(), kept: Vec::new(), ..self.draft_of("").0 }
    }
}

/// One value for each name, the last one: what was typed anew replaces what came before. As many as
/// there may be settings.
fn newest(kept: Vec<KeptSecret>) -> Vec<KeptSecret> {
    let mut names = HashSet::new();
    let mut newest: Vec<KeptSecret> =
        kept.into_iter().rev().filter(|one| names.insert(one.name.clone())).take(MAX_OVERRIDES).collect();
    newest.reverse();
    newest
}

/// What a page shows of the settings that were typed: a secret is hidden, and its sealed value goes
/// with the form. A line that is no setting may hold a secret, whatever it looks like.
fn hidden(typed: &str, rules: &SettingRules<'_>) -> (String, Vec<KeptSecret>) {
    let mut kept = Vec::new();
    let mut settings = 0;
    let mut line = |line: &str| {
        let trimmed = line.trim();
        if trimmed.is_empty() {
            return line.to_owned();
        }
        settings += 1;
        let mut keep = |name: &str, value: &str| {
            if settings <= MAX_OVERRIDES {
                kept.extend(secret_sealer::keep(rules.sealer, name, value));
            }
        };
        let Ok(one) = ConfigOverride::parse(trimmed) else {
            let Some((mark, name, value)) = loosely(trimmed) else {
                return if is_a_word(trimmed) { line.to_owned() } else { HIDDEN_VALUE.to_owned() };
            };
            keep(name, value);
            return format!("{mark}{name}={HIDDEN_VALUE}");
        };
        let mark = if matches!(one.value, SettingValue::Secret(_)) { SECRET_MARK } else { "" };
        match one.value.clear() {
            Some(value) if one.is_secret() || rules.natures.nature(&one.plugin, &one.key).secret => {
                if !value.is_empty() {
                    keep(&one.name(), value);
                }
                format!("{mark}{}={HIDDEN_VALUE}", one.name())
            }
            Some(_) | None => line.to_owned(),
        }
    };
    let shown = typed.lines().map(&mut line).collect::<Vec<_>>().join("\n");
    (shown, kept)
}

/// Whether a line is a part of a setting's name and nothing else: a mistake that its author should
/// see again. A secret has a digit, a capital or a sign.
fn is_a_word(line: &str) -> bool {
    line.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte))
}

/// The name and the value of a line that is nearly a setting: `plugin.key value` or
/// `plugin.key: value`.
fn loosely(line: &str) -> Option<(&'static str, &str, &str)> {
    let (mark, rest) = line.strip_prefix(SECRET_MARK).map_or(("", line), |rest| (SECRET_MARK, rest.trim_start()));
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)))?;
    let (name, value) =
        (&rest[..end], rest[end..].trim_start_matches(|c: char| c == '=' || c == ':' || c.is_whitespace()));
    // What would be a setting with this value.
    ConfigOverride::parse(&format!("{name}={value}")).ok()?;
    (!value.is_empty()).then_some((mark, name, value))
}

/// What decides how settings are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SettingRules<'a> {
    pub(crate) policy: &'a OverridePolicy,
    pub(crate) natures: &'a SettingNatures,
    pub(crate) sealer: &'a dyn SecretSealer,
}

/// The form as it is shown.
#[derive(Debug, Clone)]
pub(crate) struct FormView {
    pub(crate) key: String,
    pub(crate) errors: Vec<FormError>,
    pub(crate) target: Field,
    pub(crate) mode: Choices,
    pub(crate) plugins: Vec<PluginGroup>,
    pub(crate) plugins_error: Option<String>,
    pub(crate) is_loading: bool,
    pub(crate) parallel: bool,
    pub(crate) max_workers: Field,
    pub(crate) most_workers: u8,
    pub(crate) verbose: bool,
    pub(crate) dry_run: bool,
    pub(crate) format: Choices,
    pub(crate) priority: Choices,
    pub(crate) overrides: Field,
    /// `plugin.key=sealed` for each setting that is shown as hidden.
    pub(crate) kept: Vec<String>,
    pub(crate) confirm: bool,
    pub(crate) confirm_error: Option<String>,
    /// The settings that there are, as a hint.
    pub(crate) settings: Vec<SettingHint>,
}

/// A setting that the scanner takes.
#[derive(Debug, Clone)]
pub(crate) struct SettingHint {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) default: String,
    /// Why a scan may not set it.
    pub(crate) locked: Option<String>,
    pub(crate) is_secret: bool,
}

/// An error, for the summary above the form.
#[derive(Debug, Clone)]
pub(crate) struct FormError {
    pub(crate) anchor: String,
    pub(crate) message: String,
}

/// A text field.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) value: String,
    pub(crate) error: Option<String>,
}

/// A field with a few values.
#[derive(Debug, Clone)]
pub(crate) struct Choices {
    pub(crate) options: Vec<Choice>,
    pub(crate) error: Option<String>,
}

/// One of a few values.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) value: &'static str,
    pub(crate) label: &'static str,
    pub(crate) about: &'static str,
    pub(crate) is_chosen: bool,
}

/// The plugins of one kind.
#[derive(Debug, Clone)]
pub(crate) struct PluginGroup {
    pub(crate) kind: &'static str,
    pub(crate) label: &'static str,
    pub(crate) plugins: Vec<PluginChoice>,
}

/// A plugin to tick.
#[derive(Debug, Clone)]
pub(crate) struct PluginChoice {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) description: String,
    pub(crate) is_available: bool,
    pub(crate) needs: String,
    pub(crate) is_chosen: bool,
}

impl FormView {
    pub(crate) fn new(
        form: &SubmitForm,
        errors: &[FieldError],
        catalogue: Option<&CatalogueView>,
        rules: &SettingRules<'_>,
    ) -> Self {
        let (overrides, kept) = hidden(&form.overrides, rules);
        let kept = newest(form.kept.iter().cloned().chain(kept).collect())
            .into_iter()
            .map(|one| clean(&format!("{}={}", one.name, one.sealed)))
            .collect();
        let error = |field: &str| {
            let messages: Vec<String> =
                errors.iter().filter(|error| error.field == field).map(|error| clean(&error.message)).collect();
            (!messages.is_empty()).then(|| sentence(&messages.join("; ")))
        };
        let text = |field: &str, value: &str| Field { value: clean(value), error: error(field) };
        let choices = |field: &str, options| Choices { options, error: error(field) };
        let group = |kind: PluginKind, label| PluginGroup {
            kind: kind.as_str(),
            label,
            plugins: catalogue
                .iter()
                .flat_map(|catalogue| &catalogue.plugins)
                .filter(|plugin| plugin.kind == kind)
                .map(|plugin| choice(plugin, form))
                .collect(),
        };
        let groups =
            [group(PluginKind::Passive, "Passive plugins"), group(PluginKind::Active, "Active plugins (send attacks)")];
        Self {
            key: clean(&form.key),
            errors: errors
                .iter()
                .map(|error| FormError {
                    anchor: format!("field-{}", error.field),
                    message: clean(&format!("{}: {}", label_of(&error.field), sentence(&error.message))),
                })
                .collect(),
            target: text("target", &form.target),
            mode: choices(
                "mode",
                ScanMode::ALL
                    .iter()
                    .map(|mode| Choice {
                        value: mode.as_str(),
                        label: mode_label(*mode),
                        about: mode_about(*mode),
                        is_chosen: form.mode == mode.as_str(),
                    })
                    .collect(),
            ),
            plugins: groups.into_iter().filter(|group| !group.plugins.is_empty()).collect(),
            plugins_error: error("plugins"),
            is_loading: catalogue.is_none(),
            parallel: form.parallel,
            max_workers: text("max_workers", &form.max_workers),
            most_workers: MAX_WORKERS,
            verbose: form.verbose,
            dry_run: form.dry_run,
            format: choices(
                "format",
                ReportFormat::ALL
                    .iter()
                    .map(|format| Choice {
                        value: format.as_str(),
                        label: format_label(*format),
                        about: "",
                        is_chosen: form.format == format.as_str(),
                    })
                    .collect(),
            ),
            priority: choices(
                "priority",
                Priority::ALL
                    .iter()
                    .map(|priority| Choice {
                        value: priority.as_str(),
                        label: priority_label(*priority),
                        about: "",
                        is_chosen: form.priority == priority.as_str(),
                    })
                    .collect(),
            ),
            overrides: text("overrides", &overrides),
            kept,
            confirm: form.confirm,
            confirm_error: error("confirm"),
            settings: catalogue.map(|catalogue| settings(catalogue, rules.policy)).unwrap_or_default(),
        }
    }
}

fn choice(plugin: &PluginInfo, form: &SubmitForm) -> PluginChoice {
    PluginChoice {
        name: clean(&plugin.name),
        label: clean(&plugin.display_name),
        description: clean(&plugin.description),
        is_available: plugin.available,
        needs: clean(&plugin.dependencies.join(", ")),
        is_chosen: form.plugins.contains(&plugin.name),
    }
}

/// The label of a field.
fn label_of(field: &str) -> &str {
    match field {
        "target" => "Target",
        "mode" => "Mode",
        "plugins" => "Plugins",
        "format" => "Report",
        "priority" => "Priority",
        "max_workers" => "Parallel plugins",
        "overrides" => "Scanner settings",
        "confirm" => "Permission",
        other => other,
    }
}

const fn mode_label(mode: ScanMode) -> &'static str {
    match mode {
        ScanMode::Passive => "Passive",
        ScanMode::Active => "Active",
        ScanMode::Both => "Both",
    }
}

const fn priority_label(priority: Priority) -> &'static str {
    match priority {
        Priority::High => "High",
        Priority::Normal => "Normal",
        Priority::Low => "Low",
    }
}

const fn mode_about(mode: ScanMode) -> &'static str {
    match mode {
        ScanMode::Passive => "Ordinary requests, certificates, DNS.",
        ScanMode::Active => "Sends real attack payloads (ZAP).",
        ScanMode::Both => "Passive first, then active.",
    }
}

/// The settings, as `plugin.key`.
fn settings(catalogue: &CatalogueView, policy: &OverridePolicy) -> Vec<SettingHint> {
    let plugins = catalogue.settings.iter().flat_map(|settings| &settings.plugins);
    let hint = |plugin: &str, key: &str, rule: &SettingRule| {
        let nature = catalogue.natures.nature(plugin, key);
        SettingHint {
            name: clean(&format!("{plugin}.{key}")),
            about: clean(&rule.description),
            default: if nature.secret { String::new() } else { clean(&rule.default) },
            locked: policy.lock(plugin, key, nature).map(|lock| lock.to_string()),
            is_secret: nature.secret,
        }
    };
    plugins.flat_map(|(plugin, keys)| keys.iter().map(move |(key, rule)| hint(plugin, key, rule))).collect()
}

pub(super) const fn format_label(format: ReportFormat) -> &'static str {
    match format {
        ReportFormat::Html => "HTML",
        ReportFormat::Pdf => "PDF",
        ReportFormat::Both => "HTML and PDF",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_that_are_not_ticked_are_off_and_lines_become_overrides() {
        let form = SubmitForm::parse(
            b"key=k&target=+example.com+&mode=both&plugins=a&plugins=b&max_workers=7&overrides=a.b%3D1%0D%0A%0D%0Ac.d%3D2&format=pdf&priority=low",
        );
        let (draft, errors) = form.draft_of(&form.target);
        assert_eq!(errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(), ["confirm"]);
        assert_eq!((draft.target.as_str(), draft.parallel, draft.max_workers), ("example.com", Some(false), Some(7)));
        assert_eq!(
            (draft.plugins, draft.overrides),
            (vec!["a".to_owned(), "b".into()], vec!["a.b=1".to_owned(), "c.d=2".into()])
        );
    }

    /// What is shown of a text, and the names of what goes with the form.
    fn shown(typed: &str) -> (String, Vec<String>) {
        let (policy, natures) = (OverridePolicy::default(), SettingNatures::default());
        let rules = SettingRules { policy: &policy, natures: &natures, sealer: &kastrel_actors::testing::TestSealer };
        let (text, kept) = hidden(typed, &rules);
        (text, kept.into_iter().map(|one| one.name).collect())
    }

    #[test]
    fn a_line_is_shown_as_it_was_typed_only_where_it_is_a_setting_and_holds_no_secret() {
        for (typed, expected) in [
            ("whatweb.timeout=5", "whatweb.timeout=5"),
            ("  whatweb.user_agent=a b ", "  whatweb.user_agent=a b "),
            ("", ""),
            ("zap.remote.api_key=••••••", "zap.remote.api_key=••••••"),
            ("zap.remote.api_key=hunter2", "zap.remote.api_key=••••••"),
            ("secret:whatweb.user_agent=hunter2", "secret:whatweb.user_agent=••••••"),
            ("secret: whatweb.user_agent=hunter2", "secret:whatweb.user_agent=••••••"),
            ("katana.proxy=http://user:hunter2@proxy", "katana.proxy=••••••"),
            (
                "script_detection.custom_headers={\"Authorization\": \"hunter2\"}",
                "script_detection.custom_headers=••••••",
            ),
            ("whatweb.timeout=5 zap.remote.api_key=hunter2", "whatweb.timeout=••••••"),
            ("zap.token hunter2", "zap.token=••••••"),
            ("zap.token: hunter2", "zap.token=••••••"),
            ("--set zap.remote.api_key=hunter2", "••••••"),
            ("\"zap.remote.api_key\"=hunter2", "••••••"),
            ("SECRET:whatweb.user_agent=hunter2", "••••••"),
            ("{\"zap\": {\"api_key\": \"hunter2\"}}", "••••••"),
            ("Authorization: hunter2", "••••••"),
            ("hunter2", "••••••"),
            ("nonsense", "nonsense"),
            ("whatweb.timeout", "whatweb.timeout"),
        ] {
            assert_eq!(shown(typed).0, expected, "{typed}");
        }
    }

    #[test]
    fn what_goes_with_a_form_is_bounded_and_what_was_typed_last_counts() {
        let lines: String = (0..1000).map(|n| format!("a.token{n}=x\n")).collect();
        assert_eq!(shown(&lines).1.len(), MAX_OVERRIDES);
        let sent: String = (0..1000).map(|n| format!("kept=a.b{n}%3Dx&")).collect();
        assert_eq!(SubmitForm::parse(sent.as_bytes()).kept.len(), MAX_OVERRIDES);
        let twice = SubmitForm::parse(b"kept=a.b%3Dold&kept=a.c%3Dx&kept=a.b%3Dnew").kept;
        assert_eq!(
            twice.iter().map(|one| (one.name.as_str(), one.sealed.as_str())).collect::<Vec<_>>(),
            [("a.c", "x"), ("a.b", "new")]
        );
        assert!(SubmitForm::parse(format!("kept=a.b%3D{}", "x".repeat(MOST_SEALED_BYTES)).as_bytes()).kept.is_empty());
        let form = SubmitForm { overrides: "a.b=1\n".repeat(1000), ..SubmitForm::fresh() };
        assert!(
            form.draft_of("a.test").0.check().is_err()
                && form.draft_of("a.test").0.overrides.len() == MAX_OVERRIDES + 1
        );
        assert_eq!(form.draft_of_targets().overrides.len(), 0);
    }

    #[test]
    fn a_key_that_could_be_trouble_is_no_key() {
        let key = |text: &str| SubmitForm { key: text.into(), ..SubmitForm::fresh() }.idempotency_key(1);
        assert_eq!(key("a-1").as_deref(), Some("form-a-1"));
        assert_eq!((key(""), key("a b"), key(&"x".repeat(65))), (None, None, None));
    }
}
