//! The egress limit: an own network for each attempt, in which only the target's addresses, the
//! resolvers and explicitly allowed addresses are reachable.
//!
//! Kastrel checks the addresses of a target before a scan starts, but KAST and its tools resolve
//! the names again. With the limit, the result of a later lookup does not matter: between the
//! scanner and the outside is a router in a network of its own, which has no route to unchecked
//! addresses. [pasta](https://passt.top) connects the router to the outside: it forwards the
//! traffic of the network with its own sockets. It needs only rights over the new network, and does
//! not change the machine's network.
//!
//! - [`network`] decides what is reachable, and generates the routes, names and resolvers. It does
//!   not touch the system.
//! - [`addresses`] resolves the hosts for that decision.
//! - [`enter`] is the process that creates the network, enters it and executes the scanner.
//! - [`trial`] checks before the first scan whether this machine supports the limit.

mod addresses;
mod enter;
mod network;
mod trial;

use std::path::PathBuf;

use kastrel_actors::policy::scope::ScopeRule;

use super::scanner::is_executable;

pub(super) use addresses::reachable;
pub(super) use enter::{COMMAND, RUN};
pub use enter::{network_arguments, network_main};
pub(super) use network::{Network, Resolved};
pub(super) use trial::{holds, prepare};

/// The limit as configured by the operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressLimit {
    /// The destinations that every attempt may reach in addition to its target and the resolvers:
    /// ranges, and names. A name stands for its addresses at the start of an attempt.
    pub allow: Vec<ScopeRule>,
}

/// The programs that connect a network.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Tools {
    pasta: PathBuf,
    ip: PathBuf,
}

impl Tools {
    /// Finds the programs on a search path.
    ///
    /// # Errors
    /// The missing programs, and the packages that contain them.
    pub(super) fn find(path: Option<&std::ffi::OsStr>) -> Result<Self, String> {
        // The folders of system programs, searched in any case.
        const ALWAYS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/bin"];
        let folders: Vec<PathBuf> = path
            .into_iter()
            .flat_map(std::env::split_paths)
            .chain(ALWAYS.map(PathBuf::from))
            .filter(|folder| folder.is_absolute())
            .collect();
        let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| is_executable(path));
        match (find("pasta"), find("ip")) {
            (Some(pasta), Some(ip)) => Ok(Self { pasta, ip }),
            (pasta, ip) => {
                let missing = [
                    pasta.is_none().then_some("pasta (Debian: passt)"),
                    ip.is_none().then_some("ip (Debian: iproute2)"),
                ];
                Err(format!(
                    "scans.egress_limit needs {}",
                    missing.into_iter().flatten().collect::<Vec<_>>().join(" and ")
                ))
            }
        }
    }
}

/// Returns true if a process connects an attempt's network, by its name. Such a process ends with
/// the attempt and does not count as left behind by the scanner.
pub(super) fn is_connection(name: &str) -> bool {
    matches!(name, "pasta" | "pasta.avx2" | "passt" | "passt.avx2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_lists_missing_programs_and_their_packages() {
        let folder = tempfile::tempdir().unwrap();
        let found = Tools::find(Some(folder.path().as_os_str()));
        if let Err(why) = &found {
            assert!(why.starts_with("scans.egress_limit needs ") && why.contains("(Debian: "), "{why}");
        }
        for name in ["pasta", "ip"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(Tools::find(Some(folder.path().as_os_str())), found, "a file that cannot be run is no program");
        for name in ["pasta", "ip"] {
            std::fs::set_permissions(folder.path().join(name), std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .unwrap();
        }
        let ours = Tools { pasta: folder.path().join("pasta"), ip: folder.path().join("ip") };
        assert_eq!(Tools::find(Some(folder.path().as_os_str())), Ok(ours), "the path comes first");
        assert_eq!(
            Tools::find(Some("bin".as_ref())),
            Tools::find(None),
            "a relative folder depends on where somebody stands"
        );
    }
}
