//! Which program scans: the real KAST where there is one, else the scanner in our own executable.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use kastrel_actors::model::ScannerKind;

/// The word that asks for the built-in scanner where a path to KAST is expected.
const BUILTIN: &str = "builtin";

/// A program that speaks KAST's command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannerCommand {
    /// Which of the two it is.
    pub kind: ScannerKind,
    /// Its executable, as an absolute path wherever it was found.
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

    /// The scanner in our own executable: `<own_exe> scanner …`.
    #[must_use]
    pub fn builtin(own_exe: impl Into<PathBuf>) -> Self {
        Self { kind: ScannerKind::Builtin, program: own_exe.into(), leading: vec!["scanner".into()] }
    }

    /// Chooses: what `KAST_CLI_PATH` names (`builtin` asks for the built-in one), else `kast` on
    /// `PATH`, else the built-in one.
    ///
    /// A `KAST_CLI_PATH` that leads nowhere is kept: its error must be seen, a silent change of
    /// scanner must not happen.
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

    /// [`Self::resolve`] with the files of this machine.
    #[must_use]
    pub fn find(cli_path: Option<&OsStr>, path: Option<&OsStr>, own_exe: &Path) -> Self {
        Self::resolve(cli_path, path, own_exe, is_executable)
    }
}

/// Whether `file` is a regular file that we may execute.
pub(super) fn is_executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_beats_what_is_found_beats_what_is_built_in() {
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
