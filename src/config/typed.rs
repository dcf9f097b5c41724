//! What a configuration means to the rest: the policies it stands for, and values that do not go together.

use std::path::PathBuf;

use kastrel_actors::policy::deadline::Limits;
use kastrel_actors::policy::lease::LeasePolicy;
use kastrel_actors::policy::restart::{Intensity, RetryPolicy};
use kastrel_actors::policy::scope::ScopePolicy;

use super::{Config, Effective, Problem};

impl Config {
    /// The folder of the scans' results.
    #[must_use]
    pub fn results_dir(&self) -> PathBuf {
        self.data.results_dir.clone().unwrap_or_else(|| self.data.dir.join("results"))
    }

    /// The file in which a running server tells its address to commands of the same data folder.
    #[must_use]
    pub fn server_file(&self) -> PathBuf {
        self.data.dir.join("server.json")
    }

    /// How a scan is tried again.
    #[must_use]
    pub const fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy { max_attempts: self.scans.max_attempts, base: self.scans.backoff_base_seconds, cap: self.scans.backoff_cap_seconds }
    }

    /// How long an attempt may take.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        Limits { wall_clock: self.scans.wall_clock_limit_seconds, no_progress: self.scans.no_progress_limit_seconds }
    }

    /// The numbers of the node's lease.
    #[must_use]
    pub const fn lease_policy(&self) -> LeasePolicy {
        LeasePolicy { ttl: self.node.lease_seconds, renew_every: self.node.renew_seconds, margin: self.node.lease_margin_seconds }
    }

    /// How many restarts of an actor are tolerated.
    #[must_use]
    pub const fn restart_intensity(&self) -> Intensity {
        Intensity { max: self.supervision.restart_max, within: self.supervision.restart_window_seconds }
    }

    /// Which targets may be scanned.
    #[must_use]
    pub fn scope_policy(&self) -> ScopePolicy {
        ScopePolicy { allow: self.scope.allow.rules().to_vec(), deny: self.scope.deny.rules().to_vec(), allow_private: self.scope.allow_private }
    }
}

/// Values that are right alone and wrong together.
pub(super) fn contradictions(config: &Config, effective: &[Effective]) -> Vec<Problem> {
    let name = |name: &str| match effective.iter().find(|one| one.key.name == name) {
        Some(one) => format!("{name} = {} (from {})", one.shown(), one.origin),
        None => name.to_owned(),
    };
    let mut problems = Vec::new();
    let mut check = |wrong: bool, text: String| {
        if wrong {
            problems.push(Problem::Contradiction { text });
        }
    };
    let node = &config.node;
    check(
        node.renew_seconds >= node.lease_seconds.saturating_sub(node.lease_margin_seconds),
        format!(
            "{} must be less than {} minus {}; a lease would end before its first renewal",
            name("node.renew_seconds"),
            name("node.lease_seconds"),
            name("node.lease_margin_seconds")
        ),
    );
    check(
        config.scans.backoff_base_seconds > config.scans.backoff_cap_seconds,
        format!("{} must not be more than {}", name("scans.backoff_base_seconds"), name("scans.backoff_cap_seconds")),
    );
    // Without a bucket the rest says nothing.
    let Some(artifacts) = Some(&config.artifacts).filter(|artifacts| artifacts.url.is_some()) else { return problems };
    check(
        artifacts.endpoint.as_ref().is_some_and(|endpoint| !endpoint.is_encrypted()) && !artifacts.allow_http,
        format!("{} has no TLS, and {} does not allow that", name("artifacts.endpoint"), name("artifacts.allow_http")),
    );
    check(
        artifacts.access_key_id.is_some() != artifacts.secret_access_key.is_some(),
        format!("{} and {} must be set together, or neither of them", name("artifacts.access_key_id"), name("artifacts.secret_access_key")),
    );
    problems
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Sources;

    fn defaults() -> Config {
        Sources::of(&BTreeMap::new()).resolve().unwrap().config
    }

    #[test]
    fn the_defaults_are_those_of_the_policies() {
        let config = defaults();
        assert_eq!(config.retry_policy(), RetryPolicy::default());
        assert_eq!(config.limits(), Limits::default());
        assert_eq!(config.lease_policy(), LeasePolicy::default());
        assert_eq!(config.scope_policy(), ScopePolicy::default());
    }

    #[test]
    fn results_lie_in_the_data_folder_unless_told_otherwise() {
        let mut config = defaults();
        assert_eq!(config.results_dir(), PathBuf::from("data/results"));
        config.data.results_dir = Some("/srv/results".into());
        assert_eq!(config.results_dir(), PathBuf::from("/srv/results"));
    }
}
