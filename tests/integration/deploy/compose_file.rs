//! Checks the lines of `docker-compose.yml` whose faults would otherwise show only in use.

use std::collections::{BTreeMap, BTreeSet};

use kastrel::config::{AuthMode, Config, KEYS, RequiredFactor, Sources};

use super::compose::{Compose, Service};
use super::{assert_is_command, repository};

/// Variables that belong to other programs and that Kastrel reads.
const FOREIGN: &[&str] = &["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_METRICS_EXPORTER"];

fn config(service: &Service) -> Config {
    let env: BTreeMap<String, String> = service.environment.clone();
    Sources::of(&env).resolve().unwrap().config
}

#[test]
fn every_image_is_pinned() {
    for (name, service) in &Compose::read(&[]).services {
        let (_, tag) = service.image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {} has no tag", service.image));
        assert!(
            tag.matches('.').count() >= 2 && tag.contains(|c: char| c.is_ascii_digit()),
            "{name}: {} is not one version",
            service.image
        );
    }
}

#[test]
fn kastrel_image_has_the_current_version_and_is_built_from_the_repository() {
    for (name, service) in Compose::read(&[]).kastrel() {
        assert_eq!(service.image, format!("kastrel:{}", env!("CARGO_PKG_VERSION")), "{name}");
        let build = service.build.as_ref().unwrap();
        assert_eq!(build.context, ".");
        assert!(build.args["BASE"].starts_with("debian:"), "without KAST_IMAGE the base is the Dockerfile's own");
        assert_eq!(build.args["PROGRAM"], "build", "{name}");
        assert_eq!(service.user, None, "the image has a user who is not root");
        assert_eq!(service.tmpfs, ["/tmp"], "{name}");
    }
    let named = Compose::read(&[("KAST_IMAGE", "registry.example/kast:3"), ("KASTREL_PROGRAM", "ready")]);
    let args = &named.service("worker").build.as_ref().unwrap().args;
    assert_eq!((args["BASE"].as_str(), args["PROGRAM"].as_str()), ("registry.example/kast:3", "ready"));
}

#[test]
fn services_have_no_capabilities_and_a_read_only_root() {
    let compose = Compose::read(&[]);
    for name in ["web", "worker", "redis", "surrealdb"] {
        let service = compose.service(name);
        assert_eq!(service.cap_drop, ["ALL"], "{name}");
        assert_eq!(service.cap_add, Vec::<String>::new(), "{name}");
        assert_eq!(service.security_opt, ["no-new-privileges:true"], "{name}");
        assert!(service.read_only, "{name}");
    }
}

/// Compose appends the lists of the second file, and its other values replace those of the first.
#[test]
fn scanners_can_have_a_user_of_their_own() {
    let text = std::fs::read_to_string(repository("config/container/scan-user.yml")).unwrap();
    let file: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let services = file["services"].as_object().unwrap();
    let compose = Compose::read(&[]);
    assert_eq!(
        services.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        compose.kastrel().into_iter().map(|(name, _)| name).collect()
    );
    for (name, service) in services {
        assert_eq!(service["user"], "root", "{name}: only root may change the user");
        assert_eq!(
            service["cap_add"],
            serde_json::json!(["SETUID", "SETGID", "KILL"]),
            "{name}: what the image needs to run scanners as another user, and nothing else"
        );
    }
    let homes = services["worker"]["tmpfs"].as_array().unwrap();
    assert!(
        homes.iter().any(|home| home.as_str().unwrap().starts_with("/var/lib/kastrel-scan:uid=10002,")),
        "{homes:?}"
    );
}

/// The server must speak the protocol of the library in the program.
#[test]
fn the_database_has_the_version_of_the_library() {
    let lock: toml::Table = std::fs::read_to_string(repository("Cargo.lock")).unwrap().parse().unwrap();
    let package = lock["package"]
        .as_array()
        .unwrap()
        .iter()
        .find(|package| package["name"].as_str() == Some("surrealdb"))
        .unwrap();
    assert_eq!(
        Compose::read(&[]).service("surrealdb").image,
        format!("surrealdb/surrealdb:v{}", package["version"].as_str().unwrap())
    );
}

#[test]
fn only_this_machine_reaches_what_is_published() {
    let compose = Compose::read(&[]);
    for (name, service) in &compose.services {
        for port in &service.ports {
            assert!(port.starts_with("127.0.0.1:") && port.split(':').count() == 3, "{name}: {port}");
        }
    }
    assert_eq!(compose.service("redis").ports, Vec::<String>::new(), "it has no password");
    assert_eq!(compose.service("surrealdb").ports, Vec::<String>::new());
    assert_eq!(compose.service("web").ports, ["127.0.0.1:5000:5000"]);
    assert_eq!(Compose::read(&[("KASTREL_PORT", "8080")]).service("web").ports, ["127.0.0.1:8080:5000"]);
}

