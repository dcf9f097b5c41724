//! What a process is for.

use crate::config::{Config, ConfigError, Problem};

/// What this process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The dashboard, the API and a worker.
    Serve,
    /// The dashboard and the API; workers run the scans.
    Web,
    /// Runs scans, beside other processes that share Redis and the database.
    Worker,
    /// One scan: a worker, and nobody to talk to. Where the database is shared, workers run the
    /// scan.
    OneShot,
    /// Only looks at what is stored.
    Offline,
}

impl Role {
    /// Whether it runs scans. `shared`: other processes hold the database as well.
    #[must_use]
    pub const fn runs_scans(self, shared: bool) -> bool {
        match self {
            Self::Serve | Self::Worker => true,
            Self::OneShot => !shared,
            Self::Web | Self::Offline => false,
        }
    }

    /// Whether it makes no sense alone: it needs a database and a queue that others share.
    #[must_use]
    pub const fn needs_others(self) -> bool {
        match self {
            Self::Web | Self::Worker => true,
            Self::Serve | Self::OneShot | Self::Offline => false,
        }
    }

    /// Whether the configuration has all that this role needs, which no key can say for itself.
    ///
    /// # Errors
    /// What is missing, all of it.
    pub fn check(self, config: &Config) -> Result<(), ConfigError> {
        let keys = [
            ("database.url", "KASTREL_DATABASE_URL", config.database.url.is_none()),
            ("redis.url", "REDIS_URL", config.redis.url.is_none()),
        ];
        let missing = keys.into_iter().filter(|(_, _, is_missing)| self.needs_others() && *is_missing);
        let problems: Vec<Problem> =
            missing.map(|(key, variable, _)| Problem::Missing { key, variable, command: self.command() }).collect();
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(problems)) }
    }

    /// Whether it shows scans that run elsewhere as they change.
    #[must_use]
    pub const fn follows_scans(self) -> bool {
        match self {
            Self::Serve | Self::Web | Self::OneShot => true,
            Self::Worker | Self::Offline => false,
        }
    }

    /// The command that starts it.
    #[must_use]
    pub const fn command(self) -> &'static str {
        match self {
            Self::Serve => "kastrel serve",
            Self::Web => "kastrel serve --no-worker",
            Self::Worker => "kastrel worker",
            Self::OneShot => "kastrel scan",
            Self::Offline => "kastrel",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Sources;

    #[test]
    fn a_role_that_needs_others_says_all_that_is_missing_at_once() {
        let config = Sources::of(&BTreeMap::new()).resolve().unwrap().config;
        for role in [Role::Web, Role::Worker] {
            let told = role.check(&config).unwrap_err().to_string();
            for part in
                [role.command(), "needs database.url: set KASTREL_DATABASE_URL", "needs redis.url: set REDIS_URL"]
            {
                assert!(told.contains(part), "{part}: {told}");
            }
        }
        for role in [Role::Serve, Role::OneShot, Role::Offline] {
            assert!(role.check(&config).is_ok(), "{role:?}");
        }
    }

    #[test]
    fn a_one_shot_leaves_the_scan_to_workers_where_there_are_some() {
        for (role, alone, shared) in [
            (Role::Serve, true, true),
            (Role::Web, false, false),
            (Role::Worker, true, true),
            (Role::OneShot, true, false),
            (Role::Offline, false, false),
        ] {
            assert_eq!((role.runs_scans(false), role.runs_scans(true)), (alone, shared), "{role:?}");
        }
    }
}
