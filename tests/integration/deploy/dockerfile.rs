//! Checks the `Dockerfile` without building it.

use std::collections::BTreeSet;
use std::process::Command;

use kastrel::config::KEYS;

use super::dockerignore::DockerIgnore;
use super::image::{all, environment, stages};
use super::{assert_is_command, repository};

#[test]
fn base_images_are_pinned() {
    let stages = stages();
    let [arguments, build, ready, program, last] = stages.as_slice() else { panic!("{} stages", stages.len() - 1) };
    let arguments: Vec<(&str, &str)> =
        all(arguments, "ARG").iter().map(|one| one.rest.split_once('=').unwrap()).collect();
    let value = |name: &str| arguments.iter().find(|(given, _)| *given == name).unwrap().1;
    let bases = [build, ready, program, last].map(|stage| stage[0].rest.as_str());
    assert_eq!(bases, ["rust:${RUST} AS build", "scratch AS ready", "${PROGRAM} AS program", "${BASE}"]);
    assert_eq!(value("PROGRAM"), "build", "a build compiles the program, unless told otherwise");
    let manifest: toml::Table = std::fs::read_to_string(repository("Cargo.toml")).unwrap().parse().unwrap();
    let least = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert_eq!(value("RUST"), format!("{least}-bookworm"), "the compiler is the one that Cargo.toml asks for");
    let base = value("BASE");
    assert!(
        base.starts_with("debian:bookworm-2") && base.ends_with("-slim"),
        "{base}: a dated image of the release that the program is built on"
    );
    let compose = std::fs::read_to_string(repository("docker-compose.yml")).unwrap();
    assert!(compose.contains(&format!("${{KAST_IMAGE:-{base}}}")), "docker-compose.yml has another base");
    let text = std::fs::read_to_string(repository("Dockerfile")).unwrap();
    assert!(!text.starts_with("# syntax="), "the builder would fetch one more image");
}

#[test]
fn image_build_uses_the_lock_file() {
    let build = &stages()[1];
    let run: Vec<&str> = all(build, "RUN").iter().flat_map(|one| one.rest.split(" && ")).collect();
    assert!(run.iter().any(|command| command.ends_with("cargo build --release --locked --bin kastrel")), "{run:?}");
    assert!(run.contains(&"install -D target/release/kastrel /out/kastrel"), "{run:?}");
    assert!(env!("CARGO_BIN_EXE_kastrel").ends_with("/kastrel"));
}

#[test]
fn every_copy_has_a_source() {
    let stages = stages();
    for (number, stage) in stages.iter().enumerate() {
        for copy in all(stage, "COPY") {
            let words: Vec<&str> = copy.rest.split(' ').collect();
            let (_, sources) = words.split_last().unwrap();
            match sources {
                // Both stages that `program` may stand for have the file at the same place.
                ["--from=program", file] => {
                    assert_eq!(number, 4, "{copy:?}");
                    assert!(all(&stages[1], "RUN").iter().any(|run| run.rest.ends_with(file)), "{copy:?}");
                    assert!(all(&stages[2], "COPY").iter().any(|copy| copy.rest.ends_with(file)), "{copy:?}");
                }
                ["--chmod=0755", file] => {
                    assert!(number == 2 && DockerIgnore::read().admits(file), "{copy:?}");
                }
                sources => sources.iter().for_each(|source| assert!(repository(source).exists(), "{copy:?}")),
            }
        }
    }
}

/// The image starts as Kastrel's user. Started as root, with the capabilities for it, it starts
/// scanners as another user.
#[test]
fn image_has_separate_users_for_program_and_scanners() {
    let last = stages().pop().unwrap();
    assert_eq!(all(&last, "USER").iter().map(|one| one.rest.as_str()).collect::<Vec<_>>(), ["root", "10001"]);
    let run = &all(&last, "RUN")[0].rest;
    for wanted in [
        "useradd --system --uid 10001 --home-dir /var/lib/kastrel ",
        "useradd --system --uid 10002 --home-dir /var/lib/kastrel-scan ",
        "usermod --append --groups kastrel-scan kastrel",
        "install -d -o kastrel -g kastrel -m 0700 /var/lib/kastrel/results /var/lib/kastrel/secrets",
    ] {
        assert!(run.contains(wanted), "{wanted}: {run}");
    }
    let copies: Vec<&str> = all(&last, "COPY").iter().map(|one| one.rest.as_str()).collect();
    assert_eq!(
        copies,
        [
            "--from=program /out/kastrel /usr/local/lib/kastrel/kastrel",
            "config/container/kastrel /usr/local/bin/kastrel"
        ]
    );
}

