//! Secrets at rest.

use crate::model::{ConfigOverride, FieldError, KeptSecret, SettingNatures, SettingValue, Target};

/// Why a secret cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Sealed with another key.
    #[error(
        "it was sealed with the key {sealed_with}, and this process has the key {own}: give all processes of one database the same secrets.key_file, or enter the value again"
    )]
    OtherKey {
        /// The name of the key that sealed it.
        sealed_with: String,
        /// The name of the key of this process.
        own: String,
    },
    /// Not what this key sealed for this setting and target.
    #[error("the stored value was not sealed for this setting and this target; enter it again")]
    Broken,
    /// Nothing is stored.
    #[error("its value is not stored; enter it again")]
    Missing,
    /// There is no key.
    #[error("this process has no key for secrets: give it the secrets.key_file of the process that accepted the scan, or enter the value again")]
    NoKey,
    /// The key cannot be used.
    #[error("{0}")]
    Unusable(String),
}

/// Seals and opens secrets. The same secret for the same purpose has the same sealed form, so that a repeated submission is the same request.
pub trait SecretSealer: std::fmt::Debug + Send + Sync + 'static {
    /// Seals `clear` for a purpose, without which it cannot be opened.
    ///
    /// # Errors
    /// There is no key.
    fn seal(&self, purpose: &str, clear: &str) -> Result<String, SealError>;

    /// Opens what [`seal`](Self::seal) made for the same purpose.
    ///
    /// # Errors
    /// It was sealed otherwise, or there is no key.
    fn open(&self, purpose: &str, sealed: &str) -> Result<String, SealError>;
}

/// Seals nothing: for processes that have no key. A scan with a secret is refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSealer;

impl SecretSealer for NoSealer {
    fn seal(&self, _purpose: &str, _clear: &str) -> Result<String, SealError> {
        Err(SealError::NoKey)
    }

    fn open(&self, _purpose: &str, _sealed: &str) -> Result<String, SealError> {
        Err(SealError::NoKey)
    }
}

/// What the secret of a scan is sealed for: its setting and its target. With another target it is of no use, so that nobody sends a stored secret to a host of their own.
fn of_scan(name: &str, target: &Target) -> String {
    format!("scan\n{name}\n{target}")
}

/// What a value is sealed for that a form brings back.
fn of_form(name: &str) -> String {
    format!("form\n{name}")
}

fn refused(one: &ConfigOverride, why: &SealError) -> FieldError {
    FieldError::new("overrides", format!("`{}`: {why}", one.name()))
}

