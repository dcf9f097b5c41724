//! Checks the environment that KAST needs: its configuration file, its registry of issues, the
//! tools of its plugins in supported versions, and Docker for ZAP.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::catalogue::Catalogue;
use super::catalogue_cache::CatalogueCache;
use super::config_file::NodeConfig;
use super::environment;
use super::scanner::ScannerCommand;
use super::text::clean;
use super::tool;
use crate::error_chain::chain;

/// The timeout of one call of a tool.
const PATIENCE: Duration = Duration::from_secs(10);
/// The prefix of the names of Kastrel's own containers.
const OWN_CONTAINERS: &str = "kastrel-zap-";
/// The name of the plugin that needs Docker.
const ZAP: &str = "zap";
/// The environment variable with the URL of a ZAP that runs elsewhere.
const REMOTE_ZAP: &str = "KAST_ZAP_URL";

/// A tool that a plugin calls.
struct KnownTool {
    name: &'static str,
    /// The arguments that print its version.
    args: &'static [&'static str],
    /// The first version that KAST supports, and the reason.
    least: Option<(&'static [u32], &'static str)>,
    /// A text in its output that identifies the tool, if another program has the same name.
    sign: Option<&'static str>,
}

const TOOLS: [KnownTool; 6] = [
    KnownTool { name: "whatweb", args: &["--version"], least: None, sign: None },
    KnownTool { name: "wafw00f", args: &["--version"], least: None, sign: None },
    KnownTool {
        name: "testssl",
        args: &["--version"],
        least: Some((&[3, 2], "KAST calls it with --socket-timeout")),
        sign: None,
    },
    KnownTool { name: "subfinder", args: &["-version"], least: None, sign: None },
    KnownTool { name: "katana", args: &["-version"], least: None, sign: None },
    // The Python package httpx installs a program with the same name.
    KnownTool { name: "httpx", args: &["-version"], least: None, sign: Some("Current Version") },
];

/// An installed tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTool {
    /// Its name.
    pub name: &'static str,
    /// The tool's version, if its output has one.
    pub version: Option<String>,
    /// The reason why KAST cannot use it.
    pub problem: Option<String>,
}

/// The Docker with which KAST starts ZAP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Docker {
    /// There is no `docker` on the scanner's `PATH`.
    Missing,
    /// The Docker daemon does not respond; with the reason.
    Silent(String),
    /// The Docker daemon responds.
    Running {
        /// The daemon's version.
        version: String,
        /// The running ZAP containers that do not belong to Kastrel's attempts, or the reason why
        /// the containers could not be listed. KAST would use such a container as its own.
        strangers: Result<Vec<String>, String>,
    },
}

/// The results of all checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The configuration file of the attempts, if there is one, and the settings in it that KAST
    /// ignores; or the reason why the file cannot be used.
    pub config: Result<(Option<PathBuf>, Vec<String>), String>,
    /// The reason why the severities of issues are unknown.
    pub registry_problem: Option<String>,
    /// The tools that are installed.
    pub tools: Vec<FoundTool>,
    /// The state of Docker, for ZAP. `None` if KAST has no ZAP plugin, or if ZAP runs elsewhere.
    pub docker: Option<Docker>,
}

/// Runs all checks. `configured` is the node's setting `kast.config_file`.
pub async fn surroundings(scanner: &ScannerCommand, configured: Option<PathBuf>, env_allow: &[String]) -> Surroundings {
    let environment = environment::base(std::env::vars_os(), env_allow, &[]);
    let cache = CatalogueCache::open(scanner.clone(), environment.clone(), Path::new(""));
    let home = environment::home(&environment);
    let node = tokio::task::spawn_blocking(move || NodeConfig::read(configured.as_deref(), home.as_deref()));
    let tools = futures_util::future::join_all(TOOLS.iter().map(|tool| found(tool, &environment)));
    let (catalogue, node, tools, docker) = tokio::join!(cache.ask(), node, tools, docker(&environment));
    // Another check reports a scanner that does not respond.
    let catalogue = catalogue.unwrap_or_default();
    let config = match node {
        Ok(Ok(node)) => {
            Ok((node.path.clone(), catalogue.settings.as_ref().map(|schema| node.ignored(schema)).unwrap_or_default()))
        }
        Ok(Err(error)) => Err(chain(&error)),
        Err(error) => Err(error.to_string()),
    };
    let Catalogue { plugins, registry_problem, .. } = catalogue;
    let has_remote = environment.iter().any(|(name, value)| name == REMOTE_ZAP && !value.is_empty());
    let docker = (plugins.iter().any(|plugin| plugin.name == ZAP) && !has_remote).then_some(docker);
    Surroundings { config, registry_problem, tools: tools.into_iter().flatten().collect(), docker }
}