#[test]
fn persistent_data_is_in_named_volumes() {
    let compose = Compose::read(&[]);
    let mut used = BTreeSet::new();
    for (name, service) in &compose.services {
        for volume in &service.volumes {
            // Mounts of repository files hold no persistent data.
            if volume.starts_with("./") {
                continue;
            }
            let (volume, path) = volume.split_once(':').unwrap();
            assert!(path.starts_with('/'), "{name}: {volume}:{path}");
            used.insert(volume.to_owned());
        }
    }
    assert_eq!(used, compose.volumes.keys().cloned().collect());
    for (name, service) in compose.kastrel() {
        let key = service.environment["KASTREL_SECRETS__KEY_FILE"].rsplit_once('/').unwrap().0;
        let shared = [format!("results:{}", service.environment["KAST_RESULTS_DIR"]), format!("secrets:{key}")];
        assert_eq!(
            service.volumes, shared,
            "{name}: web reads what workers write, and all have one key, apart from the results"
        );
    }
    assert!(
        compose
            .service("surrealdb")
            .command
            .iter()
            .any(|word| word.starts_with("rocksdb:///data/") && word.ends_with("?sync=every"))
    );
    assert_eq!(compose.service("surrealdb").volumes, ["surrealdb:/data"]);
    assert_eq!(compose.service("surrealdb").user, None, "the image's own user may write to /data");
    assert_eq!(compose.service("redis").volumes, ["redis:/data"]);
}

#[test]
fn services_have_health_checks_and_wait_for_their_dependencies() {
    let compose = Compose::read(&[]);
    for (name, service) in &compose.services {
        let check = &service.healthcheck;
        assert_eq!(check.test.first().map(String::as_str), Some("CMD"), "{name}: a shell may not be there");
        assert!(
            check.test.len() > 1 && check.retries > 0 && seconds(&check.interval) > 0 && seconds(&check.timeout) > 0,
            "{name}"
        );
        for (needed, dependency) in &service.depends_on {
            assert_eq!(dependency.condition, "service_healthy", "{name} needs {needed}");
            assert!(compose.services.contains_key(needed), "{name} needs {needed}");
        }
    }
    for (name, service) in compose.kastrel() {
        assert_eq!(service.depends_on.keys().collect::<Vec<_>>(), ["redis", "surrealdb"], "{name}");
    }
}

#[test]
fn compose_variables_are_known_keys_with_valid_values() {
    let known: BTreeSet<String> =
        KEYS.iter().flat_map(|key| key.env.iter().map(ToString::to_string).chain([key.variable()])).collect();
    for (name, service) in Compose::read(&[]).kastrel() {
        for variable in service.environment.keys() {
            assert!(
                known.contains(variable) || FOREIGN.contains(&variable.as_str()),
                "{name}: {variable} is no variable of Kastrel"
            );
        }
        let config = config(service);
        assert!(config.database.url.is_some() && config.redis.url.is_some(), "{name}");
    }
}

#[test]
fn scope_settings_reach_the_services() {
    let scope = |env: &[(&str, &str)]| config(Compose::read(env).service("worker")).scope;
    let closed = scope(&[]);
    assert_eq!((closed.allow.rules().len(), closed.deny.rules().len(), closed.allow_private), (0, 0, false));
    let opened = scope(&[
        ("KASTREL_ALLOW_PRIVATE_TARGETS", "true"),
        ("KASTREL_SCOPE__ALLOW", "example.com, 10.0.0.0/8"),
        ("KASTREL_SCOPE__DENY", "admin.example.com"),
    ]);
    assert_eq!((opened.allow.rules().len(), opened.deny.rules().len(), opened.allow_private), (2, 1, true));
}

/// Without accounts, the server refuses the address on which it listens in the container.
#[test]
fn dashboard_has_accounts_and_may_get_the_password_of_the_first_administrator() {
    let auth = |env: &[(&str, &str)]| config(Compose::read(env).service("web")).auth;
    assert_eq!((auth(&[]).mode, auth(&[]).admin_password_file), (AuthMode::Local, None));
    let with_file = auth(&[("KASTREL_ADMIN_PASSWORD_FILE", "/run/secrets/admin")]);
    assert_eq!(with_file.admin_password_file, Some("/run/secrets/admin".into()));
    assert_eq!(auth(&[]).require_second_factor, RequiredFactor::Off);
    let with_factor = auth(&[("KASTREL_AUTH__REQUIRE_SECOND_FACTOR", "admins")]);
    assert_eq!(with_factor.require_second_factor, RequiredFactor::Admins);
    let compose = Compose::read(&[]);
    assert!(compose.service("web").command.contains(&"0.0.0.0:5000".to_owned()));
    assert_eq!(config(compose.service("worker")).auth.mode, AuthMode::Local, "workers check clearances again");
}

