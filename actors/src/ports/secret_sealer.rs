//! The port for sealing secrets at rest, and the rules for the secrets of scans and forms.

use crate::model::{ConfigOverride, FieldError, KeptSecret, SettingNatures, SettingValue, Target};

/// The reason why a secret cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The secret was sealed with another key.
    #[error(
        "it was sealed with the key {sealed_with}, and this process has the key {own}: give all processes of one database the same secrets.key_file, or enter the value again"
    )]
    OtherKey {
        /// The name of the key that sealed it.
        sealed_with: String,
        /// The name of this process's key.
        own: String,
    },
    /// The value was not sealed with this key for this setting and target.
    #[error(
        "the stored value belongs to another target, or to other addresses, images or files in the settings beside it; enter it again"
    )]
    Broken,
    /// No value is stored.
    #[error("its value is not stored; enter it again")]
    Missing,
    /// This process has no key.
    #[error(
        "this process has no key for secrets: give it the secrets.key_file of the process that accepted the scan, or enter the value again"
    )]
    NoKey,
    /// The key cannot be used.
    #[error("{0}")]
    Unusable(String),
}

/// Seals and opens secrets. Sealing is deterministic: the same secret for the same purpose has the
/// same sealed form, so a repeated submission is the same request.
pub trait SecretSealer: std::fmt::Debug + Send + Sync + 'static {
    /// Seals `clear` for a purpose. It can only be opened for the same purpose.
    ///
    /// # Errors
    /// This process has no key.
    fn seal(&self, purpose: &str, clear: &str) -> Result<String, SealError>;

    /// Opens a value that [`seal`](Self::seal) made for the same purpose.
    ///
    /// # Errors
    /// The value was sealed with another key or for another purpose, or this process has no key.
    fn open(&self, purpose: &str, sealed: &str) -> Result<String, SealError>;
}

/// A sealer without a key, for processes that have none. It refuses a scan with a secret.
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

/// The purpose of a scan's secret: its setting and its target. The value cannot be opened for
/// another target, so a user cannot send a stored secret to a host of their own.
fn of_scan(name: &str, target: &Target) -> String {
    format!("scan\n{name}\n{target}")
}

/// The purpose of a value that was typed into a form and is submitted with it again.
fn of_form(name: &str) -> String {
    format!("form\n{name}")
}

/// The purpose of the second seal around a scan's sealed secret while a form holds it. It also
/// covers what the other settings name, so a changed form does not send the secret to another host.
fn of_loan(name: &str, target: &Target, beside: &str) -> String {
    format!("loan\n{name}\n{target}\n{beside}")
}

/// The resources that the locked settings of a scan name: addresses, proxies, images, files. A
/// setting with a kept value counts as unchanged; [`resolve`] verifies that.
fn named_beside(overrides: &[ConfigOverride], natures: &SettingNatures) -> String {
    let locked = overrides.iter().filter(|one| is_locked(one, natures));
    let mut lines: Vec<(String, String)> = locked
        .map(|one| match &one.value {
            SettingValue::Plain(text) if !is_secret(one, natures) => (one.name(), format!("={text}")),
            SettingValue::Plain(_) | SettingValue::Secret(_) => (one.name(), " is new".to_owned()),
            SettingValue::Sealed(_) | SettingValue::Hidden => (one.name(), " is kept".to_owned()),
        })
        .collect();
    // Of two values of one setting the last counts, so the sort is stable and orders by name only.
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    lines.into_iter().map(|(name, what)| name + &what).collect::<Vec<_>>().join("\n")
}

fn is_locked(one: &ConfigOverride, natures: &SettingNatures) -> bool {
    natures.nature(&one.plugin, &one.key).lock.is_some()
}

fn is_secret(one: &ConfigOverride, natures: &SettingNatures) -> bool {
    one.is_secret() || natures.nature(&one.plugin, &one.key).secret
}

fn refused(one: &ConfigOverride, why: &SealError) -> FieldError {
    FieldError::new("overrides", format!("`{}`: {why}", one.name()))
}

/// The origin of a kept value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Scan,
    Form,
}

