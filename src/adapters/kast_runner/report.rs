//! Renders the reports of an attempt that has ended once more, from the files that it left: `--report-only`.
//!
//! KAST's `--report-only` alone runs every available passive plugin again in a mode that rewrites its `<name>_processed.json`, also of plugins that the scan never selected. So it gets a copy of the
//! results, in a folder beside the attempt's, and a selection that leaves no plugin to run; the copy is checked afterwards, and only the reports are taken from it.
//!
//! One process in a group of its own, without a shell, with the scanner's environment and the attempt's marker, killed as a whole when it takes too long or nobody waits for it any more.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::{AttemptNumber, PluginKind, ReportFiles, ReportFormat, ScanRecord, ScannerKind};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;

use super::catalogue_cache::CatalogueCache;
use super::environment;
use super::folder::AttemptPaths;
use super::report_copy::Copied;
use super::run::Run;
use super::scanner::ScannerCommand;
use super::text::clean;
use crate::descriptors::SpawnAsBefore as _;

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
    /// The copy could not be made, or the reports could not be taken from it.
    #[error("failed to copy the results for rendering")]
    Copy(#[source] std::io::Error),
    /// It changed the results that it was given, so that its report is not one of this scan.
    #[error("the scanner changed {0} of the results while it rendered; the reports and the results of the scan are as they were")]
    Changed(String),
    /// It ended well and wrote none.
    #[error("the scanner wrote no {0}; the files are as they were")]
    NothingWritten(&'static str),
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

/// A plugin that looks without attacking, in every version of KAST.
const PASSIVE_PLUGIN: &str = "whatweb";

/// Renders reports. Clones share the limit.
#[derive(Debug, Clone)]
pub struct ReportRenderer {
    scanner: ScannerCommand,
    environment: Arc<Vec<(OsString, OsString)>>,
    catalogue: Arc<CatalogueCache>,
    results_dir: PathBuf,
    run: Run,
    logo: Option<PathBuf>,
    at_once: Arc<Semaphore>,
}

impl ReportRenderer {
    pub(super) fn new(
        scanner: ScannerCommand,
        environment: Arc<Vec<(OsString, OsString)>>,
        catalogue: Arc<CatalogueCache>,
        results_dir: PathBuf,
        run: Run,
        logo: Option<PathBuf>,
    ) -> Self {
        Self { scanner, environment, catalogue, results_dir, run, logo, at_once: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Renders the reports of one attempt into its folder, and tells which were written: of both one may be missing. Nothing else in the folder changes.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn render(&self, record: &ScanRecord, attempt: AttemptNumber, format: ReportFormat) -> Result<ReportFiles, RenderError> {
        let _turn = self.at_once.try_acquire().map_err(|_| RenderError::Busy)?;
        let paths = AttemptPaths::new(&self.results_dir, &record.request.target, record.created_at, record.id, attempt);
        let folder = paths.attempt_dir.clone();
        let copied = blocking(move || Copied::of(&folder)).await?.ok_or(RenderError::NoResults)?;
        self.run_scanner(record, &copied, format).await?;
        let (folder, logo) = (paths.attempt_dir, self.logo.clone());
        let logo = logo.as_deref().and_then(Path::file_name).map(OsString::from);
        blocking(move || {
            if let Some(name) = copied.changed()? {
                return Ok(Err(RenderError::Changed(name)));
            }
            // Nothing is taken unless a requested report was written.
            let wanted = match wanted(format, copied.written()) {
                Ok(wanted) => wanted,
                Err(error) => return Ok(Err(error)),
            };
            copied.take(&folder, wanted, logo.as_deref()).map(|()| Ok(wanted))
        })
        .await?
    }

    async fn run_scanner(&self, record: &ScanRecord, copied: &Copied, format: ReportFormat) -> Result<(), RenderError> {
        let marker = self.run.marker(record.id, record.token);
        let mut command = tokio::process::Command::new(&self.scanner.program);
        command.args(self.args(copied.path(), format)).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).envs(environment::of_attempt(&marker, &record.trace));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        let mut child = command.spawn_as_before().map_err(RenderError::Run)?;
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

    fn args(&self, folder: &Path, format: ReportFormat) -> Vec<OsString> {
        let mut args = self.scanner.leading.clone();
        args.extend(["--report-only".into(), folder.into(), "--format".into(), format.as_str().into()]);
        if self.scanner.kind == ScannerKind::Kast {
            // A passive plugin alone in active mode: none is left to run.
            let catalogue = self.catalogue.current();
            let passive = catalogue.iter().flat_map(|known| &known.plugins).find(|plugin| plugin.kind == PluginKind::Passive);
            let passive = passive.map_or(PASSIVE_PLUGIN, |plugin| &plugin.name);
            args.extend(["-m".into(), "active".into(), "--run-only".into(), passive.into()]);
        }
        if let Some(logo) = &self.logo {
            args.extend(["--logo".into(), logo.into()]);
        }
        args.extend(["-l".into(), folder.join("logs").into_os_string()]);
        args
    }
}

/// Which of the written reports to take: the requested ones. At least one must be there.
const fn wanted(format: ReportFormat, written: ReportFiles) -> Result<ReportFiles, RenderError> {
    let asked = format.files();
    let taken = ReportFiles { html: asked.html && written.html, pdf: asked.pdf && written.pdf };
    if taken.html || taken.pdf {
        return Ok(taken);
    }
    Err(RenderError::NothingWritten(match format {
        ReportFormat::Html => "HTML report",
        ReportFormat::Pdf => "PDF report",
        ReportFormat::Both => "report",
    }))
}

/// Runs `work` on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T, RenderError> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::from).and_then(|done| done).map_err(RenderError::Copy)
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use kastrel_actors::testing::fixtures;

    use super::*;

    fn renderer(results: &Path, script: &str) -> (ReportRenderer, ScanRecord, PathBuf) {
        let program = results.join("kast");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let record = fixtures::record(7, jiff::Timestamp::UNIX_EPOCH);
        let folder = AttemptPaths::new(results, &record.request.target, record.created_at, record.id, AttemptNumber(1)).attempt_dir;
        std::fs::create_dir_all(&folder).unwrap();
        let scanner = ScannerCommand::kast(program);
        let catalogue = Arc::new(CatalogueCache::open(scanner.clone(), Vec::new(), &results.join("cache")));
        (ReportRenderer::new(scanner, Arc::default(), catalogue, results.into(), Run::new("d"), None), record, folder)
    }

    /// All files of the scan with what is in them.
    fn files(folder: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_file()).collect();
        files.sort_by_key(std::fs::DirEntry::file_name);
        files.into_iter().map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap())).collect()
    }

    #[tokio::test]
    async fn the_reports_are_taken_from_a_copy() {
        let results = tempfile::tempdir().unwrap();
        let script = "cat \"$2/whatweb_processed.json\" > \"$2/kast_report.html\"; echo \"$3 $4 $5 $6 $7 $8\" >> \"$2/kast_report.html\"; echo style > \"$2/kast_style.css\"; echo x > \"$2/other.txt\"";
        let (renderer, record, folder) = renderer(results.path(), script);
        let render = |format| renderer.render(&record, AttemptNumber(1), format);
        assert!(matches!(render(ReportFormat::Html).await, Err(RenderError::NoResults)));
        std::fs::write(folder.join("kast_info.json"), "{}").unwrap();
        std::fs::write(folder.join("whatweb_processed.json"), "found\n").unwrap();
        std::fs::write(folder.join("kast_report.html"), "old").unwrap();
        std::fs::write(folder.join("katana.txt"), "large").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.join("zap_processed.json")).unwrap();
        render(ReportFormat::Html).await.unwrap();
        let report = "found\n--format html -m active --run-only whatweb\n";
        let expected = [
            ("kast_info.json", "{}"),
            ("kast_report.html", report),
            ("kast_style.css", "style\n"),
            ("katana.txt", "large"),
            ("whatweb_processed.json", "found\n"),
        ];
        let own: Vec<_> = files(&folder).into_iter().filter(|(name, _)| name != "zap_processed.json").collect();
        assert_eq!(own, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
        let beside: Vec<_> = std::fs::read_dir(folder.parent().unwrap()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(beside, ["attempt-1"], "the copy is gone");
        assert_eq!(render(ReportFormat::Both).await.unwrap(), ReportFiles { html: true, pdf: false });
        std::fs::write(folder.join("kast_report.html"), "as it was").unwrap();
        assert_eq!(render(ReportFormat::Pdf).await.unwrap_err().to_string(), "the scanner wrote no PDF report; the files are as they were");
        assert_eq!(std::fs::read_to_string(folder.join("kast_report.html")).unwrap(), "as it was");
    }

    #[tokio::test]
    async fn a_scanner_that_runs_its_plugins_again_changes_nothing() {
        for (script, expected) in [
            ("echo worse > \"$2/whatweb_processed.json\"; echo new > \"$2/kast_report.html\"", "changed whatweb_processed.json of the results"),
            ("echo '{}' > \"$2/ftap_processed.json\"; echo new > \"$2/kast_report.html\"", "changed ftap_processed.json of the results"),
            ("rm \"$2/whatweb_processed.json\"; echo new > \"$2/kast_report.html\"", "changed whatweb_processed.json of the results"),
            ("echo '{\"plugins\":[]}' > \"$2/kast_info.json\"; echo new > \"$2/kast_report.html\"", "changed kast_info.json of the results"),
            ("exit 0", "wrote no HTML report"),
            ("ln -s /etc/passwd \"$2/kast_report.html\"", "wrote no HTML report"),
            ("echo Traceback >&2; echo 'no report here' >&2; exit 1", "did not render the report: no report here"),
        ] {
            let results = tempfile::tempdir().unwrap();
            let (renderer, record, folder) = renderer(results.path(), script);
            for (name, text) in [("kast_info.json", "{}"), ("whatweb_processed.json", "found"), ("kast_report.html", "old")] {
                std::fs::write(folder.join(name), text).unwrap();
            }
            let before = files(&folder);
            let error = renderer.render(&record, AttemptNumber(1), ReportFormat::Html).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{script}: {error}");
            assert_eq!(files(&folder), before, "{script}");
            assert_eq!(std::fs::read_dir(folder.parent().unwrap()).unwrap().count(), 1, "{script}");
        }
    }
}
