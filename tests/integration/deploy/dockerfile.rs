//! What can be known of the `Dockerfile` without building it.

use std::collections::BTreeSet;
use std::process::Command;

use kastrel::config::KEYS;

use super::dockerignore::DockerIgnore;
use super::image::{all, environment, stages};
use super::{assert_is_command, repository};

#[test]
fn what_it_starts_from_is_pinned() {
    let stages = stages();
    let [arguments, build, last] = stages.as_slice() else { panic!("{} stages", stages.len() - 1) };
    let arguments: Vec<(&str, &str)> = all(arguments, "ARG").iter().map(|one| one.rest.split_once('=').unwrap()).collect();
    let value = |name: &str| arguments.iter().find(|(given, _)| *given == name).unwrap().1;
    assert_eq!((build[0].rest.as_str(), last[0].rest.as_str()), ("rust:${RUST} AS build", "${BASE}"));
    let manifest: toml::Table = std::fs::read_to_string(repository("Cargo.toml")).unwrap().parse().unwrap();
    let least = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert_eq!(value("RUST"), format!("{least}-bookworm"), "the compiler is the one that Cargo.toml asks for");
    let base = value("BASE");
    assert!(base.starts_with("debian:bookworm-2") && base.ends_with("-slim"), "{base}: a dated image of the release that the program is built on");
    let compose = std::fs::read_to_string(repository("docker-compose.yml")).unwrap();
    assert!(compose.contains(&format!("${{KAST_IMAGE:-{base}}}")), "docker-compose.yml has another base");
}

#[test]
fn it_builds_the_program_as_it_is_locked() {
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
                ["--from=build", file] => {
                    assert!(number == 2 && all(&stages[1], "RUN").iter().any(|run| run.rest.ends_with(file)), "{copy:?}");
                }
                sources => sources.iter().for_each(|source| assert!(repository(source).exists(), "{copy:?}")),
            }
        }
    }
}

#[test]
fn it_runs_as_a_user_of_its_own() {
    let last = stages().pop().unwrap();
    let users = all(&last, "USER");
    assert_eq!(users.last().unwrap().rest, "kastrel");
    let at = last.iter().rposition(|one| one.name == "USER").unwrap();
    assert!(last[at..].iter().all(|one| !matches!(one.name.as_str(), "RUN" | "COPY")), "the rest is done by that user");
    let run = &all(&last, "RUN")[0].rest;
    assert!(
        run.contains("useradd --system --uid 10001")
            && run.contains("install -d -o kastrel -g kastrel -m 0700 /var/lib/kastrel/results /var/lib/kastrel/secrets"),
        "{run}"
    );
}

#[test]
fn what_it_runs_is_ours() {
    let last = stages().pop().unwrap();
    let one = |name: &str| all(&last, name).pop().unwrap().words();
    assert_eq!(one("ENTRYPOINT"), ["kastrel"]);
    assert_is_command(&one("CMD"));
    assert_eq!(all(&last, "STOPSIGNAL")[0].rest, "SIGTERM");
    let known: BTreeSet<String> = KEYS.iter().flat_map(|key| key.env.iter().map(ToString::to_string).chain([key.variable()])).collect();
    for (name, _) in environment() {
        assert!(known.contains(&name), "{name}");
    }
}

/// A server listens on one port and a worker on another, and the image does not know which of the two it will be.
#[test]
fn the_health_check_asks_whichever_runs() {
    let last = stages().pop().unwrap();
    let check = &all(&last, "HEALTHCHECK")[0].rest;
    let (_, commands) = check.split_once(" CMD ").unwrap();
    let commands: Vec<Vec<String>> = commands.split(" || ").map(|command| command.split(' ').map(str::to_owned).collect()).collect();
    for command in &commands {
        assert_eq!(command[0], "kastrel");
        assert_is_command(&command[1..]);
    }
    let config = kastrel::config::Sources::of(&std::collections::BTreeMap::new()).resolve().unwrap().config;
    assert_eq!(
        commands,
        [vec!["kastrel".to_owned(), "ready".into()], vec!["kastrel".into(), "ready".into(), "--server".into(), format!("http://{}", config.worker.listen)]]
    );
    assert_eq!(config.server.listen.port(), 5000);
    assert_eq!(all(&last, "EXPOSE")[0].rest, "5000");
}

/// The build sees what `.dockerignore` lets through. Copied to another place, that is a workspace whose lock file holds.
#[test]
fn what_the_build_reads_is_let_through() {
    let folder = tempfile::tempdir().unwrap();
    let copied = DockerIgnore::read().copy_admitted(folder.path());
    assert!(copied.iter().any(|path| path == "tests/helpers/fake_kast.rs") && !copied.iter().any(|path| path.contains("target/")));
    let host = Command::new("rustc").arg("-vV").output().unwrap();
    let host = String::from_utf8(host.stdout).unwrap().lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", &host]).current_dir(folder.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // What the compiler reads besides modules.
    let mut included = 0;
    for path in copied.iter().filter(|path| path.ends_with(".rs") && !path.starts_with("tests/")) {
        let text = std::fs::read_to_string(folder.path().join(path)).unwrap();
        for (_, rest) in
            ["include_str!(\"", "include_bytes!(\""].iter().flat_map(|word| text.match_indices(word).map(|(at, found)| (at, &text[at + found.len()..])))
        {
            let file = folder.path().join(path).parent().unwrap().join(rest.split_once('"').unwrap().0);
            assert!(file.exists(), "{path} includes {}, which .dockerignore keeps out", file.display());
            included += 1;
        }
    }
    assert!(included > 0);
    assert!(folder.path().join("templates").is_dir());
}
