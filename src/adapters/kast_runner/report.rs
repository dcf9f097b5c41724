//! Renders the reports of an attempt that has ended once more, from the files that it left: `--report-only`.
//!
//! One process in a group of its own, without a shell, with the scanner's environment and the attempt's marker, killed as a whole when it takes too long or nobody waits for it any more.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::{AttemptNumber, ReportFormat, ScanRecord};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;

use super::environment;
use super::folder::AttemptPaths;
use super::run::Run;
use super::scanner::ScannerCommand;
use super::text::clean;

/// The longest that rendering may take.
const LIMIT: Duration = Duration::from_secs(120);
/// How many reports are rendered at once; others are told to come back.
const AT_ONCE: usize = 2;
const MOST_ERROR_BYTES: u64 = 16 * 1024;

/// Why no report was rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// Others are being rendered.
    #[error("{AT_ONCE} reports are being rendered already; try again in a moment")]
    Busy,
    /// The attempt left nothing to render from.
    #[error("the attempt left no kast_info.json on this machine to render a report from")]
    NoResults,
    /// The program could not be run.
    #[error("failed to run the scanner")]
    Run(#[source] std::io::Error),
    /// It took too long.
    #[error("the scanner did not render the report within {} s", LIMIT.as_secs())]
    Late,
    /// It said no.
    #[error("the scanner did not render the report: {0}")]
    Refused(String),
}

/// Renders reports. Clones share the limit.
#[derive(Debug, Clone)]
pub struct ReportRenderer {
    scanner: ScannerCommand,
    environment: Arc<Vec<(OsString, OsString)>>,
    results_dir: PathBuf,
    run: Run,
    logo: Option<PathBuf>,
    at_once: Arc<Semaphore>,
}

impl ReportRenderer {
    pub(super) fn new(scanner: ScannerCommand, environment: Arc<Vec<(OsString, OsString)>>, results_dir: PathBuf, run: Run, logo: Option<PathBuf>) -> Self {
        Self { scanner, environment, results_dir, run, logo, at_once: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Renders the reports of one attempt into its folder.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn render(&self, record: &ScanRecord, attempt: AttemptNumber, format: ReportFormat) -> Result<(), RenderError> {
        let _turn = self.at_once.try_acquire().map_err(|_| RenderError::Busy)?;
        let paths = AttemptPaths::new(&self.results_dir, &record.request.target, record.created_at, record.id, attempt);
        let info = paths.attempt_dir.join("kast_info.json");
        if !tokio::fs::symlink_metadata(&info).await.is_ok_and(|metadata| metadata.is_file()) {
            return Err(RenderError::NoResults);
        }
        let marker = self.run.marker(record.id, record.token);
        let mut command = tokio::process::Command::new(&self.scanner.program);
        command.args(args(&self.scanner.leading, &paths, format, self.logo.as_deref())).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).envs(environment::of_attempt(&marker, &record.trace));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(RenderError::Run)?;
        let group = Group(child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())));
        let run = async {
            let mut said = Vec::new();
            if let Some(mut stderr) = child.stderr.take() {
                (&mut stderr).take(MOST_ERROR_BYTES).read_to_end(&mut said).await?;
                // Whatever more it says is let through, so that it does not wait for a reader.
                tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
            }
            Ok::<_, std::io::Error>((child.wait().await?, said))
        };
        let ended = tokio::time::timeout(LIMIT, run).await;
        drop(group);
        match ended {
            Err(_) => Err(RenderError::Late),
            Ok(Err(error)) => Err(RenderError::Run(error)),
            Ok(Ok((status, _))) if status.success() => Ok(()),
            Ok(Ok((status, said))) => {
                let said = clean(String::from_utf8_lossy(&said).lines().last().unwrap_or_default(), 300);
                Err(RenderError::Refused(if said.is_empty() { status.to_string() } else { said }))
            }
        }
    }
}

/// Kills what is left of a process group, also when the request that asked for the report is gone.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // A group that has ended cannot be signalled, and need not be.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

fn args(leading: &[OsString], paths: &AttemptPaths, format: ReportFormat, logo: Option<&std::path::Path>) -> Vec<OsString> {
    let mut args = leading.to_vec();
    args.extend(["--report-only".into(), paths.attempt_dir.clone().into_os_string(), "--format".into(), format.as_str().into()]);
    if let Some(logo) = logo {
        args.extend(["--logo".into(), logo.into()]);
    }
    args.extend(["-l".into(), paths.log_dir.clone().into_os_string()]);
    args
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use kastrel_actors::testing::fixtures;

    use super::*;

    fn renderer(results: &Path, script: &str) -> (ReportRenderer, ScanRecord, PathBuf) {
        let program = results.join("kast");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let record = fixtures::record(7, jiff::Timestamp::UNIX_EPOCH);
        let folder = AttemptPaths::new(results, &record.request.target, record.created_at, record.id, AttemptNumber(1)).attempt_dir;
        std::fs::create_dir_all(&folder).unwrap();
        (ReportRenderer::new(ScannerCommand::kast(program), Arc::default(), results.into(), Run::new("d"), None), record, folder)
    }

    #[tokio::test]
    async fn the_scanner_is_asked_for_the_folder_and_its_answer_counts() {
        let results = tempfile::tempdir().unwrap();
        let (renderer, record, folder) =
            renderer(results.path(), "[ \"$4\" = pdf ] && { echo Traceback >&2; echo 'no PDF here' >&2; exit 1; }; echo \"$*\" > \"$2/kast_report.html\"");
        let render = |format| renderer.render(&record, AttemptNumber(1), format);
        assert!(matches!(render(ReportFormat::Html).await, Err(RenderError::NoResults)));
        std::fs::write(folder.join("kast_info.json"), "{}").unwrap();
        render(ReportFormat::Both).await.unwrap();
        let shown = folder.display();
        assert_eq!(std::fs::read_to_string(folder.join("kast_report.html")).unwrap(), format!("--report-only {shown} --format both -l {shown}/logs\n"));
        assert_eq!(render(ReportFormat::Pdf).await.unwrap_err().to_string(), "the scanner did not render the report: no PDF here");
    }
}
