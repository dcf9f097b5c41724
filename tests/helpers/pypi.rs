//! Installs programs from PyPI that tests use, each once into its own folder in `target`.
//! They need `python3` with its module `venv` (Debian: `apt-get install python3-venv`) and, for the
//! first run, PyPI.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The time limit of an installation, in seconds. A test fails with a message if PyPI takes longer.
const LIMIT: &str = "240";

/// Returns the folder of an installed package, such as `moto[server]==5.2.5`. `constraints` holds
/// the versions of its dependencies, in pip's format. Tests run in several processes: the first one
/// installs the package, the others wait.
pub(crate) fn installed(name: &str, package: &str, constraints: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    std::fs::create_dir_all(&target).unwrap();
    let lock = std::fs::File::create(target.join(format!("{name}.lock"))).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let folder = target.join(name);
    let done = folder.join("installed");
    let wanted = format!("{package}\n{constraints}");
    if std::fs::read_to_string(&done).is_ok_and(|found| found == wanted) {
        return folder;
    }
    run(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder),
        "python3 with its module venv is missing (Debian: apt-get install python3-venv)",
    );
    let versions = folder.join("constraints.txt");
    std::fs::write(&versions, constraints).unwrap();
    let mut pip = Command::new("timeout");
    pip.arg(LIMIT).arg(folder.join("bin/pip")).args(["install", "--quiet", "--constraint"]).arg(&versions).arg(package);
    run(&mut pip, &format!("{package} could not be installed from PyPI within {LIMIT} s"));
    std::fs::write(done, wanted).unwrap();
    folder
}

fn run(command: &mut Command, otherwise: &str) {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "{otherwise}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => panic!("{otherwise}: {error}"),
    }
}
