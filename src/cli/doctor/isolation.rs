//! The isolation of attempts from the server on this machine.

use std::path::PathBuf;

use super::model::Check;
use crate::adapters::kast_runner::{CgroupState, Holds, holds};
use crate::config::Config;

/// Determines the isolation that this machine provides for the configuration.
pub(super) fn look(config: &Config) -> Result<Holds, String> {
    let isolation = crate::app::isolation(config, &config.data.dir).map_err(|error| error.to_string())?;
    let needed: Vec<PathBuf> = [&config.data.dir, &config.results_dir()]
        .into_iter()
        .filter_map(|path| std::path::absolute(path).ok())
        .collect();
    Ok(holds(&isolation, needed.iter().map(PathBuf::as_path)))
}

/// Returns the check of the isolation.
pub(super) fn judge(found: &Result<Holds, String>) -> Check {
    const NAME: &str = "isolation";
    const USER: &str = "set another user in scans.run_as; see docs/operations.md for what Kastrel needs for that";
    let holds = match found {
        Ok(holds) => holds,
        Err(why) => return Check::failure(NAME, why.clone(), USER),
    };
    let user = match &holds.user {
        Ok(user) => user,
        Err(why) => return Check::failure(NAME, why.clone(), USER),
    };
    if let Some(Err(why)) = &holds.egress {
        return Check::failure(
            NAME,
            why.clone(),
            "see docs/isolation.md for what scans.egress_limit needs; without it scanners reach everything that this machine reaches",
        );
    }
    let cgroup = match &holds.cgroup {
        CgroupState::Limits(list) => {
            format!("a cgroup for each attempt with limits ({list}) if no other processes are in Kastrel's own")
        }
        CgroupState::KillOnly => {
            "a cgroup for each attempt, which is killed as a whole; limits are those of each process".to_owned()
        }
        CgroupState::Missing(why) => format!("no cgroups ({why}); limits are those of each process"),
    };
    let tmp = if holds.private_tmp { "a /tmp of its own" } else { "a TMPDIR of its own in the data folder" };
    let who = user
        .as_ref()
        .map_or_else(|| "scanners run as Kastrel's own user".to_owned(), |user| format!("scanners run as {user}"));
    let reach = if holds.egress.is_some() {
        "it reaches only its target and the resolvers"
    } else {
        "it reaches everything that this machine reaches"
    };
    let message = format!(
        "{who}, without new privileges, first to be killed when memory runs out; {cgroup}; {tmp}; {reach}; the keeper finds escaped processes"
    );
    if holds.is_root && user.is_none() {
        return Check::warning(
            NAME,
            format!("scanners run as root: a compromised scanner can read and change everything; {message}"),
            "create a user for scanners and name it in scans.run_as, or run Kastrel as a user of its own",
        );
    }
    Check::ok(NAME, message)
}

#[cfg(test)]
mod tests {
    use super::super::model::Level;
    use super::*;

    #[test]
    fn isolation_check_lists_what_works_and_fails_for_an_invalid_user() {
        let good = Holds {
            cgroup: CgroupState::Limits("memory, pids".into()),
            private_tmp: true,
            is_root: false,
            egress: None,
            user: Ok(Some("kastrel-scan".into())),
        };
        let level_and = |found: Result<Holds, String>| {
            let check = judge(&found);
            (check.level, check.message)
        };
        let (level, message) = level_and(Ok(good.clone()));
        assert_eq!(level, Level::Ok);
        assert!(
            message.starts_with("scanners run as kastrel-scan, ")
                && message.contains("(memory, pids)")
                && message.contains("; a /tmp of its own"),
            "{message}"
        );
        let plain = Holds {
            cgroup: CgroupState::Missing("Read-only file system".into()),
            private_tmp: false,
            user: Ok(None),
            ..good.clone()
        };
        let (level, message) = level_and(Ok(plain.clone()));
        assert_eq!(level, Level::Ok);
        assert!(
            message.contains("Kastrel's own user")
                && message.contains("no cgroups (Read-only file system)")
                && message.contains("TMPDIR"),
            "{message}"
        );
        let (level, message) = level_and(Ok(Holds { is_root: true, cgroup: CgroupState::KillOnly, ..plain }));
        assert_eq!(level, Level::Warning);
        assert!(message.starts_with("scanners run as root: ") && message.contains("killed as a whole"), "{message}");
        assert_eq!(level_and(Ok(Holds { is_root: true, ..good.clone() })).0, Level::Ok);
        assert_eq!(
            level_and(Ok(Holds { user: Err("it lacks CAP_SETUID".into()), ..good.clone() })),
            (Level::Failure, "it lacks CAP_SETUID".into())
        );
        assert_eq!(level_and(Err("scans.run_as: x".into())).0, Level::Failure);
        assert!(message.contains("everything that this machine reaches"), "{message}");
        let limited = |egress| level_and(Ok(Holds { egress: Some(egress), ..good.clone() }));
        assert!(limited(Ok(())).1.contains("; it reaches only its target and the resolvers;"));
        assert_eq!(
            limited(Err("scans.egress_limit needs ip".into())),
            (Level::Failure, "scans.egress_limit needs ip".into())
        );
    }
}