/// Makes the values of secret settings secrets, and puts the values in place that a form kept.
///
/// # Errors
/// A value is hidden and nothing brings it back.
pub fn resolve(
    sealer: &dyn SecretSealer,
    target: &Target,
    overrides: &mut [ConfigOverride],
    kept: &[KeptSecret],
    natures: &SettingNatures,
) -> Result<(), Vec<FieldError>> {
    let mut errors = Vec::new();
    for one in overrides {
        let name = one.name();
        match &one.value {
            SettingValue::Plain(text) if natures.nature(&one.plugin, &one.key).secret => one.value = SettingValue::Secret(text.clone()),
            SettingValue::Hidden => {
                let opened = kept.iter().filter(|kept| kept.name == name).map(|kept| {
                    sealer.open(&of_scan(&name, target), &kept.sealed).or_else(|error| match error {
                        SealError::Broken => sealer.open(&of_form(&name), &kept.sealed),
                        other => Err(other),
                    })
                });
                match opened.reduce(Result::or).unwrap_or(Err(SealError::Missing)) {
                    Ok(clear) => one.value = SettingValue::Secret(clear),
                    Err(why) => errors.push(refused(one, &why)),
                }
            }
            SettingValue::Plain(_) | SettingValue::Secret(_) | SettingValue::Sealed(_) => {}
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Seals the secrets of a scan of `target`, before a row holds them.
///
/// # Errors
/// There is no key.
pub fn seal_all(sealer: &dyn SecretSealer, target: &Target, overrides: &mut [ConfigOverride]) -> Result<(), FieldError> {
    for one in overrides {
        let SettingValue::Secret(clear) = &one.value else { continue };
        let sealed = sealer.seal(&of_scan(&one.name(), target), clear).map_err(|why| refused(one, &why))?;
        one.value = SettingValue::Sealed(sealed);
    }
    Ok(())
}

/// Opens the secrets of a scan of `target`, for its scanner.
///
/// # Errors
/// One cannot be opened.
pub fn open_all(sealer: &dyn SecretSealer, target: &Target, overrides: &mut [ConfigOverride]) -> Result<(), FieldError> {
    for one in overrides {
        let opened = match &one.value {
            SettingValue::Sealed(sealed) => sealer.open(&of_scan(&one.name(), target), sealed),
            SettingValue::Hidden => Err(SealError::Missing),
            SettingValue::Plain(_) | SettingValue::Secret(_) => continue,
        };
        one.value = SettingValue::Secret(opened.map_err(|why| refused(one, &why))?);
    }
    Ok(())
}

/// What a form keeps of a value that it does not show. `None`: there is no key, and it must be entered again.
#[must_use]
pub fn keep(sealer: &dyn SecretSealer, name: &str, clear: &str) -> Option<KeptSecret> {
    let sealed = sealer.seal(&of_form(name), clear).ok()?;
    Some(KeptSecret { name: name.to_owned(), sealed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestSealer;

    fn target(text: &str) -> Target {
        text.parse().unwrap()
    }

    fn one(text: &str) -> ConfigOverride {
        ConfigOverride::parse(text).unwrap()
    }

    #[test]
    fn a_secret_is_sealed_for_its_setting_and_its_target() {
        let sealer = TestSealer::default();
        let mut overrides = vec![one("zap.local.api_key=hunter2"), one("secret:whatweb.user_agent=hunter2"), one("whatweb.timeout=5")];
        resolve(&sealer, &target("a.test"), &mut overrides, &[], &SettingNatures::default()).unwrap();
        seal_all(&sealer, &target("a.test"), &mut overrides).unwrap();
        let json = serde_json::to_string(&overrides).unwrap();
        assert!(!json.contains("hunter2") && json.contains("\"5\""), "{json}");
        let mut stored: Vec<ConfigOverride> = serde_json::from_str(&json).unwrap();
        let mut elsewhere = stored.clone();
        open_all(&sealer, &target("a.test"), &mut stored).unwrap();
        let clear: Vec<_> = stored.iter().map(|one| one.value.clear().unwrap()).collect();
        assert_eq!(clear, ["hunter2", "hunter2", "5"]);
        let error = open_all(&sealer, &target("b.test"), &mut elsewhere).unwrap_err();
        assert!(error.message.contains("`zap.local.api_key`"), "{error}");
    }

    #[test]
    fn a_hidden_value_comes_back_from_a_form_or_from_a_scan_of_the_same_target() {
        let (sealer, natures) = (TestSealer::default(), SettingNatures::default());
        let mut stored = vec![one("secret:a.b=hunter2")];
        seal_all(&sealer, &target("a.test"), &mut stored).unwrap();
        let SettingValue::Sealed(sealed) = stored[0].value.clone() else { panic!() };
        let of_scan = KeptSecret { name: "a.b".into(), sealed };
        let of_form = keep(&sealer, "a.b", "hunter2").unwrap();
        for (kept, host, comes_back) in [
            (vec![], "a.test", false),
            (vec![of_scan.clone()], "a.test", true),
            (vec![of_scan.clone()], "b.test", false),
            (vec![of_form.clone()], "b.test", true),
            (vec![of_scan, of_form.clone()], "b.test", true),
            (vec![KeptSecret { name: "a.c".into(), ..of_form.clone() }], "a.test", false),
            (vec![KeptSecret { sealed: "x".into(), ..of_form }], "a.test", false),
        ] {
            let mut given = vec![one("a.b=••••••")];
            let result = resolve(&sealer, &target(host), &mut given, &kept, &natures);
            assert_eq!(result.is_ok(), comes_back, "{kept:?} {host}");
            assert_eq!(given[0].value.clear(), comes_back.then_some("hunter2"));
        }
    }

    #[test]
    fn without_a_key_a_secret_is_refused() {
        let mut overrides = vec![one("secret:a.b=x")];
        assert!(seal_all(&NoSealer, &target("a.test"), &mut overrides).is_err());
        assert_eq!(keep(&NoSealer, "a.b", "x"), None);
    }
}
