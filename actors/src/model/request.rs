//! A user's scan request: a draft of unchecked text, and a typed request after its check.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{HIDDEN_VALUE, SettingValue, Target, TraceContext, is_secret_name, is_secret_value};

/// The maximum number of workers that a scanner may use in parallel.
pub const MAX_WORKERS: u8 = 32;
const DEFAULT_WORKERS: u8 = 5;
const MAX_PLUGINS: usize = 100;
/// The maximum number of settings of a scan.
pub const MAX_OVERRIDES: usize = 100;

named_enum! {
    /// The plugins that run: KAST's `-m`. `active` runs only the active ones.
    pub enum ScanMode {
        /// Passive plugins, which send no attacks.
        Passive = "passive",
        /// Active plugins only, which send attacks.
        Active = "active",
        /// All plugins.
        Both = "both",
    }
}

named_enum! {
    /// The report's format: KAST's `--format`.
    pub enum ReportFormat {
        /// One HTML page.
        Html = "html",
        /// A PDF.
        Pdf = "pdf",
        /// HTML and PDF.
        Both = "both",
    }
}

impl ReportFormat {
    /// Returns the reports that this format requests.
    #[must_use]
    pub const fn files(self) -> ReportFiles {
        ReportFiles { html: matches!(self, Self::Html | Self::Both), pdf: matches!(self, Self::Pdf | Self::Both) }
    }
}

/// The reports that exist for an attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportFiles {
    /// The HTML page.
    pub html: bool,
    /// The PDF.
    pub pdf: bool,
}

named_enum! {
    /// The order in which scans start when not all can run.
    pub enum Priority {
        /// Before all others.
        High = "high",
        /// The default.
        Normal = "normal",
        /// After all others, but never starved.
        Low = "low",
    }
}

/// One `--set plugin.key=value`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConfigOverride {
    /// The plugin.
    pub plugin: String,
    /// The setting, possibly dotted.
    pub key: String,
    /// Its value.
    pub value: SettingValue,
}

/// The prefix for a setting whose value is a secret although its name does not show it:
/// `secret:plugin.key=value`.
pub const SECRET_MARK: &str = "secret:";

impl ConfigOverride {
    /// Returns the setting's full name: `plugin.key`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.plugin, self.key)
    }

    /// Returns true if the value is a secret: because of its mark, the setting's name, or its
    /// content, such as an address with a password.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.value.is_secret()
            || is_secret_name(&self.key)
            || self.value.clear().is_some_and(|value| is_secret_value(&self.key, value))
    }

    /// Returns `plugin.key=value`, with a secret value hidden.
    #[must_use]
    pub fn shown(&self) -> String {
        let value = self.value.clear().filter(|_| !self.is_secret()).unwrap_or(HIDDEN_VALUE);
        format!("{}.{}={value}", self.plugin, self.key)
    }

    /// Parses `plugin.key=value`, with the prefix `secret:` if the value is a secret.
    ///
    /// # Errors
    /// Returns a sentence that describes the error and does not contain the value.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "expected plugin.key=value";
        let (is_marked, text) = text.trim_start().strip_prefix(SECRET_MARK).map_or((false, text), |text| (true, text));
        let (path, value) = text.split_once('=').ok_or(FORM)?;
        let path = path.trim();
        let (plugin, key) = path.split_once('.').ok_or(FORM)?;
        // The message does not repeat the text: an invalid name may be part of a secret.
        if !is_name(plugin) || !key.split('.').all(is_name) {
            return Err(format!("{FORM}; plugin and key consist of letters, digits, `_` and `-`"));
        }
        if value.len() > 1000 || value.chars().any(char::is_control) {
            return Err(format!(
                "`{}`: the value is longer than 1000 bytes or contains control characters",
                printable(path)
            ));
        }
        let value = match value {
            HIDDEN_VALUE => SettingValue::Hidden,
            _ if is_marked => SettingValue::Secret(value.into()),
            _ => SettingValue::Plain(value.into()),
        };
        Ok(Self { plugin: plugin.into(), key: key.into(), value })
    }
}

