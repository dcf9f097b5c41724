//! Tests the files of the Debian package: `scripts/dist` writes them, and `[package.metadata.deb]`
//! names them. `make dist-test` installs the package.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::repository;

/// Where `scripts/dist` writes the files for cargo-deb.
const STAGE: &str = "target/packages/stage/";

/// Returns the files below a folder, relative to `root`.
fn files_below(folder: &Path, root: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, root, found);
        } else {
            found.insert(path.strip_prefix(root).unwrap().to_owned());
        }
    }
}

/// Writes the files of the package, and returns their folder with its guard.
fn staged() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let stage = folder.path().join("stage");
    let output = Command::new(repository("scripts/dist"))
        .arg("--stage")
        .arg(&stage)
        .arg(env!("CARGO_BIN_EXE_kastrel"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (folder, stage)
}

/// Returns `[package.metadata.deb]`.
fn metadata() -> toml::Table {
    let text = std::fs::read_to_string(repository("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&text).unwrap();
    manifest["package"]["metadata"]["deb"].as_table().unwrap().clone()
}

#[test]
fn package_has_every_file_that_the_script_writes() {
    let (_folder, stage) = staged();
    let mut written = BTreeSet::new();
    files_below(&stage, &stage, &mut written);

    let metadata = metadata();
    let relative = |path: &str| path.strip_prefix(STAGE).unwrap_or_else(|| panic!("not in {STAGE}: {path}")).to_owned();
    let mut named = BTreeSet::new();
    for asset in metadata["assets"].as_array().unwrap() {
        let [source, place, _mode] = &asset.as_array().unwrap()[..] else { panic!("{asset}") };
        let source = relative(source.as_str().unwrap());
        // cargo-deb puts a file into the folder that it has here.
        let parent = Path::new(&source).parent().unwrap();
        assert_eq!(Path::new(place.as_str().unwrap()), parent, "{source}");
        let matches = |file: &Path| match source.split_once('*') {
            Some((begin, end)) => {
                let file = file.to_str().unwrap();
                file.starts_with(begin) && file.ends_with(end)
            }
            None => file == Path::new(&source),
        };
        let of_asset: Vec<_> = written.iter().filter(|file| matches(file)).cloned().collect();
        assert!(!of_asset.is_empty(), "scripts/dist does not write {source}");
        named.extend(of_asset);
    }
    for unit in metadata["systemd-units"].as_array().unwrap() {
        let folder = relative(unit["unit-scripts"].as_str().unwrap());
        named.insert(Path::new(&folder).join(format!("{}.service", unit["unit-name"].as_str().unwrap())));
    }
    assert_eq!(named, written);

    for file in metadata["conf-files"].as_array().unwrap() {
        let file = file.as_str().unwrap().strip_prefix('/').unwrap();
        assert!(written.contains(Path::new(file)), "{file}");
    }
    assert!(repository(metadata["maintainer-scripts"].as_str().unwrap()).join("postrm").exists());
}

/// What a unit of the package names is a file of the package.
#[test]
fn units_of_the_package_name_its_files() {
    let (_folder, stage) = staged();
    for name in ["kastrel.service", "kastrel-worker.service"] {
        let unit = std::fs::read_to_string(stage.join("usr/lib/systemd/system").join(name)).unwrap();
        let lines = unit.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| line.strip_prefix("ExecStart=").or(line.strip_prefix("Documentation=")));
        let mut seen = 0;
        for word in values.flat_map(str::split_whitespace) {
            let file = match word.split_once(':') {
                Some(("man", page)) => format!("/usr/share/man/man1/{}.1.gz", page.strip_suffix("(1)").unwrap()),
                Some(("file", path)) => path.strip_prefix("//").unwrap().to_owned(),
                _ if word.starts_with('/') => word.to_owned(),
                _ => continue,
            };
            assert!(stage.join(&file[1..]).exists(), "{name}: {file}");
            seen += 1;
        }
        assert_eq!(seen, 4, "{name}: program, settings, manual page, document");
    }
}