#[test]
fn dashboard_gets_the_mail_server_and_the_identity_provider() {
    let plain = config(Compose::read(&[]).service("web"));
    assert!(plain.mail.smtp_url.is_none() && plain.mail.from.is_none() && plain.server.public_url.is_none());
    assert!(plain.oidc.issuer.is_none() && plain.oidc.create_accounts && plain.oidc.local_sign_in);
    assert_eq!((plain.oidc.account_claim.as_str(), plain.oidc.groups_claim.as_str()), ("preferred_username", "groups"));
    let compose = Compose::read(&[
        ("KASTREL_AUTH_MODE", "oidc"),
        ("KASTREL_PUBLIC_URL", "https://scans.example.com"),
        ("KASTREL_MAIL__SMTP_URL", "smtps://kastrel:secret@mail.example.com"),
        ("KASTREL_MAIL__FROM", "kastrel@example.com"),
        ("KASTREL_OIDC__ISSUER", "https://login.example.com/realms/team"),
        ("KASTREL_OIDC__CLIENT_ID", "kastrel"),
        ("KASTREL_OIDC__CLIENT_SECRET_FILE", "/run/secrets/oidc"),
        ("KASTREL_OIDC__PROVIDER_NAME", "Team login"),
        ("KASTREL_OIDC__SCOPES", "groups"),
        ("KASTREL_OIDC__ACCOUNT_CLAIM", "login"),
        ("KASTREL_OIDC__GROUPS_CLAIM", "teams"),
        ("KASTREL_OIDC__GROUPS", "sec=admin"),
        ("KASTREL_OIDC__CREATE_ACCOUNTS", "false"),
        ("KASTREL_OIDC__LOCAL_SIGN_IN", "false"),
    ]);
    let web = config(compose.service("web"));
    assert_eq!(web.auth.mode, AuthMode::Oidc);
    assert!(web.mail.smtp_url.is_some() && web.mail.from.is_some() && web.server.public_url.is_some());
    let oidc = web.oidc;
    assert!(oidc.issuer.is_some());
    assert_eq!(oidc.client_id.as_deref(), Some("kastrel"));
    assert_eq!(oidc.client_secret_file, Some("/run/secrets/oidc".into()));
    assert_eq!(oidc.provider_name.as_deref(), Some("Team login"));
    assert_eq!(oidc.scopes, ["groups"]);
    assert_eq!((oidc.account_claim.as_str(), oidc.groups_claim.as_str()), ("login", "teams"));
    assert!(!oidc.create_accounts && !oidc.local_sign_in);
    let worker = config(compose.service("worker"));
    assert_eq!(worker.auth.mode, AuthMode::Local);
    assert!(worker.oidc.client_secret_file.is_none() && worker.mail.smtp_url.is_none(), "it needs no secret of them");
}

/// Its `is-ready` queries the latest version online unless this is disabled.
#[test]
fn the_database_is_ready_without_internet() {
    assert_eq!(Compose::read(&[]).service("surrealdb").environment["SURREAL_ONLINE_VERSION_CHECK"], "false");
}

#[test]
fn compose_commands_match_the_command_line() {
    let compose = Compose::read(&[]);
    for (_, service) in compose.kastrel() {
        assert_is_command(&service.command);
        assert_eq!(service.healthcheck.test[1], "kastrel");
        assert_is_command(&service.healthcheck.test[2..]);
    }
    // The commands in the file's comments.
    let text = std::fs::read_to_string(repository("docker-compose.yml")).unwrap();
    let mut told = 0;
    for line in text.lines().filter(|line| line.starts_with('#')) {
        let line = line.split("  # ").next().unwrap();
        for command in
            ["docker compose run --rm web ", "docker compose run --rm -T web ", "docker compose exec -T web kastrel "]
        {
            let Some((_, words)) = line.split_once(command) else { continue };
            let words: Vec<String> =
                words.split_whitespace().take_while(|word| !matches!(*word, "<" | ">")).map(str::to_owned).collect();
            assert_is_command(&words);
            told += 1;
        }
    }
    assert!(told >= 3, "only {told} commands were found");
}

#[test]
fn redis_persists_writes_and_never_evicts() {
    let compose = Compose::read(&[]);
    let words: Vec<&str> = compose.service("redis").command.iter().map(String::as_str).collect();
    assert_eq!(words[0], "redis-server");
    // Debian's Redis refuses other containers in the protected mode.
    for option in [["--appendonly", "yes"], ["--maxmemory-policy", "noeviction"], ["--protected-mode", "no"]] {
        assert!(words.windows(2).any(|pair| pair == option), "{option:?}");
    }
}

/// Docker kills a container after the grace period, and a killed worker's scans lose an attempt.
#[test]
fn stop_grace_period_is_long_enough_to_requeue_scans() {
    let compose = Compose::read(&[]);
    let worker = compose.service("worker");
    let scans = config(worker).scans;
    let longest = scans.shutdown_finish_seconds + scans.shutdown_grace_seconds;
    let given = seconds(worker.stop_grace_period.as_ref().unwrap());
    assert!(given > longest.as_secs(), "{given} s are not enough for {longest:?}");
}

fn seconds(text: &str) -> u64 {
    text.strip_suffix('s')
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{text} is no number of seconds"))
}
