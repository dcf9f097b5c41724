use super::*;

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn sources<'a>(env: &'a BTreeMap<String, String>, file: &str, flags: &[(&'static str, &str)]) -> Sources<'a> {
    Sources {
        env,
        file: Some(("test.toml".into(), file.to_owned())),
        flags: flags.iter().map(|(key, value)| FlagValue { key, value: (*value).to_owned() }).collect(),
        command_defaults: vec![("kastrel scan", "scope.allow_private", "true")],
    }
}

fn origin_of(resolved: &Resolved, name: &str) -> (String, String) {
    let one = resolved.effective.iter().find(|one| one.key.name == name).unwrap();
    (one.shown(), one.origin.to_string())
}

#[test]
fn each_layer_overrides_the_lower_ones() {
    let file = "[scans]\nconcurrency = 5\n[scope]\nallow_private = false\n";
    let long = &[("KASTREL_SCANS__CONCURRENCY", "6"), ("KASTREL_ALLOW_PRIVATE_TARGETS", "true")][..];
    let flags = &[("scans.concurrency", "7"), ("scope.allow_private", "true")][..];
    for (vars, text, flags, concurrency, from, private, private_from) in [
        (&[][..], "", &[][..], "4", "default", "true", "default of `kastrel scan`"),
        (&[], file, &[], "5", "file test.toml", "false", "file test.toml"),
        (
            long,
            file,
            &[],
            "6",
            "environment variable KASTREL_SCANS__CONCURRENCY",
            "true",
            "environment variable KASTREL_ALLOW_PRIVATE_TARGETS",
        ),
        (long, file, flags, "7", "flag --concurrency", "true", "flag --allow-private-targets"),
    ] {
        let vars = env(vars);
        let resolved = sources(&vars, text, flags).resolve().unwrap();
        assert_eq!(origin_of(&resolved, "scans.concurrency"), (concurrency.to_owned(), from.to_owned()));
        assert_eq!(origin_of(&resolved, "scope.allow_private"), (private.to_owned(), private_from.to_owned()));
        assert_eq!(resolved.config.scans.concurrency.to_string(), concurrency);
    }
}

#[test]
fn every_key_can_be_set_in_the_environment_by_each_of_its_names() {
    for key in KEYS {
        let value = match key.name {
            "server.listen" | "worker.listen" => "[::1]:1",
            "database.url" => "ws://x:y@z:1/a/b",
            "redis.url" => "redis://x:1/",
            "artifacts.url" => "s3://scans",
            "telemetry.trace_url" => "http://jaeger:16686/trace/{trace_id}",
            "artifacts.endpoint" => "https://minio:9000",
            "artifacts.path_style" | "backup.enabled" | "scans.private_tmp" | "scans.resume" => "false",
            "artifacts.allow_http" => "true",
            "server.max_connections" => "600",
            "server.trusted_proxies" => "127.0.0.1",
            "server.base_path" => "/kastrel",
            "server.public_url" => "https://scans.example.com",
            "kast.file_folders" => "/srv/ca",
            "overrides.allow" | "overrides.deny" => "whatweb.timeout",
            "kast.scanner" => "builtin",
            "scans.egress_allow" | "scope.allow" | "scope.deny" => "example.com",
            "log.format" => "json",
            "auth.mode" => "local",
            "auth.require_second_factor" => "all",
            "oidc.issuer" => "https://id.example",
            "oidc.groups" => "sec-team=default:viewer",
            "oidc.create_accounts" | "oidc.local_sign_in" => "false",
            "audit.keep_days" => "30",
            "mail.smtp_url" => "smtps://mail.example.com",
            "mail.from" => "kastrel@example.com",
            "log.level" => "debug",
            "scans.egress_limit"
            | "scope.allow_private"
            | "worker.allow_any_address"
            | "database.accept_loss"
            | "database.allow_unsafe_engine" => "true",
            "node.lease_seconds" => "100",
            "node.lease_margin_seconds" => "4",
            "node.renew_seconds" => "5",
            "backup.keep" => "9",
            name if name.ends_with("_bytes") => "65536",
            name if name.ends_with("_seconds") => "11",
            _ => "7",
        };
        for name in key.env.iter().map(ToString::to_string).chain([key.variable()]) {
            // The certificate and its key are set together.
            let pair = ["KASTREL_SERVER__TLS_CERTIFICATE", "KASTREL_SERVER__TLS_KEY"];
            let is_half = pair.contains(&name.as_str());
            let others = pair.into_iter().filter(|other| is_half && *other != name).map(|other| (other, "7"));
            // The mail server needs the sender and the address of the server.
            let of_mail = [("KASTREL_MAIL__FROM", "kastrel@example.com"), ("KASTREL_PUBLIC_URL", "http://localhost")];
            let others = others.chain(of_mail.into_iter().filter(|_| name == "KASTREL_MAIL__SMTP_URL"));
            let vars = env(&others.chain([(name.as_str(), value)]).collect::<Vec<_>>());
            let resolved = Sources::of(&vars).resolve().unwrap_or_else(|error| panic!("{name}={value}: {error}"));
            let one = resolved.effective.iter().find(|one| one.key == key).unwrap();
            assert_eq!(one.origin, Origin::Environment(name.clone()), "{name}");
            assert_ne!(one.value, key.default(), "{name}");
        }
    }
}

#[test]
fn long_variable_overrides_the_short_one_and_an_empty_one_is_not_set() {
    let vars = env(&[
        ("KASTREL_LISTEN", "127.0.0.1:1"),
        ("KASTREL_SERVER__LISTEN", "127.0.0.1:2"),
        ("REDIS_URL", ""),
        ("KASTREL_DATA_DIR", ""),
    ]);
    let config = Sources::of(&vars).resolve().unwrap().config;
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(config.redis.url, None);
    assert_eq!(config.data.dir, PathBuf::from("data"));
}

#[test]
fn wrong_values_name_their_key_their_source_and_what_was_expected() {
    let vars = env(&[
        ("KASTREL_SCANS__MAX_ATTEMPTS", "0"),
        ("KASTREL_SERVER__LISTN", "x"),
        ("KASTREL_DATABASE_URL", "root:hunter2@db"),
        ("KASTREL_KAST__ENVIRONMENT", "API_KEY=hunter2"),
        ("KASTREL_SERVER", "http://not-a-key"),
    ]);
    let file = "loose = 1\n[sever]\nlisten = 1\n[server]\npoll_interval_seconds = \"3\"\nbody_limit = 1\n[scope]\nallow = [\"a b\"]\n";
    let error = sources(&vars, file, &[("scans.concurrency", "1001")]).resolve().unwrap_err();
    insta::assert_snapshot!(error, @r##"
    the configuration is not valid:
      `loose` (from file test.toml) is not a key; `kastrel config show` lists all keys
      `server.body_limit` (from file test.toml) is not a key; did you mean `server.body_limit_bytes`?
      `[sever]` (from file test.toml) is not a key; did you mean `[server]`?
      `KASTREL_SERVER__LISTN` (from environment variable KASTREL_SERVER__LISTN) is not a key; did you mean `KASTREL_SERVER__LISTEN`?
      server.poll_interval_seconds (from file test.toml): expected a number of seconds from 1 to 3600, not `"3"`
      database.url (from environment variable KASTREL_DATABASE_URL): expected a URL, not `***@db`
      kast.environment (from environment variable KASTREL_KAST__ENVIRONMENT): expected a list of names of environment variables, without values, not `API_KEY=***`
      scans.concurrency (from flag --concurrency): expected a whole number from 1 to 1000, not `1001`
      scans.max_attempts (from environment variable KASTREL_SCANS__MAX_ATTEMPTS): expected a whole number from 1 to 100, not `0`
      scope.allow (from file test.toml): expected a list of host names, addresses or ranges such as 10.0.0.0/8, not `["a b"]`
    "##);
}

#[test]
fn contradictions_name_both_keys() {
    let vars = env(&[("KASTREL_NODE__RENEW_SECONDS", "22")]);
    let error = sources(&vars, "[scans]\nbackoff_base_seconds = 301\n", &[]).resolve().unwrap_err();
    insta::assert_snapshot!(error, @r##"
    the configuration is not valid:
      node.renew_seconds = 22 (from environment variable KASTREL_NODE__RENEW_SECONDS) must be less than node.lease_seconds = 30 (from default) minus node.lease_margin_seconds = 8 (from default); a lease would end before its first renewal
      scans.backoff_base_seconds = 301 (from file test.toml) must not be more than scans.backoff_cap_seconds = 300 (from default)
    "##);
    let vars = env(&[("KASTREL_NODE__RENEW_SECONDS", "21")]);
    assert!(Sources::of(&vars).resolve().is_ok());
}

#[test]
fn toml_syntax_error_names_its_position() {
    let vars = env(&[]);
    let error = sources(&vars, "[server\nlisten", &[]).resolve().unwrap_err().to_string();
    assert!(error.contains("test.toml") && error.contains("line 1"), "{error}");
}

#[test]
fn toml_syntax_error_does_not_show_secrets() {
    for (text, place) in [
        ("[artifacts]\nsecret_access_key = hunter2-and-more\n", "line 2, column 21, at `secret_access_key`"),
        ("[redis]\nurl = redis://:hunter2@h\n", "line 2"),
        ("[redis]\nurl = \"redis://:hunter2@h\n", "line 2"),
        ("[database]\nurl = 'ws://root:hunter2@db' x\n", "line 2"),
        ("[artifacts]\naccess_key_id = \"a\"\naccess_key_id = \"hunter2\"\n", "line 3"),
        ("[x]\ny = [\n\"hunter2\nz = 1\n", "line 4"),
        ("hunter2", "line 1"),
        ("hunter2=", "line 1"),
        ("[x]\nhunter2 = = 1\n", "line 2"),
    ] {
        let error = sources(&env(&[]), text, &[]).resolve().unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(place) && shown.contains("test.toml") && !shown.contains("hunter2"), "{text}: {shown}");
    }
}

#[test]
fn invalid_url_is_hidden_because_it_may_be_a_password() {
    let vars = env(&[("REDIS_URL", "hunter2"), ("KASTREL_DATABASE_URL", "hunter2")]);
    let error = sources(&vars, "", &[]).resolve().unwrap_err().to_string();
    assert!(error.contains("redis.url") && error.contains("database.url") && !error.contains("hunter2"), "{error}");
    let error = sources(&env(&[]), "[redis]\nurl = 8675309\n", &[]).resolve().unwrap_err().to_string();
    assert!(error.contains("redis.url") && !error.contains("8675309"), "{error}");
}

#[test]
fn secrets_are_not_shown() {
    let vars = env(&[("REDIS_URL", "redis://u:hunter2@h:1/0")]);
    let resolved = Sources::of(&vars).resolve().unwrap();
    assert_eq!(origin_of(&resolved, "redis.url").0, "redis://u:***@h:1/0");
    assert!(!format!("{:?}", resolved.config).contains("hunter2"));
}

#[test]
fn bucket_settings_are_checked_together_and_the_secret_is_hidden() {
    let secret = "hunter2@://x";
    let vars = env(&[
        ("KASTREL_ARTIFACTS__URL", "s3://scans"),
        ("KASTREL_ARTIFACTS__ENDPOINT", "http://minio:9000"),
        ("KASTREL_ARTIFACTS__SECRET_ACCESS_KEY", secret),
    ]);
    let error = Sources::of(&vars).resolve().unwrap_err().to_string();
    for key in [
        "artifacts.endpoint = http://minio:9000",
        "artifacts.allow_http = false",
        "artifacts.access_key_id",
        "artifacts.secret_access_key = ***",
    ] {
        assert!(error.contains(key), "{key} in {error}");
    }
    assert!(!error.contains("hunter2"), "{error}");
    let error =
        sources(&env(&[]), "[artifacts]\nsecret_access_key = 8675309\n", &[]).resolve().unwrap_err().to_string();
    assert!(error.contains("artifacts.secret_access_key") && !error.contains("8675309"), "{error}");
    let vars = env(&[("KASTREL_ARTIFACTS__SECRET_ACCESS_KEY", secret)]);
    let resolved = Sources::of(&vars).resolve().unwrap();
    assert_eq!(origin_of(&resolved, "artifacts.secret_access_key").0, "***");
    assert_eq!(origin_of(&resolved, "artifacts.access_key_id").0, "", "what is not set is no secret");
    assert!(!format!("{:?}", resolved.config).contains("hunter2"));
}