/// The sealed value of a setting that a form showed as hidden and that the form submits again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSecret {
    /// `plugin.key`.
    pub name: String,
    /// The sealed value.
    pub sealed: String,
}

/// Returns true for letters, digits, `_` and `-`, not starting with `-`. Such a name is safe as
/// part of an argument and of a file name.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// A checked request. "Re-run" repeats it unchanged.
///
/// The options are stored beside the target, not in an object of their own: rows, backups and
/// messages have the same shape as those of the versions before [`ScanOptions`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ScanRequest {
    /// The target.
    pub target: Target,
    /// How to scan it.
    #[serde(flatten)]
    pub options: ScanOptions,
    /// Scanner settings. They are no options: some are secrets, which a row stores sealed and a
    /// reader sees hidden.
    #[serde(default)]
    pub overrides: Vec<ConfigOverride>,
}

/// The options of a scan. Forms and the command line set them, the scanner's arguments and the API
/// show them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScanOptions {
    /// The mode, which selects the plugins.
    pub mode: ScanMode,
    /// The selected plugins; empty means all plugins of the mode.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub plugins: Vec<String>,
    /// Whether plugins run in parallel.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub parallel: bool,
    /// The maximum number of parallel plugins, from 1 to 32.
    pub max_workers: u8,
    /// Whether the scanner log is verbose.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub verbose: bool,
    /// Whether this is a dry run, which only lists the steps.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub dry_run: bool,
    /// The report's format.
    pub format: ReportFormat,
    /// The priority in the queue.
    pub priority: Priority,
}

impl ScanRequest {
    /// Hides the secrets that an earlier version stored in clear text, identified by their
    /// settings' names or values.
    pub fn leave_out_clear_secrets(&mut self) {
        for one in self.overrides.iter_mut().filter(|one| one.is_secret() && one.value.clear().is_some()) {
            one.value = SettingValue::Hidden;
        }
    }
}

/// A scan to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewScan {
    /// The request.
    pub request: ScanRequest,
    /// The selected plugins that the scan leaves out because its mode does not run them.
    pub left_out: Vec<String>,
    /// The idempotency key, separated by principal (see
    /// [`IdempotencyKey::of`](super::IdempotencyKey::of)): a second submission with the same key
    /// returns the first one's scan.
    pub idempotency_key: Option<String>,
    /// The trace of the submission.
    pub trace: TraceContext,
    /// The scan that this one repeats.
    pub rerun_of: Option<super::ScanId>,
    /// Who submits it, and so owns it.
    pub submitted_by: super::Principal,
    /// The project that it belongs to.
    pub project: super::ProjectId,
}

/// An error in one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[error("{field}: {message}")]
pub struct FieldError {
    /// The name of the field in JSON and in the form.
    pub field: String,
    /// What is wrong with the field.
    pub message: String,
}

impl FieldError {
    /// Creates an error of `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// An unchecked request from JSON, a form or the command line. Every field except the target is
/// optional. It has no `ScanOptions` of its own, because serde cannot refuse unknown fields beside
/// a flattened struct.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(as = Submission, description = "A submission. Every field except the target is optional.")
)]
#[serde(deny_unknown_fields)]
pub struct ScanRequestDraft {
    /// A host, host:port, or http(s) URL.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(example = "example.com", required = true))]
    pub target: String,
    /// The mode, which selects the plugins.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<ScanMode>, default = "passive"))]
    pub mode: Option<String>,
    /// The plugin names; empty means all plugins of the mode.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 100))]
    pub plugins: Vec<String>,
    /// Whether plugins run in parallel.
    #[cfg_attr(feature = "openapi", schema(default = true))]
    pub parallel: Option<bool>,
    /// The maximum number of parallel plugins.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u8>, minimum = 1, maximum = 32, default = 5))]
    pub max_workers: Option<i64>,
    /// Whether the scanner writes a verbose log.
    #[cfg_attr(feature = "openapi", schema(default = false))]
    pub verbose: Option<bool>,
    /// Whether the scanner only lists its steps and scans nothing.
    #[cfg_attr(feature = "openapi", schema(default = false))]
    pub dry_run: Option<bool>,
    /// The report's format.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<ReportFormat>, default = "html"))]
    pub format: Option<String>,
    /// The overrides as `plugin.key=value`, with `secret:` in front of one whose value is a secret.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 100))]
    pub overrides: Vec<String>,
    /// The priority in the queue.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Priority>, default = "normal"))]
    pub priority: Option<String>,
    /// Confirms that you have permission to run active plugins against the target. Required in the
    /// modes active and both.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(default = false))]
    pub confirm_active: Option<bool>,
    /// The project of the scan. Left out: the default project, or the only one in which you may
    /// submit scans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The sealed values of hidden settings that a form submits again. Not part of the API.
    #[serde(skip)]
    pub kept: Vec<KeptSecret>,
}

