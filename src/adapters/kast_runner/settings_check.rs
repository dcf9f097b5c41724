//! Checks the settings of a scan again, right before the start. It decrypts them and validates them
//! against the operator's policy and the settings schema of this node's scanner.

use std::ops::Deref;

use kastrel_actors::model::{ConfigOverride, Failure, FailureKind, ScanRequest, SettingNatures, SettingValue};
use kastrel_actors::policy::override_policy::{OverridePolicy, natures_of};
use kastrel_actors::policy::overrides::SettingsSchema;
use kastrel_actors::ports::{SecretSealer, secret_sealer};

/// The settings of a request with decrypted secrets, and their natures by the schema of this node's
/// scanner.
#[derive(Debug)]
pub(super) struct OpenSettings {
    pub(super) overrides: Vec<ConfigOverride>,
    pub(super) natures: SettingNatures,
}

impl Deref for OpenSettings {
    type Target = [ConfigOverride];

    fn deref(&self) -> &Self::Target {
        &self.overrides
    }
}

/// Decrypts and checks the settings of a request.
pub(super) fn open(
    request: &ScanRequest,
    policy: &OverridePolicy,
    sealer: &dyn SecretSealer,
    schema: Option<&SettingsSchema>,
) -> Result<OpenSettings, Failure> {
    let natures = schema.map(natures_of).unwrap_or_default();
    let mut overrides = request.overrides.clone();
    let out_of_scope = |why: String| Failure::new(FailureKind::OutOfScope, why);
    // A row of an earlier version may have a target that is no longer accepted.
    request.target.check().map_err(|error| out_of_scope(format!("the target {} {error}", request.target)))?;
    let locked = |overrides: &[ConfigOverride]| {
        let errors = policy.check(overrides, &natures);
        if errors.is_empty() {
            Ok(())
        } else {
            Err(out_of_scope(errors.into_iter().map(|error| error.message).collect::<Vec<_>>().join("; ")))
        }
    };
    locked(&overrides)?;
    let missing = |error: kastrel_actors::model::FieldError| Failure::new(FailureKind::NotStarted, error.message);
    secret_sealer::open_all(sealer, &request.target, &mut overrides).map_err(missing)?;
    // Marks further secrets: settings that only this scanner's schema declares as secret, and
    // settings that an earlier version stored in plain text.
    for one in &mut overrides {
        if let SettingValue::Plain(text) = &one.value
            && (one.is_secret() || natures.nature(&one.plugin, &one.key).secret)
        {
            one.value = SettingValue::Secret(text.clone());
        }
    }
    locked(&overrides)?;
    // The submission may have been accepted without a schema. The policy relies on the types: for
    // example, a number cannot name a file or a host.
    let wrong: Vec<String> = schema
        .map(|schema| schema.check(&overrides))
        .unwrap_or_default()
        .into_iter()
        .map(|error| error.message)
        .collect();
    if wrong.is_empty() {
        Ok(OpenSettings { overrides, natures })
    } else {
        Err(Failure::new(FailureKind::NotStarted, wrong.join("; ")))
    }
}

