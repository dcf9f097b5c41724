//! Installs axe-core, an accessibility checker, from npm once into `target/axe`.
//!
//! It needs `npm` (Debian: `apt-get install npm`) and, for the first run, the registry.

use std::path::Path;
use std::process::{Command, Stdio};

/// The package and its version.
const PACKAGE: &str = "axe-core@4.14.1";

/// Returns the script. Tests run in several processes: the first one installs the package, the
/// others wait.
pub(crate) fn script() -> String {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    std::fs::create_dir_all(&target).unwrap();
    let lock = std::fs::File::create(target.join("axe.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let (folder, done) = (target.join("axe"), target.join("axe/installed"));
    if !std::fs::read_to_string(&done).is_ok_and(|version| version == PACKAGE) {
        let mut command = Command::new("npm");
        command
            .args(["install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--prefix"])
            .arg(&folder)
            .arg(PACKAGE);
        match command.stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => panic!("{PACKAGE} could not be installed: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => panic!("npm cannot be started ({error}); on Debian: `apt-get install npm`"),
        }
        std::fs::write(done, PACKAGE).unwrap();
    }
    std::fs::read_to_string(folder.join("node_modules/axe-core/axe.min.js")).unwrap()
}