/// What could be read of a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftFields {
    /// The target, if it is valid.
    pub target: Option<Target>,
    /// The mode, if it is valid.
    pub mode: Option<ScanMode>,
    /// The plugins, if all their names are valid.
    pub plugins: Option<Vec<String>>,
    /// The valid settings.
    pub overrides: Vec<ConfigOverride>,
    /// One [`FieldError`] for each invalid field, in the order of the fields.
    pub errors: Vec<FieldError>,
    format: ReportFormat,
    priority: Priority,
    max_workers: u8,
}

impl ScanRequestDraft {
    /// Checks every field and reports all errors, not only the first.
    ///
    /// # Errors
    /// One [`FieldError`] for each invalid field, in the order of the fields.
    pub fn check(&self) -> Result<ScanRequest, Vec<FieldError>> {
        self.request(self.read())
    }

    /// Reads every field by itself, so that an invalid field does not hide errors in the others.
    #[must_use]
    pub fn read(&self) -> DraftFields {
        let mut errors = Vec::new();
        let target = self
            .target
            .trim_matches(' ')
            .parse::<Target>()
            .map_err(|error| errors.push(FieldError::new("target", format!("the target {error}"))))
            .ok();
        let mode = name_or(&mut errors, "mode", self.mode.as_deref(), ScanMode::Passive);
        let format =
            name_or(&mut errors, "format", self.format.as_deref(), ReportFormat::Html).unwrap_or(ReportFormat::Html);
        let priority =
            name_or(&mut errors, "priority", self.priority.as_deref(), Priority::Normal).unwrap_or(Priority::Normal);
        let max_workers = match self.max_workers.map(u8::try_from) {
            None => DEFAULT_WORKERS,
            Some(Ok(count)) if (1..=MAX_WORKERS).contains(&count) => count,
            Some(_) => {
                errors.push(FieldError::new("max_workers", format!("expected 1 to {MAX_WORKERS}")));
                DEFAULT_WORKERS
            }
        };
        let wrong_plugin = if self.plugins.len() > MAX_PLUGINS {
            Some(format!("more than {MAX_PLUGINS} plugins"))
        } else {
            self.plugins
                .iter()
                .find(|name| !is_name(name))
                .map(|bad| format!("`{}` is not a plugin name", printable(bad)))
        };
        let mut plugins = self.plugins.clone();
        plugins.dedup();
        let plugins = wrong_plugin.is_none().then_some(plugins);
        errors.extend(wrong_plugin.map(|why| FieldError::new("plugins", why)));
        if self.overrides.len() > MAX_OVERRIDES {
            errors.push(FieldError::new("overrides", format!("more than {MAX_OVERRIDES} overrides")));
        }
        let mut overrides = Vec::new();
        for (text, number) in self.overrides.iter().take(MAX_OVERRIDES).zip(1..) {
            match ConfigOverride::parse(text) {
                Ok(one) => overrides.push(one),
                // A line without `=` may contain a secret anywhere.
                Err(why) if !why.starts_with('`') => {
                    errors.push(FieldError::new("overrides", format!("setting {number}: {why}")));
                }
                Err(why) => errors.push(FieldError::new("overrides", why)),
            }
        }
        DraftFields { target, mode, plugins, overrides, errors, format, priority, max_workers }
    }

