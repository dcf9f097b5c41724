//! Parses `docker-compose.yml`: it resolves merge keys, substitutes variables, and rejects unknown
//! keys.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::repository;

/// The compose file.
#[derive(Debug, Deserialize)]
pub(super) struct Compose {
    pub(super) services: BTreeMap<String, Service>,
    pub(super) volumes: BTreeMap<String, Option<IgnoredAny>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    pub(super) image: String,
    #[serde(default)]
    pub(super) build: Option<Build>,
    #[serde(default)]
    pub(super) command: Vec<String>,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) ports: Vec<String>,
    #[serde(default)]
    pub(super) volumes: Vec<String>,
    pub(super) healthcheck: HealthCheck,
    #[serde(default)]
    pub(super) depends_on: BTreeMap<String, Dependency>,
    pub(super) restart: String,
    #[serde(default)]
    pub(super) stop_grace_period: Option<String>,
    #[serde(default, rename = "init")]
    pub(super) _init: bool,
    #[serde(default, rename = "deploy")]
    pub(super) _deploy: Option<Deploy>,
    #[serde(default)]
    pub(super) security_opt: Vec<String>,
    #[serde(default)]
    pub(super) cap_drop: Vec<String>,
    #[serde(default)]
    pub(super) cap_add: Vec<String>,
    #[serde(default)]
    pub(super) read_only: bool,
    #[serde(default)]
    pub(super) tmpfs: Vec<String>,
    #[serde(default)]
    pub(super) user: Option<String>,
    #[serde(default)]
    pub(super) profiles: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Build {
    pub(super) context: String,
    pub(super) args: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthCheck {
    pub(super) test: Vec<String>,
    pub(super) interval: String,
    pub(super) timeout: String,
    pub(super) retries: u32,
    #[serde(default, rename = "start_period")]
    pub(super) _start_period: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dependency {
    pub(super) condition: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deploy {
    #[serde(rename = "replicas")]
    pub(super) _replicas: u32,
}

impl Compose {
    /// Reads the repository's file with these variables in the environment.
    pub(super) fn read(variables: &[(&str, &str)]) -> Self {
        let text = std::fs::read_to_string(repository("docker-compose.yml")).unwrap();
        serde_saphyr::from_str(&interpolated(&text, variables)).unwrap()
    }

    pub(super) fn service(&self, name: &str) -> &Service {
        self.services.get(name).unwrap_or_else(|| panic!("there is no service {name}"))
    }

    /// Returns the services that run Kastrel.
    pub(super) fn kastrel(&self) -> Vec<(&str, &Service)> {
        let ours: Vec<_> = self
            .services
            .iter()
            .filter(|(_, one)| one.build.is_some())
            .map(|(name, one)| (name.as_str(), one))
            .collect();
        assert_eq!(ours.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["web", "worker"]);
        ours
    }
}

/// Substitutes `${NAME:-default}` as compose does.
fn interpolated(text: &str, variables: &[(&str, &str)]) -> String {
    let mut parts = text.split("${");
    let mut done = parts.next().unwrap().to_owned();
    for part in parts {
        let (expression, rest) = part.split_once('}').expect("a closing brace");
        let (name, default) = expression.split_once(":-").unwrap_or_else(|| panic!("${{{expression}}} has no default"));
        done.push_str(variables.iter().find(|(given, _)| *given == name).map_or(default, |(_, value)| value));
        done.push_str(rest);
    }
    assert!(!done.contains('$'), "a variable that this does not know");
    done
}

#[test]
fn compose_variables_and_merge_keys_are_resolved() {
    let compose = Compose::read(&[("SURREAL_PASSWORD", "other")]);
    let url = "ws://kastrel:other@surrealdb:8000/kastrel/kastrel";
    for (_, service) in compose.kastrel() {
        assert_eq!(service.environment["KASTREL_DATABASE_URL"], url);
        assert_eq!(service.restart, "unless-stopped");
    }
    assert_eq!(compose.service("surrealdb").environment["SURREAL_PASS"], "other");
    assert_eq!(interpolated("a ${X:-y}b", &[]), "a yb");
}
