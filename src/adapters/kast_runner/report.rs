//! Regenerates the reports of an attempt that has ended, from its files: `--report-only`.
//!
//! KAST's `--report-only` alone runs every available passive plugin again, in a mode that rewrites
//! its `<name>_processed.json`, even if the scan did not select the plugin. So KAST gets a copy of
//! the results, in a folder beside the attempt's, and a selection that leaves no plugin to run.
//! Afterwards the copy is verified, and only the reports are taken from it.
//!
//! The renderer is one process below a keeper, like that of an attempt: without a shell, with the
//! same user, limits and marker. It is killed with all of its child processes at a timeout or when
//! the caller stops waiting. This confinement is necessary because the scanned site influences the
//! results.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::{AttemptNumber, ExitKind, PluginKind, ReportFiles, ReportFormat, ScanRecord, ScannerKind};
use kastrel_actors::ports::StartError;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Semaphore;

use super::catalogue_cache::CatalogueCache;
use super::egress::Network;
use super::environment;
use super::folder::TmpFolder;
use super::hunt;
use super::isolation::RunAs;
use super::keeper::{Keepers, Start};
use super::process::{self, Spawned, watch_exit};
use super::report_copy::Copied;
use super::run::Run;
use super::scanner::ScannerCommand;
use super::text::clean;
use crate::ports::AttemptPaths;

/// The timeout of a rendering.
const LIMIT: Duration = Duration::from_secs(120);
/// How long the pipes may take to reach their end after the process has ended.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// The maximum number of concurrent renderings; further requests are rejected.
const AT_ONCE: usize = 2;
const MOST_ERROR_BYTES: u64 = 16 * 1024;