    /// Returns the request of a draft whose fields are all valid.
    ///
    /// # Errors
    /// The errors of the fields.
    pub fn request(&self, fields: DraftFields) -> Result<ScanRequest, Vec<FieldError>> {
        let DraftFields { target, mode, plugins, overrides, errors, format, priority, max_workers } = fields;
        match (target, mode, plugins) {
            (Some(target), Some(mode), Some(plugins)) if errors.is_empty() => Ok(ScanRequest {
                target,
                options: ScanOptions {
                    mode,
                    plugins,
                    parallel: self.parallel.unwrap_or(true),
                    max_workers,
                    verbose: self.verbose.unwrap_or(false),
                    dry_run: self.dry_run.unwrap_or(false),
                    format,
                    priority,
                },
                overrides,
            }),
            _ => Err(errors),
        }
    }
}

/// Returns the named value, or the default of a missing or empty name.
fn name_or<T: std::str::FromStr<Err = super::UnknownName>>(
    errors: &mut Vec<FieldError>,
    field: &str,
    given: Option<&str>,
    default: T,
) -> Option<T> {
    match given.filter(|text| !text.is_empty()).map(str::parse) {
        None => Some(default),
        Some(Ok(value)) => Some(value),
        Some(Err(error)) => {
            errors.push(FieldError::new(field, printable(&error.to_string())));
            None
        }
    }
}

/// Returns the text without control characters, truncated to a length that fits an error message.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(160).collect()
}

/// A setting as stored in a row. An older version reads the sealed text as the value, and so passes
/// on no secret.
#[derive(Serialize, Deserialize)]
struct Stored {
    plugin: String,
    key: String,
    value: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    sealed: bool,
}

