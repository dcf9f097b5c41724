//! The form of a new scan: what the browser sent, as text, and what the page shows again. After an
//! error, the form keeps everything that was typed, except invalid lines among the settings: they
//! may contain a secret anywhere.

use std::collections::HashSet;

use kastrel_actors::model::{
    ConfigOverride, FieldError, Grants, HIDDEN_VALUE, IdempotencyKey, KeptSecret, MAX_OVERRIDES, MAX_WORKERS,
    Operation, PluginInfo, PluginKind, Priority, Project, ProjectId, ReportFormat, SECRET_MARK, ScanMode, ScanRequest,
    ScanRequestDraft, SettingValue,
};
use kastrel_actors::policy::access::decide;
use kastrel_actors::policy::overrides::SettingRule;
use kastrel_actors::policy::permission;
use kastrel_actors::service::SettingRules;
use url::form_urlencoded;

use crate::ports::ScannerCatalog;
use crate::web::text::{clean, sentence};

/// An upper bound of a sealed value: 1,000 bytes that are sealed twice, in hexadecimal digits.
const MOST_SEALED_BYTES: usize = 8192;

/// Why a viewer may not choose the active modes.
const NO_ACTIVE: &str = "Active scans need the role operator.";

/// The form as sent by the browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubmitForm {
    /// The idempotency key. Each displayed form has a new one: sending a form twice creates one
    /// scan.
    pub(crate) key: String,
    /// One target, or several targets on one line each.
    pub(crate) target: String,
    /// The id of the project; empty means the usual one.
    pub(crate) project: String,
    mode: String,
    plugins: Vec<String>,
    parallel: bool,
    max_workers: String,
    verbose: bool,
    dry_run: bool,
    format: String,
    priority: String,
    overrides: String,
    /// The sealed values of the settings that the page hides.
    kept: Vec<KeptSecret>,
    /// Whether the user confirmed the permission to attack the target, which active plugins need.
    confirm: bool,
    /// Whether to start the scans of a preview.
    pub(crate) start: bool,
}

impl SubmitForm {
    /// Returns a form with defaults and a new key.
    pub(crate) fn fresh() -> Self {
        Self {
            key: uuid::Uuid::new_v4().to_string(),
            target: String::new(),
            project: String::new(),
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

    /// Returns the form with the options of an earlier scan.
    pub(crate) fn of(request: &ScanRequest, rules: &SettingRules) -> Self {
        Self {
            target: request.target.to_string(),
            mode: request.options.mode.to_string(),
            plugins: request.options.plugins.clone(),
            parallel: request.options.parallel,
            max_workers: request.options.max_workers.to_string(),
            verbose: request.options.verbose,
            dry_run: request.options.dry_run,
            format: request.options.format.to_string(),
            priority: request.options.priority.to_string(),
            overrides: request.overrides.iter().map(ConfigOverride::shown).collect::<Vec<_>>().join("\n"),
            // Sealed values are valid only for the same target and the same addresses.
            kept: rules.keep_of_scan(&request.target, &request.overrides),
            ..Self::fresh()
        }
    }

    /// Parses the form. A browser does not send a box that is not ticked.
    pub(crate) fn parse(body: &[u8]) -> Self {
        let mut form = Self { parallel: false, ..Self::fresh() };
        let mut kept = Vec::new();
        for (name, value) in form_urlencoded::parse(body) {
            let value = value.into_owned();
            match &*name {
                "key" => form.key = value,
                "target" => form.target = value,
                "project" => form.project = value.trim().to_owned(),
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

    /// Returns the form without the sealed values of an earlier scan. The secrets have to be
    /// entered again.
    pub(crate) fn without_kept_secrets(self) -> Self {
        Self { kept: Vec::new(), ..self }
    }

    /// Returns the idempotency key of a line, if the key of the form is valid.
    pub(crate) fn idempotency_key(&self, line: usize) -> Option<IdempotencyKey> {
        let usable =
            (1..=64).contains(&self.key.len()) && self.key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let key = if line <= 1 { format!("form-{}", self.key) } else { format!("form-{}-{line}", self.key) };
        key.parse().ok().filter(|_| usable)
    }

    /// Returns the draft for one target, and the errors of the other fields. The draft keeps
    /// plugins that the mode does not run: the scan names what it leaves out.
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
            // One more than the maximum, so that too many overrides are refused, but the rest is
            // not processed.
            overrides: self
                .overrides
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .take(MAX_OVERRIDES + 1)
                .map(str::to_owned)
                .collect(),
            priority: Some(self.priority.clone()),
            // The page has its own field for the permission, which is checked with the rest of the
            // form.
            confirm_active: Some(true),
            project: Some(self.project.clone()).filter(|project| !project.is_empty()),
            kept: self.kept.clone(),
        };
        (draft, errors)
    }
}

/// Returns the last value of each name, because a newly typed value replaces an earlier one. The
/// number is limited to the maximum number of settings.
fn newest(kept: Vec<KeptSecret>) -> Vec<KeptSecret> {
    let mut names = HashSet::new();
    let mut newest: Vec<KeptSecret> =
        kept.into_iter().rev().filter(|one| names.insert(one.name.clone())).take(MAX_OVERRIDES).collect();
    newest.reverse();
    newest
}

/// Returns the typed settings as the page shows them again. A secret is hidden, and its sealed
/// value is sent with the form. A line that is not a valid setting may contain a secret, whatever
/// it looks like.
fn hidden(typed: &str, rules: &SettingRules) -> (String, Vec<KeptSecret>) {
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
                kept.extend(rules.keep(name, value));
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
            Some(value) if rules.is_secret(&one) => {
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

/// Returns whether a line is only a part of a setting's name: a mistake that the user should see
/// again. A secret has a digit, a capital letter or a sign.
fn is_a_word(line: &str) -> bool {
    line.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte))
}

/// Returns the name and the value of a line that is nearly a setting: `plugin.key value` or
/// `plugin.key: value`.
fn loosely(line: &str) -> Option<(&'static str, &str, &str)> {
    let (mark, rest) = line.strip_prefix(SECRET_MARK).map_or(("", line), |rest| (SECRET_MARK, rest.trim_start()));
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)))?;
    let (name, value) =
        (&rest[..end], rest[end..].trim_start_matches(|c: char| c == '=' || c == ':' || c.is_whitespace()));
    // The line counts if its name and value would be a valid setting.
    ConfigOverride::parse(&format!("{name}={value}")).ok()?;
    (!value.is_empty()).then_some((mark, name, value))
}