/// The reason why no report was rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The maximum number of reports is being rendered.
    #[error("{AT_ONCE} reports are being rendered already; try again in a moment")]
    Busy,
    /// The attempt left no results to render.
    #[error("the attempt left no kast_info.json on this machine to render a report from")]
    NoResults,
    /// The copy could not be made, or the reports could not be moved.
    #[error("failed to copy the results for rendering")]
    Copy(#[source] std::io::Error),
    /// The scanner changed the results in the copy, so its report does not show this scan.
    #[error(
        "the scanner changed {0} of the results while it rendered; the reports and the results of the scan are as they were"
    )]
    Changed(String),
    /// The scanner succeeded but wrote no report.
    #[error("the scanner wrote no {0}; the files are as they were")]
    NothingWritten(&'static str),
    /// This process has no scanner.
    #[error("this process runs no scanner; the nodes do")]
    NoScanner,
    /// The program could not be started.
    #[error("{0}")]
    NotStarted(StartError),
    /// The program could not be observed.
    #[error("failed to run the scanner")]
    Run(#[source] std::io::Error),
    /// The rendering timed out.
    #[error("the scanner did not render the report within {} s", LIMIT.as_secs())]
    Late,
    /// The scanner failed.
    #[error("the scanner did not render the report: {0}")]
    Refused(String),
}

/// The name of a passive plugin that every version of KAST has.
const PASSIVE_PLUGIN: &str = "whatweb";

/// Renders reports. Clones share the limit of concurrent renderings.
#[derive(Debug, Clone)]
pub struct KastReportRenderer {
    scanner: ScannerCommand,
    environment: Arc<Vec<(OsString, OsString)>>,
    catalogue: Arc<CatalogueCache>,
    results_dir: PathBuf,
    run: Run,
    logo: Option<PathBuf>,
    launcher: Option<Launcher>,
    at_once: Arc<Semaphore>,
}

/// Starts scanners for rendering.
#[derive(Debug, Clone)]
pub(super) struct Launcher {
    pub(super) keepers: Keepers,
    pub(super) user: Option<RunAs>,
    /// True if the renderer runs without a network.
    pub(super) is_offline: bool,
    pub(super) tmp_root: PathBuf,
}

impl KastReportRenderer {
    pub(super) fn new(
        scanner: ScannerCommand,
        environment: Arc<Vec<(OsString, OsString)>>,
        catalogue: Arc<CatalogueCache>,
        results_dir: PathBuf,
        run: Run,
        logo: Option<PathBuf>,
        launcher: Option<Launcher>,
    ) -> Self {
        Self {
            scanner,
            environment,
            catalogue,
            results_dir,
            run,
            logo,
            launcher,
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Renders the reports of one attempt into its folder, and returns which were written. If both
    /// were requested, one may be missing. Changes nothing else in the folder.
    ///
    /// # Errors
    /// The reason why there is no report.
    pub async fn render(
        &self,
        record: &ScanRecord,
        attempt: AttemptNumber,
        format: ReportFormat,
    ) -> Result<ReportFiles, RenderError> {
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
            // Takes nothing unless a requested report was written.
            let wanted = match wanted(format, copied.written()) {
                Ok(wanted) => wanted,
                Err(error) => return Ok(Err(error)),
            };
            copied.take(&folder, wanted, logo.as_deref()).map(|()| Ok(wanted))
        })
        .await?
    }

    async fn run_scanner(&self, record: &ScanRecord, copied: &Copied, format: ReportFormat) -> Result<(), RenderError> {
        let launcher = self.launcher.clone().ok_or(RenderError::NoScanner)?;
        let marker = self.run.marker(record.id, record.token);
        let mut environment = self.environment.to_vec();
        environment.extend(environment::of_attempt(&marker, &record.trace));
        let (program, args, folder) =
            (self.scanner.program.clone(), self.args(copied.path(), format), copied.path().to_owned());
        let name = format!("report-{}", uuid::Uuid::new_v4().simple());
        let started = blocking(move || launcher.start(program, args, environment, &marker, &folder, &name)).await?;
        let (spawned, _tmp) = started.map_err(RenderError::NotStarted)?;
        // A drop of the leader kills all processes.
        let leader = spawned.leader;
        let run = async {
            let (mut stdout, mut stderr) =
                (Receiver::from_owned_fd(spawned.stdout)?, Receiver::from_owned_fd(spawned.stderr)?);
            let exit = watch_exit(spawned.exit)?;
            let listen = async {
                let mut said = Vec::new();
                (&mut stderr).take(MOST_ERROR_BYTES).read_to_end(&mut said).await?;
                // Drains the rest, so that the process does not block on a full pipe.
                tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
                Ok::<_, std::io::Error>(said)
            };
            let let_through = async { tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await };
            let mut draining = std::pin::pin!(async { tokio::try_join!(listen, let_through) });
            let drained = tokio::select! {
                drained = &mut draining => Some(drained?),
                ended = exit.readable() => {
                    drop(ended?);
                    None
                }
            };
            match drained {
                Some((said, _)) => {
                    drop(exit.readable().await?);
                    Ok::<_, std::io::Error>(said)
                }
                // Child processes may hold the pipes open after the process has ended.
                None => Ok(tokio::time::timeout(DRAIN_LIMIT, draining)
                    .await
                    .ok()
                    .transpose()?
                    .map(|(said, _)| said)
                    .unwrap_or_default()),
            }
        };
        let ended = tokio::time::timeout(LIMIT, run).await;
        let collected = move || {
            leader.kill();
            hunt::clear_blocking(leader.marks());
            Ok(leader.collect())
        };
        match ended {
            Err(_) => Err(RenderError::Late),
            Ok(Err(error)) => Err(RenderError::Run(error)),
            Ok(Ok(said)) => match blocking(collected).await? {
                ExitKind::Code(0) => Ok(()),
                exit => {
                    let said = clean(String::from_utf8_lossy(&said).lines().last().unwrap_or_default(), 300);
                    Err(RenderError::Refused(if said.is_empty() { how(exit) } else { said }))
                }
            },
        }
    }

    fn args(&self, folder: &Path, format: ReportFormat) -> Vec<OsString> {
        let mut args = self.scanner.leading.clone();
        args.extend(["--report-only".into(), folder.into(), "--format".into(), format.as_str().into()]);
        if self.scanner.kind == ScannerKind::Kast {
            // A selection of only a passive plugin in active mode leaves no plugin to run.
            let catalogue = self.catalogue.current();
            let passive =
                catalogue.iter().flat_map(|known| &known.plugins).find(|plugin| plugin.kind == PluginKind::Passive);
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

/// The written reports to take: those that were requested. At least one must exist.
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
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, RenderError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::from)
        .and_then(|done| done)
        .map_err(RenderError::Copy)
}

/// The temporary files of a scanner; a drop removes them.
struct Tmp(TmpFolder);

impl Drop for Tmp {
    fn drop(&mut self) {
        self.0.remove();
    }
}

impl Launcher {
    /// Starts the scanner on a copy of results. Blocks.
    fn start(
        &self,
        program: PathBuf,
        args: Vec<OsString>,
        mut environment: Vec<(OsString, OsString)>,
        marker: &str,
        folder: &Path,
        name: &str,
    ) -> std::io::Result<Result<(Spawned, Tmp), StartError>> {
        let group = self.user.as_ref().map(|user| user.gid);
        let network =
            self.is_offline.then(|| Network::offline().to_text().map_err(std::io::Error::other)).transpose()?;
        let dir = super::folder::open_copy(folder, group)?;
        let tmp = Tmp(TmpFolder::create(&self.tmp_root, name, group)?);
        environment.push(("TMPDIR".into(), tmp.0.0.clone().into()));
        environment.extend(self.user.iter().flat_map(|user| environment::of_user(user, &tmp.0.0)));
        let start = Start { program, tmp: tmp.0.0.clone(), args, environment, network };
        Ok(process::spawn(&self.keepers, &start, marker, &dir, None).map(|spawned| (spawned, tmp)))
    }
}

/// Describes the end of a scanner without any output.
fn how(exit: ExitKind) -> String {
    match exit {
        ExitKind::Code(code) => format!("exit status {code}"),
        ExitKind::Signal(signal) => format!("ended by signal {signal}"),
        ExitKind::Unknown => "it ended, and the system did not say how".into(),
    }
}
