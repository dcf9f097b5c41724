//! The settings of a scan once more, right before the start: opened, and held against the operator's policy and what this node's scanner says of its settings.

use kastrel_actors::model::{ConfigOverride, Failure, FailureKind, ScanRequest, SettingValue};
use kastrel_actors::policy::override_policy::{OverridePolicy, natures_of};
use kastrel_actors::policy::overrides::SettingsSchema;
use kastrel_actors::ports::{SecretSealer, secret_sealer};

/// The settings of a request with their secrets in clear.
pub(super) fn open(
    request: &ScanRequest,
    policy: &OverridePolicy,
    sealer: &dyn SecretSealer,
    schema: Option<&SettingsSchema>,
) -> Result<Vec<ConfigOverride>, Failure> {
    let natures = schema.map(natures_of).unwrap_or_default();
    let mut overrides = request.overrides.clone();
    let out_of_scope = |why: String| Failure::new(FailureKind::OutOfScope, why);
    // A row of an earlier version may hold a target that is not accepted any more.
    request.target.check().map_err(|error| out_of_scope(format!("the target {} {error}", request.target)))?;
    let locked = |overrides: &[ConfigOverride]| {
        let errors = policy.check(overrides, &natures);
        if errors.is_empty() { Ok(()) } else { Err(out_of_scope(errors.into_iter().map(|error| error.message).collect::<Vec<_>>().join("; "))) }
    };
    locked(&overrides)?;
    let missing = |error: kastrel_actors::model::FieldError| Failure::new(FailureKind::NotStarted, error.message);
    secret_sealer::open_all(sealer, &request.target, &mut overrides).map_err(missing)?;
    // What only this scanner's schema marks as a secret, and what an earlier version stored in clear.
    for one in &mut overrides {
        if let SettingValue::Plain(text) = &one.value
            && natures.nature(&one.plugin, &one.key).secret
        {
            one.value = SettingValue::Secret(text.clone());
        }
    }
    locked(&overrides)?;
    Ok(overrides)
}

/// The secret values in clear.
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
    use kastrel_actors::testing::TestSealer;

    use super::super::settings_text;
    use super::*;

    fn request(overrides: &[&str]) -> ScanRequest {
        let overrides = overrides.iter().map(ToString::to_string).collect();
        let mut request = ScanRequestDraft { target: "a.test".into(), overrides, ..ScanRequestDraft::default() }.check().unwrap();
        secret_sealer::resolve(&TestSealer, &request.target.clone(), &mut request.overrides, &[], &Default::default()).unwrap();
        secret_sealer::seal_all(&TestSealer, &request.target.clone(), &mut request.overrides).unwrap();
        request
    }

    /// The twelve settings of KAST that name something beyond the scan, each with its name, and what else it has.
    #[test]
    fn every_setting_of_kast_that_names_something_is_locked_at_the_start() {
        let schema = settings_text::settings(include_str!("fixtures/config-schema.json")).unwrap();
        let open = |text: &str| open(&request(&[text]), &OverridePolicy::default(), &TestSealer, Some(&schema));
        let locked = [
            "zap.local.docker_image",
            "zap.local.container_name",
            "zap.local.api_port",
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
        let all: Vec<String> =
            schema.plugins.iter().flat_map(|(plugin, keys)| keys.keys().map(move |key| format!("{plugin}.{}", key.trim_end_matches('.')))).collect();
        for name in &all {
            let failure = open(&format!("{name}=8080")).err();
            let is_locked = failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::OutOfScope && failure.detail.contains(&format!("`{name}`")));
            assert_eq!(is_locked, locked.contains(&name.as_str()), "{name}: {failure:?}");
        }
        for name in locked {
            assert!(all.iter().any(|one| one == name), "{name} is none of KAST's");
        }
    }

    #[test]
    fn secrets_are_opened_for_the_scanner_and_known_to_the_log() {
        let opened = open(&request(&["zap.local.api_key=hunter2", "whatweb.timeout=5"]), &OverridePolicy::default(), &TestSealer, None).unwrap();
        assert_eq!(secrets(&opened), ["hunter2"]);
        let mut moved = request(&["zap.local.api_key=hunter2"]);
        moved.target = "b.test".parse().unwrap();
        let failure = open(&moved, &OverridePolicy::default(), &TestSealer, None).unwrap_err();
        assert!(failure.kind == FailureKind::NotStarted && failure.detail.contains("`zap.local.api_key`"), "{failure:?}");
        let hidden = open(&request(&["zap.local.api_key=${AWS_SECRET}"]), &OverridePolicy::default(), &TestSealer, None).unwrap_err();
        assert_eq!(hidden.kind, FailureKind::OutOfScope, "the value is judged where it is known");
    }

    #[test]
    fn a_target_of_an_earlier_version_is_judged_again() {
        let stored = ScanRequest { target: serde_json::from_str("\"10.0.0.1-5\"").unwrap(), ..request(&[]) };
        let failure = open(&stored, &OverridePolicy::default(), &TestSealer, None).unwrap_err();
        assert!(failure.kind == FailureKind::OutOfScope && failure.detail.contains("ranges are not supported"), "{failure:?}");
    }
}