impl Serialize for ConfigOverride {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (value, sealed) = match &self.value {
            SettingValue::Plain(text) => (text.clone(), false),
            SettingValue::Sealed(text) => (text.clone(), true),
            // A secret in clear text never leaves the process in a row, message or file.
            SettingValue::Secret(_) | SettingValue::Hidden => (String::new(), true),
        };
        Stored { plugin: self.plugin.clone(), key: self.key.clone(), value, sealed }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ConfigOverride {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Stored { plugin, key, value, sealed } = Stored::deserialize(deserializer)?;
        let value = match (sealed, value) {
            (false, text) => SettingValue::Plain(text),
            (true, text) if text.is_empty() => SettingValue::Hidden,
            (true, text) => SettingValue::Sealed(text),
        };
        Ok(Self { plugin, key, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(target: &str) -> ScanRequestDraft {
        ScanRequestDraft { target: target.into(), ..ScanRequestDraft::default() }
    }

    #[test]
    fn draft_with_only_a_target_is_a_passive_scan_with_defaults() {
        let options = draft("example.com").check().unwrap().options;
        assert_eq!(
            (options.mode, options.format, options.priority),
            (ScanMode::Passive, ReportFormat::Html, Priority::Normal)
        );
        assert_eq!((options.max_workers, options.parallel, options.dry_run), (5, true, false));
    }

    #[test]
    fn stored_request_has_the_shape_of_earlier_versions() {
        // As a version without `ScanOptions` wrote it.
        let stored = r#"{"target":"example.com","mode":"both","plugins":["whatweb"],"parallel":true,"max_workers":7,
            "verbose":false,"dry_run":true,"format":"pdf","overrides":[{"plugin":"zap","key":"timeout","value":"9"}],
            "priority":"low"}"#;
        let request: ScanRequest = serde_json::from_str(stored).unwrap();
        assert_eq!(
            request.options,
            ScanOptions {
                mode: ScanMode::Both,
                plugins: vec!["whatweb".into()],
                parallel: true,
                max_workers: 7,
                verbose: false,
                dry_run: true,
                format: ReportFormat::Pdf,
                priority: Priority::Low,
            }
        );
        assert_eq!(request.overrides[0].shown(), "zap.timeout=9");
        let stored: serde_json::Value = serde_json::from_str(stored).unwrap();
        assert_eq!(serde_json::to_value(&request).unwrap(), stored, "an earlier version reads what this one writes");
    }

    #[test]
    fn stored_request_of_an_early_version_lacks_the_later_options() {
        let stored = r#"{"target":"example.com","mode":"passive","max_workers":5,"format":"html","priority":"normal"}"#;
        let request: ScanRequest = serde_json::from_str(stored).unwrap();
        assert!(!request.options.parallel && request.options.plugins.is_empty() && request.overrides.is_empty());
    }

    #[test]
    fn draft_refuses_unknown_fields() {
        for (text, is_known) in [(r#"{"target":"a.test"}"#, true), (r#"{}"#, true), (r#"{"colour":"red"}"#, false)] {
            assert_eq!(serde_json::from_str::<ScanRequestDraft>(text).is_ok(), is_known, "{text}");
        }
    }

    #[test]
    fn draft_check_reports_every_wrong_field() {
        let wrong = ScanRequestDraft {
            target: "-oX".into(),
            mode: Some("aggressive".into()),
            plugins: vec!["whatweb".into(), "--help".into()],
            max_workers: Some(33),
            format: Some("doc".into()),
            overrides: vec!["zap.x=1".into(), "novalue".into(), "a.b\u{7}=1".into()],
            priority: Some("urgent".into()),
            ..ScanRequestDraft::default()
        };
        let fields: Vec<String> = wrong.check().unwrap_err().into_iter().map(|error| error.field).collect();
        assert_eq!(
            fields,
            ["target", "mode", "format", "priority", "max_workers", "plugins", "overrides", "overrides"]
        );
    }

    #[test]
    fn worker_limits_are_inclusive() {
        for (count, ok) in [(0, false), (1, true), (32, true), (33, false), (-1, false), (257, false)] {
            let given = ScanRequestDraft { max_workers: Some(count), ..draft("example.com") };
            assert_eq!(given.check().is_ok(), ok, "{count}");
        }
    }

    #[test]
    fn overrides_keep_their_full_value() {
        let given = ScanRequestDraft { overrides: vec!["whatweb.user_agent=a=b c".into()], ..draft("example.com") };
        assert_eq!(given.check().unwrap().overrides[0].shown(), "whatweb.user_agent=a=b c");
    }

    #[test]
    fn secrets_are_hidden_by_name_and_by_mark_and_no_error_repeats_a_value() {
        for (given, shown) in [
            ("zap.remote.api_key=hunter2", "zap.remote.api_key=••••••"),
            ("secret:whatweb.user_agent=hunter2", "whatweb.user_agent=••••••"),
            ("whatweb.user_agent=••••••", "whatweb.user_agent=••••••"),
            ("whatweb.user_agent=plain", "whatweb.user_agent=plain"),
            ("katana.proxy=http://user:hunter2@proxy:3128", "katana.proxy=••••••"),
            ("katana.proxy=http://proxy:3128", "katana.proxy=http://proxy:3128"),
            (
                "script_detection.custom_headers={\"Authorization\": \"hunter2\"}",
                "script_detection.custom_headers=••••••",
            ),
        ] {
            assert_eq!(ConfigOverride::parse(given).unwrap().shown(), shown);
        }
        let with_breaks =
            ["api_key hunter2", "api_key=hunter2", "zap.a b=hunter2", "zap.token=hunter2\u{7}", "secret:hunter2"];
        for given in with_breaks.into_iter().chain([
            "Authorization: Bearer hunter2.x=",
            "hunter2=",
            "--set zap.api_key hunter2.a=b",
            "zap.hunter2!=x",
        ]) {
            let why = ConfigOverride::parse(given).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}
