//! Checks the tools that KAST needs. KAST itself ignores a broken configuration, and runs a tool of
//! a wrong version.

use super::model::Check;
use crate::adapters::kast_runner::{Docker, FoundTool, ScannerCommand, Surroundings, surroundings};
use crate::config::{Config, ScannerChoice};
use kastrel_actors::model::ScannerKind;

/// Searches for the tools, if the configured scanner is KAST.
pub(super) async fn look(config: &Config) -> Option<Surroundings> {
    let own_exe = std::env::current_exe().ok()?;
    let scanner = ScannerCommand::find(
        config.kast.path.as_deref().map(std::path::Path::as_os_str),
        std::env::var_os("PATH").as_deref(),
        &own_exe,
    );
    if config.kast.scanner == ScannerChoice::Builtin || scanner.kind != ScannerKind::Kast {
        return None;
    }
    Some(surroundings(&scanner, config.kast.config_file.clone(), config.kast.environment.names()).await)
}

/// Returns the checks of the found tools.
pub(super) fn judge(found: &Surroundings) -> Vec<Check> {
    let mut checks = vec![configuration(found)];
    if let Some(problem) = &found.registry_problem {
        checks.push(Check::warning(
            "issues",
            format!("{problem}; the severities of issues that were not read are unknown"),
            "run `kast registry list --json` and check its output",
        ));
    }
    checks.push(tools(&found.tools));
    checks.extend(found.docker.as_ref().map(docker));
    checks
}

fn configuration(found: &Surroundings) -> Check {
    match &found.config {
        Err(why) => Check::failure(
            "kast config",
            format!("{why}; KAST would ignore it silently, so no scan starts"),
            "correct the file, or set kast.config_file to another one",
        ),
        Ok((Some(path), ignored)) if !ignored.is_empty() => {
            let shown = ignored.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("; ");
            Check::warning(
                "kast config",
                format!("{} has settings that KAST ignores: {shown}", path.display()),
                "`kast config schema` lists the settings that it accepts",
            )
        }
        Ok((Some(path), _)) => Check::ok(
            "kast config",
            format!("{} is valid and is merged into each scan's configuration", path.display()),
        ),
        Ok((None, _)) => Check::ok("kast config", "no configuration file; KAST's defaults apply"),
    }
}

fn tools(tools: &[FoundTool]) -> Check {
    let shown: Vec<String> = tools
        .iter()
        .map(|tool| format!("{} {}", tool.name, tool.version.as_deref().unwrap_or("of unknown version")))
        .collect();
    let problems: Vec<String> = tools
        .iter()
        .filter_map(|tool| tool.problem.as_ref().map(|problem| format!("{}: {problem}", tool.name)))
        .collect();
    if problems.is_empty() {
        return Check::ok(
            "tools",
            if shown.is_empty() { "no tool of KAST's plugins is installed".to_owned() } else { shown.join(", ") },
        );
    }
    Check::warning(
        "tools",
        format!("plugins will fail: {}", problems.join("; ")),
        "install these tools in the versions that KAST's installer takes, before others on the PATH",
    )
}

fn docker(docker: &Docker) -> Check {
    const NEEDED: &str = "active scans start ZAP with Docker";
    match docker {
        Docker::Missing => Check::warning(
            "zap",
            format!("{NEEDED}, and there is no `docker` on the PATH"),
            "install Docker, or set KAST_ZAP_URL to a ZAP that runs elsewhere",
        ),
        Docker::Silent(why) => Check::warning(
            "zap",
            format!("{NEEDED}, and its daemon does not respond: {why}"),
            "start the Docker daemon, or set KAST_ZAP_URL to a ZAP that runs elsewhere",
        ),
        Docker::Running { version, strangers: Err(why) } => Check::warning(
            "zap",
            format!(
                "Docker {version} responds, but its containers could not be listed: {why}; KAST would use a ZAP container that is not Kastrel's"
            ),
            "run `docker ps` as the user that runs Kastrel, and correct what it reports",
        ),
        Docker::Running { strangers: Ok(strangers), .. } if !strangers.is_empty() => Check::warning(
            "zap",
            format!(
                "ZAP containers are running that are not Kastrel's: {}; KAST would use such a container, which has another port and key, and active scans would fail",
                strangers.join(", ")
            ),
            format!("docker stop {}", strangers.join(" ")),
        ),
        Docker::Running { version, strangers: Ok(_) } => {
            Check::ok("zap", format!("Docker {version} responds; no foreign ZAP container is running"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Level;
    use super::*;

    fn good() -> Surroundings {
        let tool = FoundTool { name: "whatweb", version: Some("0.5.5".into()), problem: None };
        let docker = Docker::Running { version: "28.2.2".into(), strangers: Ok(Vec::new()) };
        Surroundings {
            config: Ok((Some("/etc/kast/config.yaml".into()), Vec::new())),
            registry_problem: None,
            tools: vec![tool],
            docker: Some(docker),
        }
    }

    #[test]
    fn each_missing_tool_is_named_with_a_fix() {
        assert!(judge(&good()).iter().all(|check| check.level == Level::Ok), "{:?}", judge(&good()));
        let old = FoundTool {
            name: "testssl",
            version: Some("3.0.8".into()),
            problem: Some("version 3.0.8 is too old".into()),
        };
        for (found, name, level, part) in [
            (
                Surroundings {
                    config: Err("the KAST configuration /k.yaml cannot be read: No such file".into()),
                    ..good()
                },
                "kast config",
                Level::Failure,
                "/k.yaml",
            ),
            (
                Surroundings {
                    config: Ok((Some("/k.yaml".into()), vec!["`zap` has no such setting".into()])),
                    ..good()
                },
                "kast config",
                Level::Warning,
                "no such setting",
            ),
            (
                Surroundings { registry_problem: Some("the registry is truncated".into()), ..good() },
                "issues",
                Level::Warning,
                "severities",
            ),
            (Surroundings { tools: vec![old], ..good() }, "tools", Level::Warning, "testssl: version 3.0.8"),
            (Surroundings { docker: Some(Docker::Missing), ..good() }, "zap", Level::Warning, "no `docker`"),
            (
                Surroundings { docker: Some(Docker::Silent("refused".into())), ..good() },
                "zap",
                Level::Warning,
                "refused",
            ),
            (
                Surroundings {
                    docker: Some(Docker::Running {
                        version: "28".into(),
                        strangers: Ok(vec!["kast-zap-local".into()]),
                    }),
                    ..good()
                },
                "zap",
                Level::Warning,
                "kast-zap-local",
            ),
            (
                Surroundings {
                    docker: Some(Docker::Running { version: "28".into(), strangers: Err("permission denied".into()) }),
                    ..good()
                },
                "zap",
                Level::Warning,
                "could not be listed: permission denied",
            ),
        ] {
            let checks = judge(&found);
            let check = checks.iter().find(|check| check.level != Level::Ok).unwrap();
            assert_eq!((check.name, check.level, check.message.contains(part)), (name, level, true), "{check:?}");
        }
    }
}