fn bring_back(
    sealer: &dyn SecretSealer,
    target: &Target,
    name: &str,
    beside: &str,
    kept: &KeptSecret,
) -> Result<(String, Source), SealError> {
    match sealer.open(&of_loan(name, target, beside), &kept.sealed) {
        Ok(sealed) => sealer.open(&of_scan(name, target), &sealed).map(|clear| (clear, Source::Scan)),
        Err(SealError::Broken) => sealer.open(&of_form(name), &kept.sealed).map(|clear| (clear, Source::Form)),
        Err(other) => Err(other),
    }
}

/// Turns the values of secret settings into secrets, and inserts the values that a form kept.
/// `natures` describes the known settings of the scanner. `None` means that no scanner is known
/// yet; any value may then be a secret, so all become secrets.
///
/// # Errors
/// A value is hidden and no kept value can replace it.
pub fn resolve(
    sealer: &dyn SecretSealer,
    target: &Target,
    overrides: &mut [ConfigOverride],
    kept: &[KeptSecret],
    natures: Option<&SettingNatures>,
) -> Result<(), Vec<FieldError>> {
    let unknown = SettingNatures::default();
    let known = natures.unwrap_or(&unknown);
    let beside = named_beside(overrides, known);
    let mut errors = Vec::new();
    let mut is_changed = false;
    let mut of_a_scan = Vec::new();
    for (at, one) in overrides.iter_mut().enumerate() {
        let name = one.name();
        match &one.value {
            SettingValue::Plain(text) if natures.is_none() || is_secret(one, known) => {
                one.value = SettingValue::Secret(text.clone());
            }
            SettingValue::Hidden => {
                // The last kept value of a name is the newest and the only one that is tried, so
                // the cost of a form is bounded by the number of its settings.
                let newest = kept.iter().rev().find(|kept| kept.name == name);
                match newest.ok_or(SealError::Missing).and_then(|kept| bring_back(sealer, target, &name, &beside, kept))
                {
                    Ok((clear, source)) => {
                        is_changed |= source == Source::Form && is_locked(one, known);
                        of_a_scan.extend((source == Source::Scan).then_some(at));
                        one.value = SettingValue::Secret(clear);
                    }
                    Err(why) => errors.push(refused(one, &why)),
                }
            }
            SettingValue::Plain(_) | SettingValue::Secret(_) | SettingValue::Sealed(_) => {}
        }
    }
    if is_changed {
        errors.extend(
            of_a_scan.into_iter().filter_map(|at| overrides.get(at)).map(|one| refused(one, &SealError::Broken)),
        );
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Returns an error for each hidden value that has no kept value: nothing can replace it, whatever
/// the target is.
#[must_use]
pub fn missing(overrides: &[ConfigOverride], kept: &[KeptSecret]) -> Vec<FieldError> {
    let is_missing = |one: &&ConfigOverride| {
        let name = one.name();
        one.value == SettingValue::Hidden && !kept.iter().any(|kept| kept.name == name)
    };
    overrides.iter().filter(is_missing).map(|one| refused(one, &SealError::Missing)).collect()
}

/// Seals the secrets of a scan of `target`, before they are stored in a row.
///
/// # Errors
/// This process has no key.
pub fn seal_all(
    sealer: &dyn SecretSealer,
    target: &Target,
    overrides: &mut [ConfigOverride],
) -> Result<(), FieldError> {
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
/// A secret cannot be opened.
pub fn open_all(
    sealer: &dyn SecretSealer,
    target: &Target,
    overrides: &mut [ConfigOverride],
) -> Result<(), FieldError> {
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

/// Returns true if two lists of settings for `target` have the same values, however the values are
/// kept.
#[must_use]
pub fn are_same(sealer: &dyn SecretSealer, target: &Target, one: &[ConfigOverride], other: &[ConfigOverride]) -> bool {
    let opened = |overrides: &[ConfigOverride]| {
        let mut overrides = overrides.to_vec();
        open_all(sealer, target, &mut overrides).ok()?;
        Some(
            overrides
                .into_iter()
                .map(|one| (one.name(), one.value.clear().unwrap_or_default().to_owned()))
                .collect::<Vec<_>>(),
        )
    };
    one == other || opened(one).is_some_and(|one| opened(other) == Some(one))
}

/// Returns the kept form of a value that was typed into a form and that the form does not show.
/// `None` if there is no key; the user must then enter the value again.
#[must_use]
pub fn keep(sealer: &dyn SecretSealer, name: &str, clear: &str) -> Option<KeptSecret> {
    let sealed = sealer.seal(&of_form(name), clear).ok()?;
    Some(KeptSecret { name: name.to_owned(), sealed })
}

/// Returns the secrets of an earlier scan for its form. They can only be opened for the same target
/// and the same locked settings.
#[must_use]
pub fn keep_of_scan(
    sealer: &dyn SecretSealer,
    target: &Target,
    overrides: &[ConfigOverride],
    natures: &SettingNatures,
) -> Vec<KeptSecret> {
    let beside = named_beside(overrides, natures);
    let lend = |one: &ConfigOverride| {
        let SettingValue::Sealed(sealed) = &one.value else { return None };
        let name = one.name();
        let sealed = sealer.seal(&of_loan(&name, target, &beside), sealed).ok()?;
        Some(KeptSecret { name, sealed })
    };
    overrides.iter().filter_map(lend).collect()
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
        let sealer = TestSealer;
        let mut overrides =
            vec![one("zap.remote.api_key=hunter2"), one("secret:whatweb.user_agent=hunter2"), one("whatweb.timeout=5")];
        resolve(&sealer, &target("a.test"), &mut overrides, &[], Some(&SettingNatures::default())).unwrap();
        seal_all(&sealer, &target("a.test"), &mut overrides).unwrap();
        let json = serde_json::to_string(&overrides).unwrap();
        assert!(!json.contains("hunter2") && json.contains("\"5\""), "{json}");
        let mut stored: Vec<ConfigOverride> = serde_json::from_str(&json).unwrap();
        let mut elsewhere = stored.clone();
        open_all(&sealer, &target("a.test"), &mut stored).unwrap();
        let clear: Vec<_> = stored.iter().map(|one| one.value.clear().unwrap()).collect();
        assert_eq!(clear, ["hunter2", "hunter2", "5"]);
        let error = open_all(&sealer, &target("b.test"), &mut elsewhere).unwrap_err();
        assert!(error.message.contains("`zap.remote.api_key`"), "{error}");
    }

    /// The settings of a scan of a.test as its row holds them.
    fn stored(texts: &[&str]) -> Vec<ConfigOverride> {
        let mut overrides: Vec<_> = texts.iter().map(|text| one(text)).collect();
        resolve(&TestSealer, &target("a.test"), &mut overrides, &[], Some(&SettingNatures::default())).unwrap();
        seal_all(&TestSealer, &target("a.test"), &mut overrides).unwrap();
        overrides
    }

    #[test]
    fn hidden_value_is_restored_from_a_form_or_from_a_scan_of_the_same_target() {
        let (sealer, natures) = (TestSealer, SettingNatures::default());
        let row = stored(&["secret:a.b=hunter2"]);
        let SettingValue::Sealed(sealed) = row[0].value.clone() else { panic!() };
        let of_row = KeptSecret { name: "a.b".into(), sealed };
        let of_scan = keep_of_scan(&sealer, &target("a.test"), &row, &natures).remove(0);
        let of_form = keep(&sealer, "a.b", "hunter2").unwrap();
        let older = keep(&sealer, "a.b", "older").unwrap();
        for (kept, host, comes_back) in [
            (vec![], "a.test", false),
            (vec![of_scan.clone()], "a.test", true),
            (vec![of_scan.clone()], "b.test", false),
            // A form cannot use the sealed value of a row or a backup.
            (vec![of_row], "a.test", false),
            (vec![of_form.clone()], "b.test", true),
            (vec![of_scan.clone(), of_form.clone()], "b.test", true),
            (vec![older.clone(), of_form.clone()], "b.test", true),
            (vec![older, of_scan], "a.test", true),
            (vec![KeptSecret { name: "a.c".into(), ..of_form.clone() }], "a.test", false),
            (vec![KeptSecret { sealed: "x".into(), ..of_form }], "a.test", false),
        ] {
            let mut given = vec![one("a.b=••••••")];
            let result = resolve(&sealer, &target(host), &mut given, &kept, Some(&natures));
            assert_eq!(result.is_ok(), comes_back, "{kept:?} {host}");
            assert_eq!(given[0].value.clear(), comes_back.then_some("hunter2"));
        }
    }

    #[test]
    fn a_secret_of_a_scan_comes_back_only_beside_the_same_addresses() {
        let (sealer, natures, host) = (TestSealer, SettingNatures::default(), target("a.test"));
        let row = stored(&[
            "zap.remote.api_url=http://zap",
            "katana.proxy=http://u:pw@proxy",
            "zap.remote.api_key=hunter2",
            "whatweb.timeout=5",
        ]);
        let of_scan = keep_of_scan(&sealer, &host, &row, &natures);
        let hidden = ["zap.remote.api_url=http://zap", "katana.proxy=••••••", "zap.remote.api_key=••••••"];
        let with = |at: usize, text: &'static str| {
            let mut given = hidden.to_vec();
            given[at] = text;
            given
        };
        let evil = keep(&sealer, "katana.proxy", "http://evil").unwrap();
        let with_evil: Vec<KeptSecret> = of_scan.iter().cloned().chain([evil]).collect();
        for (given, kept, comes_back) in [
            (hidden.to_vec(), &of_scan, true),
            (vec![hidden[2], hidden[1], hidden[0], "whatweb.timeout=60"], &of_scan, true),
            (with(0, "zap.remote.api_url=http://evil"), &of_scan, false),
            (with(0, "secret:zap.remote.api_url=http://evil"), &of_scan, false),
            (with(0, "whatweb.timeout=5"), &of_scan, false),
            (with(1, "katana.proxy=http://evil"), &of_scan, false),
            (with(1, "katana.proxy=http://u:pw@evil"), &of_scan, false),
            (with(1, "secret:katana.proxy=http://evil"), &of_scan, false),
            (vec![hidden[0], hidden[1], hidden[2], "zap.remote.api_url=http://evil"], &of_scan, false),
            (vec![hidden[0], hidden[1], hidden[2], "zap.local.docker_image=evil"], &of_scan, false),
            (hidden.to_vec(), &with_evil, false),
        ] {
            let mut overrides: Vec<_> = given.iter().map(|text| one(text)).collect();
            let result = resolve(&sealer, &host, &mut overrides, kept, Some(&natures));
            assert_eq!(result.is_ok(), comes_back, "{given:?}: {result:?}");
        }
    }

    /// Counts the calls of `open`.
    #[derive(Debug, Default)]
    struct Counting(std::sync::atomic::AtomicUsize);

    impl SecretSealer for Counting {
        fn seal(&self, purpose: &str, clear: &str) -> Result<String, SealError> {
            TestSealer.seal(purpose, clear)
        }

        fn open(&self, purpose: &str, sealed: &str) -> Result<String, SealError> {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            TestSealer.open(purpose, sealed)
        }
    }

    #[test]
    fn a_form_full_of_kept_values_costs_no_more_than_its_settings() {
        let sealer = Counting::default();
        let kept = vec![KeptSecret { name: "a.b".into(), sealed: "x".into() }; 1000];
        let mut given = vec![one("a.b=••••••"); 100];
        assert!(resolve(&sealer, &target("a.test"), &mut given, &kept, None).is_err());
        assert!(sealer.0.into_inner() <= 200);
    }

    #[test]
    fn as_long_as_no_scanner_is_known_every_value_is_a_secret() {
        let mut given = vec![one("a.b=x")];
        resolve(&TestSealer, &target("a.test"), &mut given, &[], None).unwrap();
        seal_all(&TestSealer, &target("a.test"), &mut given).unwrap();
        assert!(matches!(given[0].value, SettingValue::Sealed(_)));
        assert!(
            are_same(&TestSealer, &target("a.test"), &given, &[one("a.b=x")]),
            "and the same submission later is the same"
        );
        assert!(!are_same(&TestSealer, &target("a.test"), &given, &[one("a.b=y")]));
        assert!(!are_same(&TestSealer, &target("a.test"), &given, &[]));
    }

    #[test]
    fn secret_is_refused_without_a_key() {
        let mut overrides = vec![one("secret:a.b=x")];
        assert!(seal_all(&NoSealer, &target("a.test"), &mut overrides).is_err());
        assert_eq!(keep(&NoSealer, "a.b", "x"), None);
    }
}