/// The form as the page shows it.
#[derive(Debug, Clone)]
pub(crate) struct FormView {
    pub(crate) key: String,
    pub(crate) errors: Vec<FormError>,
    pub(crate) target: Field,
    /// The projects; `None` if the viewer may submit scans in the default project alone.
    pub(crate) project: Option<ProjectField>,
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
    /// `plugin.key=sealed` for each hidden setting.
    pub(crate) kept: Vec<String>,
    pub(crate) confirm: bool,
    pub(crate) confirm_error: Option<String>,
    /// The available settings, as a hint.
    pub(crate) settings: Vec<SettingHint>,
}

/// A setting that the scanner accepts.
#[derive(Debug, Clone)]
pub(crate) struct SettingHint {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) default: String,
    /// Why a scan may not change the setting.
    pub(crate) locked: Option<String>,
    pub(crate) is_secret: bool,
}

/// An error in the summary above the form.
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

/// A field with a few choices.
#[derive(Debug, Clone)]
pub(crate) struct Choices {
    pub(crate) options: Vec<Choice>,
    pub(crate) error: Option<String>,
}

/// One choice of a field.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) value: &'static str,
    pub(crate) label: &'static str,
    pub(crate) about: &'static str,
    /// Why the viewer may not choose it; empty if the viewer may.
    pub(crate) why_not: &'static str,
    pub(crate) is_chosen: bool,
}

/// The field of the project.
#[derive(Debug, Clone)]
pub(crate) struct ProjectField {
    /// The projects in which the viewer may submit scans. Of a single one, the page shows the
    /// title.
    pub(crate) options: Vec<ProjectOption>,
    pub(crate) error: Option<String>,
}

/// A project of the field.
#[derive(Debug, Clone)]
pub(crate) struct ProjectOption {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) is_chosen: bool,
}

/// Where a viewer may submit scans.
#[derive(Debug, Clone)]
pub(crate) struct MaySubmit {
    projects: Vec<Project>,
    is_active_allowed: bool,
}

impl MaySubmit {
    /// Returns what these rights allow in the projects that the viewer sees.
    pub(crate) fn of(grants: &Grants, visible: Vec<Project>) -> Self {
        let may = |operation, project: &Project| decide(grants, operation, Some(&project.id)).is_ok();
        // Without the list of projects, the submission decides.
        let is_active_allowed =
            visible.is_empty() || visible.iter().any(|project| may(Operation::SubmitActive, project));
        let projects = visible.into_iter().filter(|project| may(Operation::SubmitPassive, project)).collect();
        Self { projects, is_active_allowed }
    }

