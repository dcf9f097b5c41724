//! Lists: separated by commas in an environment variable, an array in the file.

use std::path::PathBuf;

use kastrel_actors::policy::group_roles::GroupRule;
use kastrel_actors::policy::override_policy::SettingPattern;
use kastrel_actors::policy::scope::ScopeRule;
use toml::Value;

use super::setting::Setting;

/// Splits `a, b` at its commas, and drops empty parts.
fn parts(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned)
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect()
}

/// A list of texts, each of which may have a syntax.
trait TextList: Sized {
    /// The text after "expected …".
    const EXPECTED: &'static str;

    /// Parses the entries; `None` if one is invalid.
    fn of(texts: Vec<String>) -> Option<Self>;

    /// Returns the entries as written.
    fn texts(&self) -> Vec<String>;
}

impl<T: TextList> Setting for T {
    const EXPECTED: &'static str = <T as TextList>::EXPECTED;

    fn from_text(text: &str) -> Option<Self> {
        Self::of(parts(text).collect())
    }

    fn from_toml(value: &Value) -> Option<Self> {
        strings(value).and_then(Self::of)
    }

    fn to_toml(&self) -> Value {
        self.texts().into()
    }
}

impl TextList for Vec<String> {
    const EXPECTED: &'static str = "a list of texts (in an environment variable: separated by commas)";

    fn of(texts: Self) -> Option<Self> {
        Some(texts)
    }

    fn texts(&self) -> Self {
        self.clone()
    }
}

/// The entries of an allow or deny list, as written and as parsed rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeRules {
    texts: Vec<String>,
    rules: Vec<ScopeRule>,
}

impl ScopeRules {
    /// Returns the parsed rules.
    #[must_use]
    pub fn rules(&self) -> &[ScopeRule] {
        &self.rules
    }
}

impl TextList for ScopeRules {
    const EXPECTED: &'static str = "a list of host names, addresses or ranges such as 10.0.0.0/8";

    fn of(texts: Vec<String>) -> Option<Self> {
        let rules = texts.iter().map(|text| text.parse().ok()).collect::<Option<_>>()?;
        Some(Self { texts, rules })
    }

    fn texts(&self) -> Vec<String> {
        self.texts.clone()
    }
}

/// The entries of a list of scanner settings, as written and as parsed patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingPatterns {
    texts: Vec<String>,
    patterns: Vec<SettingPattern>,
}

impl SettingPatterns {
    /// Returns the parsed patterns.
    #[must_use]
    pub fn patterns(&self) -> &[SettingPattern] {
        &self.patterns
    }
}

impl TextList for SettingPatterns {
    const EXPECTED: &'static str = "a list of scanner settings, each `plugin.key`, `plugin.*` or `*`";

    fn of(texts: Vec<String>) -> Option<Self> {
        let patterns = texts.iter().map(|text| text.parse().ok()).collect::<Option<_>>()?;
        Some(Self { texts, patterns })
    }

    fn texts(&self) -> Vec<String> {
        self.texts.clone()
    }
}

/// The addresses of proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyRules(ScopeRules);

impl ProxyRules {
    /// Returns the parsed rules.
    #[must_use]
    pub fn rules(&self) -> &[ScopeRule] {
        self.0.rules()
    }
}

impl TextList for ProxyRules {
    const EXPECTED: &'static str = "a list of addresses or ranges such as 127.0.0.1 or 10.0.0.0/8";

    fn of(texts: Vec<String>) -> Option<Self> {
        let rules = ScopeRules::of(texts)?;
        rules.rules.iter().all(|rule| matches!(rule, ScopeRule::Range(..))).then_some(Self(rules))
    }

    fn texts(&self) -> Vec<String> {
        self.0.texts()
    }
}

/// The roles that groups of the identity provider give.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupRules(Vec<GroupRule>);

impl GroupRules {
    /// Returns the rules.
    #[must_use]
    pub fn rules(&self) -> &[GroupRule] {
        &self.0
    }
}

impl TextList for GroupRules {
    const EXPECTED: &'static str = "a list of groups, each with a role on the server, such as `sec-admins=admin`, or in a project, such as `sec-team=web:operator`";

    fn of(texts: Vec<String>) -> Option<Self> {
        texts.iter().map(|text| text.parse().ok()).collect::<Option<_>>().map(Self)
    }

    fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

/// A list of folders, as absolute paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderList(Vec<PathBuf>);

impl FolderList {
    /// Returns the folders.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.0
    }
}

impl TextList for FolderList {
    const EXPECTED: &'static str = "a list of absolute paths";

    fn of(paths: Vec<String>) -> Option<Self> {
        let paths: Vec<PathBuf> = paths.into_iter().map(PathBuf::from).collect();
        paths.iter().all(|path| path.is_absolute()).then_some(Self(paths))
    }

    fn texts(&self) -> Vec<String> {
        self.0.iter().map(|path| path.to_string_lossy().into_owned()).collect()
    }
}

/// A list of names of environment variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VariableNames(Vec<String>);

impl VariableNames {
    /// Returns the names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl TextList for VariableNames {
    const EXPECTED: &'static str = "a list of names of environment variables, without values";

    fn of(names: Vec<String>) -> Option<Self> {
        let is_name = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        names.iter().all(is_name).then_some(Self(names))
    }

    fn texts(&self) -> Vec<String> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::setting::testing::read;
    use super::*;

    #[test]
    fn every_list_parses_what_it_writes() {
        assert_eq!(read("a, b,,c"), Some(vec!["a".to_owned(), "b".into(), "c".into()]));
        assert_eq!(read::<ScopeRules>("example.com, 10.0.0.0/8").map(|rules| rules.rules().len()), Some(2));
        assert_eq!(read::<ScopeRules>("10.0.0.0/99"), None);
        assert_eq!(
            read::<SettingPatterns>("zap.*, whatweb.timeout, *").map(|patterns| patterns.patterns().len()),
            Some(3)
        );
        assert_eq!(read::<SettingPatterns>("zap"), None);
        assert_eq!(read::<ProxyRules>("127.0.0.1, 2001:db8::/32").map(|rules| rules.rules().len()), Some(2));
        assert_eq!(read::<ProxyRules>("proxy.example"), None);
        let groups = read::<GroupRules>("sec-admins=admin, sec-team=web:operator").unwrap();
        assert_eq!(groups.texts(), ["sec-admins=admin", "sec-team=web:operator"]);
        for wrong in ["sec-admins", "sec-admins=owner", "sec-team=web:admin"] {
            assert_eq!(read::<GroupRules>(wrong), None, "{wrong}");
        }
        assert_eq!(read::<VariableNames>("API_KEY=secret"), None);
        assert_eq!(
            read::<VariableNames>("API_KEY").map(|names| names.names().to_vec()),
            Some(vec!["API_KEY".to_owned()])
        );
    }

    #[test]
    fn toml_list_must_be_an_array_of_texts() {
        assert_eq!(Vec::<String>::from_toml(&"a,b".into()), None);
        assert_eq!(Vec::<String>::from_toml(&Value::Array(vec![Value::Integer(1)])), None);
    }
}
