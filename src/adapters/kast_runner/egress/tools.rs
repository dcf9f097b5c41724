//! The programs that connect a network.

use std::path::PathBuf;

use super::super::scanner::is_executable;

/// The programs that connect a network.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(in super::super) struct Tools {
    pub(super) pasta: PathBuf,
    pub(super) ip: PathBuf,
}

impl Tools {
    /// Finds the programs on a search path.
    ///
    /// # Errors
    /// The missing programs, and the packages that contain them.
    pub(in super::super) fn find(path: Option<&std::ffi::OsStr>) -> Result<Self, String> {
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
pub(in super::super) fn is_connection(name: &str) -> bool {
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
