//! The submit form: what a browser sent, as text, and what is shown of it. Nothing that was typed is lost when something is wrong.

use kastrel_actors::model::{ConfigOverride, FieldError, MAX_WORKERS, PluginInfo, PluginKind, Priority, ReportFormat, ScanMode, ScanRequest, ScanRequestDraft};
use kastrel_actors::policy::overrides::SettingRule;
use kastrel_actors::policy::permission;
use url::form_urlencoded;

use crate::web::state::CatalogueView;
use crate::web::text::{clean, sentence};

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
            confirm: false,
            start: false,
        }
    }

    /// The form of a scan that was asked for before.
    pub(crate) fn of(request: &ScanRequest) -> Self {
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
            overrides: request.overrides.iter().map(ConfigOverride::argument).collect::<Vec<_>>().join("\n"),
            ..Self::fresh()
        }
    }

    /// Reads what a browser sent. A box that is not ticked is not sent.
    pub(crate) fn parse(body: &[u8]) -> Self {
        let mut form = Self { parallel: false, ..Self::fresh() };
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
                "confirm" => form.confirm = true,
                "action" => form.start = value == "start",
                _ => {}
            }
        }
        form
    }

    /// The key, if it can be one.
    pub(crate) fn idempotency_key(&self, line: usize) -> Option<String> {
        let usable = (1..=64).contains(&self.key.len()) && self.key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        usable.then(|| if line <= 1 { format!("form-{}", self.key) } else { format!("form-{}-{line}", self.key) })
    }

    /// The draft of one target, and what is wrong already with the rest. Plugins that the mode does not run stay in it: the scan names what it leaves out.
    pub(crate) fn draft_of(&self, target: &str) -> (ScanRequestDraft, Vec<FieldError>) {
        let (mut draft, mut errors) = self.draft();
        draft.target = target.trim().to_owned();
        if self.mode.parse().is_ok_and(permission::is_required) && !self.confirm {
            errors.push(FieldError::new("confirm", "confirm that you have permission to run active plugins"));
        }
        (draft, errors)
    }

    /// The same for the desk, and what is wrong already.
    pub(crate) fn draft(&self) -> (ScanRequestDraft, Vec<FieldError>) {
        let mut errors = Vec::new();
        let max_workers = match self.max_workers.trim() {
            "" => None,
            text => text.parse().map(Some).unwrap_or_else(|_| {
                errors.push(FieldError::new("max_workers", format!("expected 1 to {MAX_WORKERS}")));
                None
            }),
        };
        let draft = ScanRequestDraft {
            target: self.target.trim().to_owned(),
            mode: Some(self.mode.clone()),
            plugins: self.plugins.clone(),
            parallel: Some(self.parallel),
            max_workers,
            verbose: Some(self.verbose),
            dry_run: Some(self.dry_run),
            format: Some(self.format.clone()),
            overrides: self.overrides.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect(),
            priority: Some(self.priority.clone()),
            // The page asks by a field of its own, which is checked with the rest of the form.
            confirm_active: Some(true),
        };
        (draft, errors)
    }
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
    pub(crate) fn new(form: &SubmitForm, errors: &[FieldError], catalogue: Option<&CatalogueView>) -> Self {
        let error = |field: &str| {
            let messages: Vec<String> = errors.iter().filter(|error| error.field == field).map(|error| clean(&error.message)).collect();
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
        let groups = [group(PluginKind::Passive, "Passive plugins"), group(PluginKind::Active, "Active plugins (send attacks)")];
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
                    .map(|mode| Choice { value: mode.as_str(), label: mode_label(*mode), about: mode_about(*mode), is_chosen: form.mode == mode.as_str() })
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
                    .map(|format| Choice { value: format.as_str(), label: format_label(*format), about: "", is_chosen: form.format == format.as_str() })
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
            overrides: text("overrides", &form.overrides),
            confirm: form.confirm,
            confirm_error: error("confirm"),
            settings: catalogue.map(settings).unwrap_or_default(),
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
fn settings(catalogue: &CatalogueView) -> Vec<SettingHint> {
    let plugins = catalogue.settings.iter().flat_map(|settings| &settings.plugins);
    let hint = |plugin: &str, key: &str, rule: &SettingRule| SettingHint {
        name: clean(&format!("{plugin}.{key}")),
        about: clean(&rule.description),
        default: clean(&rule.default),
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
        let (draft, errors) = form.draft();
        assert_eq!(errors, []);
        assert_eq!((draft.target.as_str(), draft.parallel, draft.max_workers), ("example.com", Some(false), Some(7)));
        assert_eq!((draft.plugins, draft.overrides), (vec!["a".to_owned(), "b".into()], vec!["a.b=1".to_owned(), "c.d=2".into()]));
    }

    #[test]
    fn a_key_that_could_be_trouble_is_no_key() {
        let key = |text: &str| SubmitForm { key: text.into(), ..SubmitForm::fresh() }.idempotency_key(1);
        assert_eq!(key("a-1").as_deref(), Some("form-a-1"));
        assert_eq!((key(""), key("a b"), key(&"x".repeat(65))), (None, None, None));
    }
}
