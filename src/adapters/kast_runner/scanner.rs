//! Selects the scanner program: KAST if it is installed, otherwise the built-in scanner of
//! Kastrel's own executable.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use kastrel_actors::model::ScannerKind;

/// The value that selects the built-in scanner in place of a path to KAST.
const BUILTIN: &str = "builtin";

/// A program with KAST's command-line interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannerCommand {
    /// The kind of the scanner.
    pub kind: ScannerKind,
    /// Its executable; an absolute path if it was found on the `PATH`.
    pub program: PathBuf,
    /// Arguments before all others.
    pub leading: Vec<OsString>,
}

impl ScannerCommand {
    /// KAST at `program`.
    #[must_use]
    pub fn kast(program: impl Into<PathBuf>) -> Self {
        Self { kind: ScannerKind::Kast, program: program.into(), leading: Vec::new() }
    }

    /// The built-in scanner of Kastrel's own executable: `<own_exe> scanner …`.
    #[must_use]
    pub fn builtin(own_exe: impl Into<PathBuf>) -> Self {
        Self { kind: ScannerKind::Builtin, program: own_exe.into(), leading: vec!["scanner".into()] }
    }

    /// Selects the scanner: the program in `KAST_CLI_PATH` (`builtin` selects the built-in
    /// scanner), otherwise `kast` on the `PATH`, otherwise the built-in scanner.
    ///
    /// A `KAST_CLI_PATH` that does not exist is kept, so that the user sees the error. The scanner
    /// must never change silently.
    #[must_use]
    pub fn resolve(
        cli_path: Option<&OsStr>,
        path: Option<&OsStr>,
        own_exe: &Path,
        is_executable: impl Fn(&Path) -> bool,
    ) -> Self {
        let search = |name: &OsStr| {
            let folders = path.into_iter().flat_map(std::env::split_paths);
            folders
                .filter(|folder| folder.is_absolute())
                .map(|folder| folder.join(name))
                .find(|file| is_executable(file))
        };
        match cli_path.filter(|given| !given.is_empty()) {
            Some(given) if given == BUILTIN => Self::builtin(own_exe),
            Some(given) if Path::new(given).components().count() == 1 && !given.as_encoded_bytes().contains(&b'/') => {
                Self::kast(search(given).unwrap_or_else(|| given.into()))
            }
            Some(given) => Self::kast(given),
            None => search(OsStr::new("kast")).map_or_else(|| Self::builtin(own_exe), Self::kast),
        }
    }

    /// [`Self::resolve`] on the files of this machine.
    #[must_use]
    pub fn find(cli_path: Option<&OsStr>, path: Option<&OsStr>, own_exe: &Path) -> Self {
        Self::resolve(cli_path, path, own_exe, is_executable)
    }
}

/// Returns true if `file` is a regular file that this process may execute.
pub(super) fn is_executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_scanner_beats_the_path_and_the_path_beats_builtin() {
        let own = Path::new("/usr/bin/kastrel");
        let (kast, builtin) = (|path: &str| ScannerCommand::kast(path), ScannerCommand::builtin(own));
        for (cli_path, path, expected) in [
            (None, Some("/bin:/opt/kast/bin"), kast("/opt/kast/bin/kast")),
            (Some("/x/kast"), Some("/opt/kast/bin"), kast("/x/kast")),
            (Some("./kast"), Some("/opt/kast/bin"), kast("./kast")),
            (Some("kast"), Some("/bin:/opt/kast/bin"), kast("/opt/kast/bin/kast")),
            (Some("nokast"), Some("/bin"), kast("nokast")),
            (Some(""), Some("/bin"), builtin.clone()),
            (Some("builtin"), Some("/opt/kast/bin"), builtin.clone()),
            (None, Some("/bin:relative:"), builtin.clone()),
            (None, None, builtin),
        ] {
            let found = |file: &Path| {
                [Path::new("/opt/kast/bin/kast"), Path::new("relative/kast"), Path::new("kast")].contains(&file)
            };
            assert_eq!(
                ScannerCommand::resolve(cli_path.map(OsStr::new), path.map(OsStr::new), own, found),
                expected,
                "{cli_path:?} {path:?}"
            );
        }
    }
}
