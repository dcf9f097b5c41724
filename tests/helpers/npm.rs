//! Installs packages from npm that tests use, each once into its own folder in `target`. They need
//! `npm` (Debian: `apt-get install npm`) and, for the first run, the registry.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the folder of an installed package, such as `axe-core@4.14.1`. Tests run in several
/// processes: the first one installs the package, the others wait.
pub(crate) fn installed(name: &str, package: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    std::fs::create_dir_all(&target).unwrap();
    let lock = std::fs::File::create(target.join(format!("{name}.lock"))).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let (folder, done) = (target.join(name), target.join(name).join("installed"));
    if !std::fs::read_to_string(&done).is_ok_and(|version| version == package) {
        let mut command = Command::new("npm");
        command
            .args(["install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--prefix"])
            .arg(&folder)
            .arg(package);
        match command.stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => panic!("{package} could not be installed: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => panic!("npm cannot be started ({error}); on Debian: `apt-get install npm`"),
        }
        std::fs::write(done, package).unwrap();
    }
    folder
}
