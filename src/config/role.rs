//! The role of a process.

use super::{Config, ConfigError, Problem};

/// The role of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The dashboard, the API and a worker.
    Serve,
    /// The dashboard and the API; workers run the scans.
    Web,
    /// A worker that shares Redis and the database with other processes.
    Worker,
    /// A single scan: a worker without a server. If the database is shared, workers run the scan.
    OneShot,
    /// Only reads stored data.
    Offline,
}

impl Role {
    /// Returns whether the process runs scans. `shared`: other processes use the database as well.
    #[must_use]
    pub const fn runs_scans(self, shared: bool) -> bool {
        match self {
            Self::Serve | Self::Worker => true,
            Self::OneShot => !shared,
            Self::Web | Self::Offline => false,
        }
    }

    /// Returns whether the role needs other processes, and therefore a shared database and a shared
    /// queue.
    #[must_use]
    pub const fn needs_others(self) -> bool {
        match self {
            Self::Web | Self::Worker => true,
            Self::Serve | Self::OneShot | Self::Offline => false,
        }
    }

    /// Checks that the configuration has every value that this role needs. The keys cannot check
    /// this by themselves.
    ///
    /// # Errors
    /// All missing values.
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

    /// Returns whether the process shows the live changes of scans that run on other nodes.
    #[must_use]
    pub const fn follows_scans(self) -> bool {
        match self {
            Self::Serve | Self::Web | Self::OneShot => true,
            Self::Worker | Self::Offline => false,
        }
    }

    /// Returns whether the process seals the audit log: those with a server do. A worker does not,
    /// because scanners run on its machine, which are to be kept away from the key.
    #[must_use]
    pub const fn seals_audit_log(self) -> bool {
        match self {
            Self::Serve | Self::Web => true,
            Self::Worker | Self::OneShot | Self::Offline => false,
        }
    }

    /// Returns the command that starts this role.
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

    use super::super::Sources;
    use super::*;

    #[test]
    fn role_check_names_all_missing_values_at_once() {
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
    fn one_shot_leaves_scans_of_a_shared_database_to_workers() {
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