/// Runs the image's `kastrel` script with the users of this machine: root is dropped, and the
/// remaining capabilities are sufficient for `scans.run_as`.
#[test]
fn image_start_script_drops_root() {
    use std::os::unix::fs::PermissionsExt;
    assert!(rustix::process::geteuid().is_root(), "this test gives root up, and must run as root");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let script = std::fs::read_to_string(repository("config/container/kastrel")).unwrap();
    let script = script
        .replace("/usr/local/lib/kastrel/kastrel", at("program").to_str().unwrap())
        .replace("id=kastrel", "id=nobody");
    std::fs::write(at("kastrel"), script.replace("--regid=nobody", "--regid=nogroup")).unwrap();
    let program = "#!/bin/sh\ngrep -E '^(Uid|CapEff|CapAmb):' /proc/self/status | tr -s '\\t' ' '\necho \"$HOME ${KASTREL_SCANS__RUN_AS-none} $*\"\n";
    std::fs::write(at("program"), program).unwrap();
    for name in ["kastrel", "program"] {
        std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let said = |command: &mut Command| {
        let output = command.env_remove("KASTREL_SCANS__RUN_AS").output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = said(Command::new(at("kastrel")).args(["serve", "a b"]));
    let rights = "00000000000000e0";
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(
        text.lines().skip(1).collect::<Vec<_>>(),
        [&format!("CapEff: {rights}"), &format!("CapAmb: {rights}"), "/var/lib/kastrel kastrel-scan serve a b"],
        "{text}"
    );
    assert!(text.starts_with("Uid: 65534 65534 65534 65534\n"), "{text}");
    let bounded = |set: &str| {
        said(
            Command::new("setpriv")
                .args([&format!("--bounding-set={set}"), &format!("--inh-caps={set}")])
                .arg(at("kastrel"))
                .arg("ready"),
        )
    };
    let (code, text) = bounded("-all,+setuid,+setgid");
    assert!(code == Some(0) && text.ends_with("CapAmb: 0000000000000000\n/var/lib/kastrel none ready\n"), "{text}");
    let (code, text) = bounded("-all");
    assert!(code == Some(2) && text.contains("--user kastrel"), "{text}");
}

#[test]
fn image_commands_match_the_command_line() {
    let last = stages().pop().unwrap();
    let one = |name: &str| all(&last, name).pop().unwrap().words();
    assert_eq!(one("ENTRYPOINT"), ["kastrel"]);
    assert_is_command(&one("CMD"));
    assert_eq!(all(&last, "STOPSIGNAL")[0].rest, "SIGTERM");
    let known: BTreeSet<String> =
        KEYS.iter().flat_map(|key| key.env.iter().map(ToString::to_string).chain([key.variable()])).collect();
    for (name, _) in environment() {
        assert!(known.contains(&name), "{name}");
    }
}

/// A server and a worker listen on different ports, and the image may run either of them.
#[test]
fn health_check_works_for_server_and_worker() {
    let last = stages().pop().unwrap();
    let check = &all(&last, "HEALTHCHECK")[0].rest;
    let (_, commands) = check.split_once(" CMD ").unwrap();
    let commands: Vec<Vec<String>> =
        commands.split(" || ").map(|command| command.split(' ').map(str::to_owned).collect()).collect();
    for command in &commands {
        assert_eq!(command[0], "kastrel");
        assert_is_command(&command[1..]);
    }
    let config = kastrel::config::Sources::of(&std::collections::BTreeMap::new()).resolve().unwrap().config;
    assert_eq!(
        commands,
        [
            vec!["kastrel".to_owned(), "ready".into()],
            vec!["kastrel".into(), "ready".into(), "--server".into(), format!("http://{}", config.worker.listen)]
        ]
    );
    assert_eq!(config.server.listen.port(), 5000);
    assert_eq!(all(&last, "EXPOSE")[0].rest, "5000");
}

/// The build sees only the files that `.dockerignore` admits. A copy of these files must be a
/// workspace with a valid lock file.
#[test]
fn files_of_the_build_are_not_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let copied = DockerIgnore::read().copy_admitted(folder.path());
    assert!(
        copied.iter().any(|path| path == "tests/helpers/fake_kast.rs")
            && !copied.iter().any(|path| path.starts_with("target/") || path.contains("/target/"))
    );
    let host = Command::new("rustc").arg("-vV").output().unwrap();
    let host = String::from_utf8(host.stdout)
        .unwrap()
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap()
        .to_owned();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", &host])
        .current_dir(folder.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The files that the compiler reads besides modules.
    let mut included = 0;
    for path in copied.iter().filter(|path| path.ends_with(".rs") && !path.starts_with("tests/")) {
        let text = std::fs::read_to_string(folder.path().join(path)).unwrap();
        for (_, rest) in ["include_str!(\"", "include_bytes!(\""]
            .iter()
            .flat_map(|word| text.match_indices(word).map(|(at, found)| (at, &text[at + found.len()..])))
        {
            let file = folder.path().join(path).parent().unwrap().join(rest.split_once('"').unwrap().0);
            assert!(file.exists(), "{path} includes {}, which .dockerignore keeps out", file.display());
            included += 1;
        }
    }
    assert!(included > 0);
    assert!(folder.path().join("templates").is_dir());
}