/// The decrypted values of the secrets.
pub(super) fn secrets(overrides: &[ConfigOverride]) -> Vec<String> {
    let secret = |one: &ConfigOverride| match &one.value {
        SettingValue::Secret(text) => Some(text.clone()),
        SettingValue::Plain(_) | SettingValue::Sealed(_) | SettingValue::Hidden => None,
    };
    overrides.iter().filter_map(secret).collect()
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::ScanRequestDraft;
    use kastrel_actors::policy::overrides::{SettingRule, ValueKind};
    use kastrel_actors::testing::TestSealer;

    use super::super::settings_text;
    use super::*;

    fn request(overrides: &[&str]) -> ScanRequest {
        let overrides = overrides.iter().map(ToString::to_string).collect();
        let mut request =
            ScanRequestDraft { target: "a.test".into(), overrides, ..ScanRequestDraft::default() }.check().unwrap();
        secret_sealer::resolve(
            &TestSealer,
            &request.target.clone(),
            &mut request.overrides,
            &[],
            Some(&Default::default()),
        )
        .unwrap();
        secret_sealer::seal_all(&TestSealer, &request.target.clone(), &mut request.overrides).unwrap();
        request
    }

    /// A value that satisfies a rule.
    fn fitting(rule: &SettingRule) -> String {
        let number = || rule.minimum.unwrap_or(1.0).to_string();
        match (rule.words.last(), rule.kinds.first()) {
            (Some(word), _) => word.clone(),
            (None, Some(ValueKind::Boolean)) => "true".into(),
            (None, Some(ValueKind::Integer | ValueKind::Number)) => number(),
            (None, Some(ValueKind::List)) if rule.items.contains(&ValueKind::Integer) => "80, 443".into(),
            (None, Some(ValueKind::List | ValueKind::Text | ValueKind::Nothing) | None) => "some text".into(),
        }
    }

    /// Locked are KAST's settings that name something outside of the scan, and those whose values
    /// are visible to all users of the machine. All others may be set, to a value of their type.
    #[test]
    fn settings_of_kast_with_external_names_are_locked_at_the_start() {
        let schema = settings_text::settings(include_str!("fixtures/config-schema.json")).unwrap();
        let open = |text: &str| open(&request(&[text]), &OverridePolicy::default(), &TestSealer, Some(&schema));
        let locked = [
            "zap.local.docker_image",
            "zap.local.container_name",
            "zap.local.api_port",
            "zap.local.api_key",
            "zap.remote.api_url",
            "zap.zap_config.automation_plan",
            "zap.zap_config.report_name",
            "subfinder.proxy",
            "wafw00f.proxy",
            "katana.proxy",
            "org_discovery.amass_extra_args",
            "mozilla_observatory.additional_args",
            "ftap.wordlist_path",
            "ftap.wordlist_source",
            "cors_analyzer.probe_paths",
        ];
        let rules =
            schema.plugins.iter().flat_map(|(plugin, keys)| keys.iter().map(move |(key, rule)| (plugin, key, rule)));
        let mut all = Vec::new();
        for (plugin, key, rule) in rules {
            let below = if key.ends_with('.') { "X-Test" } else { "" };
            let name = format!("{plugin}.{}", key.trim_end_matches('.'));
            let failure = open(&format!("{plugin}.{key}{below}={}", fitting(rule))).err();
            match failure {
                None => assert!(!locked.contains(&name.as_str()), "{name} is not locked"),
                Some(failure) => {
                    assert!(locked.contains(&name.as_str()), "{name}: {failure:?}");
                    assert!(
                        failure.kind == FailureKind::OutOfScope
                            && failure.detail.contains(&format!("`{name}` is locked")),
                        "{failure:?}"
                    );
                }
            }
            all.push(name);
        }
        for name in locked {
            assert!(all.iter().any(|one| one == name), "{name} is none of KAST's");
        }
    }

    #[test]
    fn value_refused_by_the_scanners_schema_does_not_start() {
        let schema = settings_text::settings(include_str!("fixtures/config-schema.json")).unwrap();
        for (text, part) in [
            (
                "related_sites.httpx_ports=http:1-65535",
                "`related_sites.httpx_ports`: expected elements of a whole number",
            ),
            ("whatweb.timeout=fast", "`whatweb.timeout`: expected a whole number"),
            ("whatweb.speed=1", "`whatweb.speed`: `whatweb` has no such setting"),
            ("nothing.x=1", "no plugin `nothing`"),
            ("zap.local=x", "`zap.local`"),
        ] {
            let failure = open(&request(&[text]), &OverridePolicy::default(), &TestSealer, Some(&schema)).unwrap_err();
            assert!(failure.kind == FailureKind::NotStarted && failure.detail.contains(part), "{text}: {failure:?}");
        }
        let secret =
            open(&request(&["secret:whatweb.timeout=hunter2"]), &OverridePolicy::default(), &TestSealer, Some(&schema))
                .unwrap_err();
        assert!(secret.kind == FailureKind::NotStarted && !secret.detail.contains("hunter2"), "{secret:?}");
    }

    #[test]
    fn secrets_are_decrypted_and_collected_for_the_redactor() {
        let opened = open(
            &request(&["zap.remote.api_key=hunter2", "whatweb.timeout=5"]),
            &OverridePolicy::default(),
            &TestSealer,
            None,
        )
        .unwrap();
        assert_eq!(secrets(&opened), ["hunter2"]);
        let mut moved = request(&["zap.remote.api_key=hunter2"]);
        moved.target = "b.test".parse().unwrap();
        let failure = open(&moved, &OverridePolicy::default(), &TestSealer, None).unwrap_err();
        assert!(
            failure.kind == FailureKind::NotStarted && failure.detail.contains("`zap.remote.api_key`"),
            "{failure:?}"
        );
        let hidden =
            open(&request(&["zap.remote.api_key=${AWS_SECRET}"]), &OverridePolicy::default(), &TestSealer, None)
                .unwrap_err();
        assert_eq!(hidden.kind, FailureKind::OutOfScope, "the value is judged where it is known");
    }

    #[test]
    fn target_of_an_earlier_version_is_checked_again() {
        let stored = ScanRequest { target: serde_json::from_str("\"10.0.0.1-5\"").unwrap(), ..request(&[]) };
        let failure = open(&stored, &OverridePolicy::default(), &TestSealer, None).unwrap_err();
        assert!(
            failure.kind == FailureKind::OutOfScope && failure.detail.contains("ranges are not supported"),
            "{failure:?}"
        );
    }
}
