//! Calls of the tools on the scanner's `PATH`, each within a time limit.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use super::scanner::is_executable;
use crate::descriptors::SpawnAsBefore as _;

/// Finds a tool on the scanner's `PATH`.
pub(super) fn find(name: &str, environment: &[(OsString, OsString)]) -> Option<PathBuf> {
    let (_, path) = environment.iter().rev().find(|(name, _)| name == "PATH")?;
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|file| is_executable(file))
}

/// Runs a tool to its end, and kills it after `limit`.
///
/// # Errors
/// The reason why it did not respond.
pub(super) async fn run(
    program: &Path,
    args: &[&str],
    environment: &[(OsString, OsString)],
    limit: Duration,
) -> Result<Output, String> {
    let mut command = tokio::process::Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = async { command.spawn_as_before()?.wait_with_output().await };
    match tokio::time::timeout(limit, output).await {
        Ok(output) => output.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", limit.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tool_is_found_on_the_given_path_and_gets_only_the_given_environment() {
        let environment: Vec<(OsString, OsString)> =
            vec![("PATH".into(), "/nowhere".into()), ("PATH".into(), "/usr/bin:/bin".into()), ("A".into(), "1".into())];
        assert_eq!(find("no-such-tool", &environment), None);
        assert_eq!(find("env", &[]), None);
        let env = find("env", &environment).unwrap();
        let output = run(&env, &[], &environment, Duration::from_secs(60)).await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.lines().count() == 2 && text.contains("A=1"), "{text}");
    }

    #[tokio::test]
    async fn tool_that_does_not_end_is_given_up() {
        let environment: Vec<(OsString, OsString)> = vec![("PATH".into(), "/usr/bin:/bin".into())];
        let sleep = find("sleep", &environment).unwrap();
        let why = run(&sleep, &["600"], &environment, Duration::ZERO).await.unwrap_err();
        assert_eq!(why, "no answer within 0 s");
        assert!(run(Path::new("/nowhere/tool"), &[], &[], Duration::from_secs(60)).await.is_err());
    }
}