    /// Returns the error of a project in which the viewer may not submit scans.
    pub(crate) fn check(&self, project: &str) -> Option<FieldError> {
        let is_known = project.is_empty()
            || self.projects.is_empty()
            || self.projects.iter().any(|known| known.id.as_str() == project);
        (!is_known).then(|| FieldError::new("project", ProjectId::UNKNOWN))
    }

    fn field(&self, chosen: &str, error: Option<String>) -> Option<ProjectField> {
        let is_default_alone = self.projects.iter().all(|project| project.id.is_default());
        if is_default_alone && error.is_none() {
            return None;
        }
        let is_known = self.projects.iter().any(|project| project.id.as_str() == chosen);
        let is_chosen = |project: &Project| {
            if is_known { project.id.as_str() == chosen } else { project.id.is_default() }
        };
        let option = |project: &Project| ProjectOption {
            value: project.id.to_string(),
            label: clean(&project.title),
            is_chosen: is_chosen(project),
        };
        Some(ProjectField { options: self.projects.iter().map(option).collect(), error })
    }
}

/// The plugins of one kind.
#[derive(Debug, Clone)]
pub(crate) struct PluginGroup {
    pub(crate) kind: &'static str,
    pub(crate) label: &'static str,
    pub(crate) plugins: Vec<PluginChoice>,
}

/// A plugin with a checkbox.
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
        catalogue: Option<&ScannerCatalog>,
        rules: &SettingRules,
        may_submit: &MaySubmit,
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
            project: may_submit.field(&form.project, error("project")),
            mode: choices("mode", mode_choices(&form.mode, may_submit)),
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
                        why_not: "",
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
                        why_not: "",
                        is_chosen: form.priority == priority.as_str(),
                    })
                    .collect(),
            ),
            overrides: text("overrides", &overrides),
            kept,
            confirm: form.confirm,
            confirm_error: error("confirm"),
            settings: catalogue.map(|catalogue| settings(catalogue, rules)).unwrap_or_default(),
        }
    }
}

/// Returns the modes. A browser does not send one that is not available, so the passive mode is
/// chosen instead of it.
fn mode_choices(asked: &str, may_submit: &MaySubmit) -> Vec<Choice> {
    let why_not = |mode: ScanMode| {
        if permission::is_required(mode) && !may_submit.is_active_allowed { NO_ACTIVE } else { "" }
    };
    let is_refused = asked.parse::<ScanMode>().is_ok_and(|mode| !why_not(mode).is_empty());
    let chosen = if is_refused { ScanMode::Passive.as_str() } else { asked };
    let choice = |mode: &ScanMode| Choice {
        value: mode.as_str(),
        label: mode_label(*mode),
        about: mode_about(*mode),
        why_not: why_not(*mode),
        is_chosen: chosen == mode.as_str(),
    };
    ScanMode::ALL.iter().map(choice).collect()
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

/// Returns the label of a field.
fn label_of(field: &str) -> &str {
    match field {
        "target" => "Target",
        "project" => "Project",
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

/// Returns the settings as `plugin.key`.
fn settings(catalogue: &ScannerCatalog, rules: &SettingRules) -> Vec<SettingHint> {
    let plugins = catalogue.settings.iter().flat_map(|settings| &settings.plugins);
    let hint = |plugin: &str, key: &str, rule: &SettingRule| {
        let nature = catalogue.natures.nature(plugin, key);
        SettingHint {
            name: clean(&format!("{plugin}.{key}")),
            about: clean(&rule.description),
            default: if nature.secret { String::new() } else { clean(&rule.default) },
            locked: rules.lock(plugin, key, nature).map(|lock| lock.to_string()),
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
    use std::sync::Arc;

    use kastrel_actors::testing::TestSealer;

    use super::*;

    #[test]
    fn unticked_boxes_are_off_and_lines_become_overrides() {
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

    /// Returns the shown text, and the names of the hidden values that are sent with the form.
    fn shown(typed: &str) -> (String, Vec<String>) {
        let rules = SettingRules::new(Arc::default(), Arc::default(), Arc::new(TestSealer));
        let (text, kept) = hidden(typed, &rules);
        (text, kept.into_iter().map(|one| one.name).collect())
    }

    #[test]
    fn only_settings_without_a_secret_are_shown_as_typed() {
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
    fn hidden_values_of_a_form_are_bounded_and_the_last_one_counts() {
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
    }

    #[test]
    fn invalid_form_key_is_ignored() {
        let key = |text: &str| SubmitForm { key: text.into(), ..SubmitForm::fresh() }.idempotency_key(1);
        assert_eq!(key("a-1"), "form-a-1".parse().ok());
        assert_eq!((key(""), key("a b"), key(&"x".repeat(65))), (None, None, None));
    }
}
