//! The egress limit: a network of its own for each attempt, in which its target's addresses and the
//! resolvers are all there is.
//!
//! Kastrel checks the addresses of a target before a scan starts, but KAST and its tools look names
//! up again. Here the answer of a later look-up does not matter: between the scanner and the
//! outside stands a router in a network of its own, which has no route to an address that was not
//! checked. The connection to the outside is [pasta](https://passt.top), which carries what a
//! process in the network sends with sockets of its own outside; it needs no rights but those over
//! the new network, and changes nothing of the machine's.
//!
//! - [`network`] decides what can be reached, and writes it down: routes, names, resolvers. Nothing
//!   there touches the system.
//! - [`addresses`] looks up what that decision needs.
//! - [`enter`] is the process that makes the network, enters it and becomes the scanner.
//! - [`trial`] finds out before the first scan whether this machine lets us.

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

/// The limit, as an operator sets it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressLimit {
    /// What every attempt may reach beside its target and the resolvers: ranges, and names, which
    /// stand for the addresses that they have at the start of an attempt.
    pub allow: Vec<ScopeRule>,
}

/// The programs that connect a network.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Tools {
    pasta: PathBuf,
    ip: PathBuf,
}

impl Tools {
    /// Finds them on a path.
    ///
    /// # Errors
    /// Which are missing, and the packages that have them.
    pub(super) fn find(path: Option<&std::ffi::OsStr>) -> Result<Self, String> {
        // Where system programs are, whatever the path says.
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

/// Whether a process is the one that connects an attempt's network, by its name. It ends with the
/// attempt and is nothing that the scanner left.
pub(super) fn is_connection(name: &str) -> bool {
    matches!(name, "pasta" | "pasta.avx2" | "passt" | "passt.avx2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_programs_are_named_with_their_packages() {
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