/// Runs a program. Returns whether it succeeded, with its output on both streams; or the reason why
/// it did not respond.
async fn answer(program: &Path, args: &[&str], environment: &[(OsString, OsString)]) -> Result<(bool, String), String> {
    let output = tool::run(program, args, environment, PATIENCE).await?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

async fn found(tool: &KnownTool, environment: &[(OsString, OsString)]) -> Option<FoundTool> {
    let program = tool::find(tool.name, environment)?;
    Some(match answer(&program, tool.args, environment).await {
        Ok((_, said)) => judged(tool, &said),
        Err(why) => FoundTool { name: tool.name, version: None, problem: Some(why) },
    })
}

fn judged(tool: &KnownTool, said: &str) -> FoundTool {
    let said = crate::terminal_text::plain(said);
    let version = version(&said);
    let is_other = tool.sign.is_some_and(|sign| !said.contains(sign));
    let too_old = |(least, why): &(&'static [u32], &'static str)| {
        let numbers: Vec<u32> = version.as_deref()?.split('.').map_while(|part| part.parse().ok()).collect();
        let least_text = || least.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
        (numbers.as_slice() < *least).then(|| {
            format!(
                "version {} is too old: {why}, which needs {}",
                version.as_deref().unwrap_or_default(),
                least_text()
            )
        })
    };
    let problem = if is_other {
        Some("this is another program of that name".to_owned())
    } else {
        tool.least.as_ref().and_then(too_old)
    };
    FoundTool { name: tool.name, version, problem }
}

/// The first word of a text that looks like a version: `3.2.1`, `v1.1.0`, `2.3rc1`.
fn version(text: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ':' | '/'));
    let looks_right =
        |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.') && word.len() <= 30;
    let found = words.map(|word| word.trim_start_matches('v')).find(looks_right)?;
    let numbers: String = found.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    Some(numbers.trim_end_matches('.').to_owned())
}

async fn docker(environment: &[(OsString, OsString)]) -> Docker {
    let Some(docker) = tool::find("docker", environment) else { return Docker::Missing };
    let version = match answer(&docker, &["version", "--format", "{{.Server.Version}}"], environment).await {
        Ok((true, said)) => clean(&said, 40),
        Ok((false, said)) => return Docker::Silent(last_line(&said)),
        Err(why) => return Docker::Silent(why),
    };
    let strangers = match answer(&docker, &["ps", "--format", "{{.Names}}\t{{.Image}}"], environment).await {
        Ok((true, said)) => Ok(strangers(&said)),
        Ok((false, said)) => Err(last_line(&said)),
        Err(why) => Err(why),
    };
    Docker::Running { version, strangers }
}

/// The last line of a failed program's output.
fn last_line(said: &str) -> String {
    clean(said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason given"), 200)
}

/// The containers with ZAP's image that are not Kastrel's.
fn strangers(listed: &str) -> Vec<String> {
    let foreign = |line: &str| {
        let (name, image) = line.split_once('\t')?;
        (image.contains("zaproxy") && !name.starts_with(OWN_CONTAINERS)).then(|| clean(name, 100))
    };
    listed.lines().filter_map(foreign).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_the_output_of_tools() {
        for (said, expected) in [
            ("WhatWeb version 0.5.5 ( https://www.morningstarsecurity.com/research/whatweb/ )", Some("0.5.5")),
            ("\u{1b}[1;97mwafw00f\u{1b}[0m : v2.3.1\n", Some("2.3.1")),
            ("testssl.sh version 3.2rc3 from https://testssl.sh/dev/", Some("3.2")),
            ("[INF] Current Version: v1.1.0", Some("1.1.0")),
            ("no version", None),
        ] {
            assert_eq!(version(&crate::terminal_text::plain(said)).as_deref(), expected, "{said}");
        }
    }

    #[test]
    fn tool_that_kast_cannot_use_has_a_problem() {
        let tool = |name: &str| TOOLS.iter().find(|tool| tool.name == name).unwrap();
        for (name, said, problem) in [
            ("testssl", "testssl.sh version 3.0.8 from https://testssl.sh/", Some("version 3.0.8 is too old")),
            ("testssl", "testssl.sh version 3.2.1", None),
            ("testssl", "testssl.sh version 4.0", None),
            ("httpx", "[INF] Current Version: v1.6.9", None),
            ("httpx", "Usage: httpx [OPTIONS] URL", Some("another program")),
            ("katana", "Current version: v1.1.0", None),
        ] {
            let found = judged(tool(name), said);
            assert_eq!(found.problem.is_some(), problem.is_some(), "{said}: {found:?}");
            assert!(found.problem.is_none_or(|text| text.contains(problem.unwrap())));
        }
    }

    #[tokio::test]
    async fn failed_container_list_differs_from_an_empty_one() {
        use std::os::unix::fs::PermissionsExt as _;

        for (list, expected) in [
            ("printf 'mine\\tzaproxy/zap-stable\\n'", Ok(vec!["mine".to_owned()])),
            ("printf 'web\\tnginx\\n'", Ok(Vec::new())),
            ("echo warning; echo 'permission denied' >&2; exit 1", Err("permission denied".to_owned())),
            ("exit 1", Err("no reason given".to_owned())),
        ] {
            let root = tempfile::tempdir().unwrap();
            let program = root.path().join("docker");
            std::fs::write(
                &program,
                format!("#!/bin/sh\nif [ \"$1\" = version ]; then echo 28.2.2; exit 0; fi\n{list}\n"),
            )
            .unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            let environment = [("PATH".into(), root.path().into())];
            assert_eq!(
                docker(&environment).await,
                Docker::Running { version: "28.2.2".into(), strangers: expected },
                "{list}"
            );
        }
    }

    #[test]
    fn zap_container_of_another_owner_is_a_stranger() {
        let listed = "kastrel-zap-d1-7-1-1-aa\tghcr.io/zaproxy/zaproxy:stable\nkast-zap-local\tghcr.io/zaproxy/zaproxy:stable\nweb\tnginx\nmine\tzaproxy/zap-stable\n";
        assert_eq!(strangers(listed), ["kast-zap-local", "mine"]);
        assert!(strangers("").is_empty());
    }
}
