//! Implements the `ScanRunner` port: checks, prepares and spawns one attempt, then passes it to its
//! task.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kastrel_actors::model::{
    AttemptNumber, ConfigOverride, Failure, FailureKind, FaultKind, PluginResult, Remains, ScannerInfo, ScannerKind,
};
use kastrel_actors::policy::adoption::{Adoption, adoption};
use kastrel_actors::policy::override_policy::OverridePolicy;
use kastrel_actors::policy::resume::EarlierResult;
use kastrel_actors::policy::scope::ScopePolicy;
use kastrel_actors::policy::selection::select;
use kastrel_actors::ports::{
    AliveGuard, AttemptControl, AttemptEvent, AttemptJob, EventSink, NoSealer, ScanRunner, SecretSealer, StartError,
};
use tokio::sync::{Notify, watch};

use super::argv::{ArgvParts, argv};
use super::attempt::{self, Attempt, Control, StopRequest};
use super::catalogue::Catalogue;
use super::catalogue_cache::CatalogueCache;
use super::config_file::{self, Forgetting, KastConfigError, NodeConfig};
use super::container::{self, ZapContainer};
use super::earlier;
use super::egress::{self, EgressLimit, Tools};
use super::environment;
use super::folder::{self, TmpFolder};
use super::isolation::{self, Cgroups, Isolation};
use super::keeper::{KeeperSettings, Keepers, Start};
use super::observer::Observer;
use super::output::Output;
use super::probe::Probe;
use super::process::{self, watch_exit};
use super::progress::Expected;
use super::reaper::Reaper;
use super::remains::{self, Wanted};
use super::report::{KastReportRenderer, Launcher};
use super::run::Run;
use super::scanner::ScannerCommand;
use super::scope_check;
use super::settings_check;
use super::start_error;
use super::target_note;
use super::termination::Grace;
use super::verdict;
use super::watch::WatchHub;
use crate::error_chain;
use crate::node_fault::{is_mount_point, not_mounted};
use crate::ports::{ArtifactSink, AttemptFiles, AttemptPaths};

/// How long the first scans of a data folder wait for the scanner's plugin list.
const FIRST_CATALOGUE: Duration = Duration::from_secs(10);
/// The name of the folder of temporary files, inside the cache folder.
const TMP_NAME: &str = "tmp";

/// The configuration of a runner.
#[derive(Debug, Clone)]
pub struct KastRunnerConfig {
    /// The program.
    pub scanner: ScannerCommand,
    /// The results folder, in which the runner creates the scans' folders.
    pub results_dir: PathBuf,
    /// The folder in which the plugin list is cached for the next start.
    pub cache_dir: PathBuf,
    /// The id of this data folder. It is part of the marker by which leftover processes are found.
    /// Letters, digits, `-`, `_` and `.`.
    pub data_dir_id: String,
    /// The maximum number of bytes of an attempt's output in the log.
    pub log_cap: u64,
    /// How long a process group may take to end after a stop signal.
    pub grace: Grace,
    /// The targets that may be scanned.
    pub scope: ScopePolicy,
    /// The settings of the scanner that a scan may override.
    pub overrides: OverridePolicy,
    /// Decrypts the values of secret settings.
    pub sealer: Arc<dyn SecretSealer>,
    /// The folders that may contain the files named in a scan's settings.
    pub file_folders: Vec<PathBuf>,
    /// The names of further environment variables of Kastrel that the scanner inherits.
    pub env_allow: Vec<String>,
    /// Environment variables that are set for the scanner.
    pub env_extra: Vec<(OsString, OsString)>,
    /// The interval at which the folder is listed, with or without file notices.
    pub relist: Duration,
    /// True if inotify is used.
    pub file_notices: bool,
    /// KAST's configuration file (`--config`).
    pub kast_config: Option<PathBuf>,
    /// The logo of reports (`--logo`).
    pub logo: Option<PathBuf>,
    /// How attempts are isolated from Kastrel and from each other. `None`: this runner starts no
    /// attempts.
    pub isolation: Option<Isolation>,
    /// Receives each attempt's folder. `None`: the files stay where they are.
    pub sink: Option<Arc<dyn ArtifactSink>>,
}

impl KastRunnerConfig {
    /// The defaults for a scanner, a results folder and a data folder with its id.
    #[must_use]
    pub fn new(
        scanner: ScannerCommand,
        results_dir: impl Into<PathBuf>,
        cache_dir: impl Into<PathBuf>,
        data_dir_id: impl Into<String>,
    ) -> Self {
        Self {
            scanner,
            results_dir: results_dir.into(),
            cache_dir: cache_dir.into(),
            data_dir_id: data_dir_id.into(),
            log_cap: 10 << 20,
            grace: Grace::default(),
            scope: ScopePolicy::default(),
            overrides: OverridePolicy::default(),
            sealer: Arc::new(NoSealer),
            file_folders: Vec::new(),
            env_allow: Vec::new(),
            env_extra: Vec::new(),
            relist: Duration::from_secs(2),
            file_notices: true,
            kast_config: None,
            logo: None,
            isolation: Some(Isolation::default()),
            sink: None,
        }
    }
}

/// Runs attempts as processes of KAST or of the built-in scanner.
#[derive(Debug)]
pub struct KastRunner {
    config: KastRunnerConfig,
    run: Run,
    environment: Arc<Vec<(OsString, OsString)>>,
    catalogue: Arc<CatalogueCache>,
    /// True after the first request for the scanner's plugin list, whether it succeeded or failed.
    asked: watch::Receiver<bool>,
    hub: Arc<WatchHub>,
    reaper: Reaper,
    keepers: Option<Keepers>,
    /// The network limit of attempts, and the tools that it needs.
    egress: Option<(EgressLimit, Tools)>,
    /// The folder of the attempts' temporary files.
    tmp_root: PathBuf,
    /// True if the results folder was a mount point at the start. If it is not one any more, scans
    /// would fill another disk.
    was_mount_point: bool,
}

impl KastRunner {
    /// Starts the runner: its two threads, and a task that requests the scanner's plugin list. Must
    /// be called within a tokio runtime.
    ///
    /// # Errors
    /// The system cannot start a thread, or a folder cannot be made accessible to the scanner's
    /// user.
    pub fn new(mut config: KastRunnerConfig) -> std::io::Result<Self> {
        // Absolute, so that the paths do not depend on the scanner's working directory.
        config.results_dir = std::path::absolute(&config.results_dir)?;
        let own: Vec<_> = std::env::vars_os().collect();
        for name in environment::withheld(&own, &config.env_allow) {
            tracing::info!(
                variable = name,
                "the scanner does not get this environment variable; name it in kast.environment if it should"
            );
        }
        let environment = Arc::new(environment::base(own, &config.env_allow, &config.env_extra));
        let catalogue = Arc::new(CatalogueCache::open(config.scanner.clone(), environment.to_vec(), &config.cache_dir));
        let (answered, asked) = watch::channel(false);
        let run = Run::new(&config.data_dir_id);
        let was_mount_point = is_mount_point(&config.results_dir).unwrap_or(false);
        let tmp_root = std::path::absolute(&config.cache_dir)?.join(TMP_NAME);
        let keepers = config
            .isolation
            .as_ref()
            .map(|isolation| keepers(isolation, &config, &environment, &tmp_root, &run))
            .transpose()?;
        let egress = match (&config.isolation, &keepers) {
            (Some(isolation), Some(keepers)) => {
                egress::prepare(isolation, keepers, &environment, &tmp_root).map_err(std::io::Error::other)?
            }
            _ => None,
        };
        let (hub, reaper) = (WatchHub::start(config.file_notices), Reaper::start()?);
        let runner = Self {
            was_mount_point,
            run,
            hub,
            reaper,
            keepers,
            egress,
            tmp_root,
            config,
            environment,
            catalogue,
            asked,
        };
        let asking = Arc::clone(&runner.catalogue);
        tokio::spawn(async move {
            if let Err(error) = asking.refresh().await {
                tracing::warn!(error = %error, "the scanner's plugin list is not available");
            }
            answered.send_replace(true);
        });
        Ok(runner)
    }

    /// The identity of this run, with which its attempts are marked.
    #[must_use]
    pub const fn run(&self) -> &Run {
        &self.run
    }

    /// The scanner's program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.config.scanner.program
    }

    /// The scanner's plugins and issues, as soon as they are known. At first, this is the copy from
    /// the last start, if there is one.
    #[must_use]
    pub fn catalogue(&self) -> watch::Receiver<Option<Arc<Catalogue>>> {
        self.catalogue.subscribe()
    }

    /// Requests the scanner's plugin list again.
    ///
    /// # Errors
    /// The reason why the scanner did not return it.
    pub async fn refresh_catalogue(&self) -> Result<Arc<Catalogue>, String> {
        self.catalogue.refresh().await.map_err(|error| error.to_string())
    }

    /// Returns the renderer that regenerates the reports of ended attempts.
    #[must_use]
    pub fn report_renderer(&self) -> KastReportRenderer {
        let config = &self.config;
        let (environment, catalogue) = (Arc::clone(&self.environment), Arc::clone(&self.catalogue));
        let user = config.isolation.as_ref().and_then(|isolation| isolation.run_as.clone());
        let is_offline = self.egress.is_some();
        let launcher =
            self.keepers.clone().map(|keepers| Launcher { keepers, user, is_offline, tmp_root: self.tmp_root.clone() });
        KastReportRenderer::new(
            config.scanner.clone(),
            environment,
            catalogue,
            config.results_dir.clone(),
            self.run.clone(),
            config.logo.clone(),
            launcher,
        )
    }

    /// The kind and, if known, the version of the scanner.
    #[must_use]
    pub fn scanner_info(&self) -> ScannerInfo {
        scanner_info(self.config.scanner.kind, self.catalogue.current().as_deref())
    }

    /// The paths of an attempt's files.
    #[must_use]
    pub fn paths(&self, job: &AttemptJob) -> AttemptPaths {
        AttemptPaths::new(&self.config.results_dir, &job.request.target, job.created_at, job.scan, job.attempt)
    }

    /// Returns the catalogue. Only the first scans of a data folder wait for it. Without it, a
    /// selection would miss the dependencies of its plugins, and the version of the scanner would
    /// be unknown.
    async fn known_catalogue(&self) -> Option<Arc<Catalogue>> {
        if self.catalogue.current().is_none() {
            // Whatever the result (success, failure or timeout), the scan continues with the
            // current catalogue.
            let _ = tokio::time::timeout(FIRST_CATALOGUE, self.asked.clone().wait_for(|asked| *asked)).await;
        }
        if self.catalogue.current().is_none() {
            // The scanner's program may have been missing at the first request, so try again.
            let _ = tokio::time::timeout(FIRST_CATALOGUE, self.catalogue.ask_again()).await;
        }
        self.catalogue.current()
    }

    fn probe(&self, job: &AttemptJob, catalogue: Option<&Catalogue>) -> Probe {
        Probe {
            target: job.request.target.clone(),
            keeps_scheme: target_note::is_kept(self.config.scanner.kind, catalogue),
            scope: self.config.scope.clone(),
            environment: Arc::clone(&self.environment),
        }
    }

    fn zap_container(&self, job: &AttemptJob, plugins: &[String]) -> Option<ZapContainer> {
        if !container::may_start_zap(self.config.scanner.kind, &job.request, plugins) {
            return None;
        }
        Some(ZapContainer {
            name: self.run.container(job.scan, job.attempt, job.token),
            port: container::free_port().ok()?,
            key: container::random_key(),
        })
    }
}

/// Starts the keepers of a runner, which start its scanners with the configured isolation.
fn keepers(
    isolation: &Isolation,
    config: &KastRunnerConfig,
    environment: &[(OsString, OsString)],
    tmp_root: &Path,
    run: &Run,
) -> std::io::Result<Keepers> {
    let Isolation { keeper, run_as, limits, private_tmp, egress: _, at_once, wall_clock, own_folders } = isolation;
    // The processes of a killed keeper become children of this process.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let cgroups = Cgroups::prepare(*limits);
    if let Err(error) = &cgroups {
        tracing::debug!(error = error as &dyn std::error::Error, "attempts have no cgroups of their own");
    }
    let cgroups = cgroups.ok();
    if let Some(user) = run_as {
        isolation::can_run_as(user).map_err(std::io::Error::other)?;
        std::fs::create_dir_all(tmp_root)?;
        for folder in own_folders.iter().map(PathBuf::as_path).chain([
            config.results_dir.as_path(),
            config.cache_dir.as_path(),
            tmp_root,
        ]) {
            if folder.exists() {
                isolation::let_through(folder, user.gid).map_err(|error| isolation::not_open(folder, user, &error))?;
            }
        }
    }
    let needed = needed(config, environment);
    let private_tmp = *private_tmp
        && isolation::may_mount()
        && isolation::may_be_private(needed.iter().map(PathBuf::as_path).chain([tmp_root]));
    let controllers = cgroups.as_ref().map(Cgroups::controllers).unwrap_or_default();
    let rlimits = limits.rlimits(controllers, *at_once, *wall_clock, isolation::tasks_of(run_as.as_ref()));
    let settings =
        KeeperSettings { user: KeeperSettings::of_user(run_as.as_ref()), rlimits, cgroup: None, private_tmp };
    Ok(Keepers::start(keeper.clone(), settings, run, cgroups))
}

/// The paths that a scanner needs outside of its own folders.
fn needed(config: &KastRunnerConfig, environment: &[(OsString, OsString)]) -> Vec<PathBuf> {
    let own = [
        Some(config.results_dir.clone()),
        Some(config.scanner.program.clone()),
        environment::home(environment),
        config.kast_config.clone(),
        config.logo.clone(),
    ];
    let path = environment::path(environment).into_iter().flat_map(std::env::split_paths);
    own.into_iter().flatten().chain(path).collect()
}

fn scanner_info(kind: ScannerKind, catalogue: Option<&Catalogue>) -> ScannerInfo {
    let version = || match kind {
        ScannerKind::Builtin => env!("CARGO_PKG_VERSION"),
        ScannerKind::Kast => "unknown",
    };
    catalogue.map_or_else(
        || ScannerInfo { kind, version: version().into(), configuration: None },
        |catalogue| catalogue.scanner.clone(),
    )
}

#[async_trait]
impl ScanRunner for KastRunner {
    async fn start(
        &self,
        job: AttemptJob,
        alive_guard: AliveGuard,
        events: EventSink,
    ) -> Result<Box<dyn AttemptControl>, StartError> {
        let Some(keepers) = &self.keepers else {
            return Err(StartError::Failed(Failure::new(FailureKind::NotStarted, "this process runs no scans")));
        };
        let catalogue = self.known_catalogue().await;
        let schema = catalogue.as_deref().and_then(|known| known.settings.clone());
        let overrides =
            settings_check::open(&job.request, &self.config.overrides, &*self.config.sealer, schema.as_ref())
                .map_err(StartError::Failed)?;
        let secrets = settings_check::secrets(&overrides);
        if let Some(known) = catalogue.as_deref() {
            // A submission that arrived before the scanner's plugin list could not be validated
            // then.
            select(job.request.options.mode, &job.request.options.plugins, &known.plugins)
                .map_err(|error| StartError::Failed(Failure::new(FailureKind::NothingChecked, error.message)))?;
        }
        // Between this check and the start, the only delays are the system calls for the folder.
        let checked = scope_check::check(&self.config.scope, &job.request.target, &overrides, self.egress.is_some())
            .await
            .map_err(StartError::Failed)?;
        let network = match &self.egress {
            None => None,
            Some((limit, tools)) => {
                let network = egress::reachable(limit, tools.clone(), checked, &self.environment)
                    .await
                    .and_then(|network| network.to_text());
                Some(network.map_err(|why| StartError::Failed(Failure::new(FailureKind::NotStarted, why)))?)
            }
        };
        let plugins = match (&job.only, catalogue.as_deref()) {
            (Some(only), _) => only.clone(),
            (None, Some(known)) => known.selection(&job.request),
            (None, None) => job.request.options.plugins.clone(),
        };
        let zap = self.zap_container(&job, &plugins);
        let paths = self.paths(&job);
        let parts = ArgvParts {
            leading: &self.config.scanner.leading,
            paths: &paths,
            plugins: &plugins,
            logo: self.config.logo.as_deref(),
        };
        let args = argv(&job.request, parts);
        let marker = self.run.marker(job.scan, job.token);
        let mark = remains::mark(job.attempt, &marker);
        let mut environment = self.environment.to_vec();
        environment.extend(environment::of_attempt(&marker, &job.trace));
        let user = self.config.isolation.as_ref().and_then(|isolation| isolation.run_as.clone());
        let is_shared = user.is_some();
        let tmp_name = format!("{}-{}", job.scan, job.token);

        let expected = expected(self.config.scanner.kind, catalogue.as_deref(), &job);
        let spawning = {
            let notes = expected.notes.clone();
            let was_mount_point = self.was_mount_point;
            let (kind, configured, home) =
                (self.config.scanner.kind, self.config.kast_config.clone(), environment::home(&environment));
            let (zap, has_secrets) = (zap.clone(), !secrets.is_empty());
            let of_attempt = |number| {
                AttemptPaths::new(
                    &self.config.results_dir,
                    &job.request.target,
                    job.created_at,
                    job.scan,
                    AttemptNumber(number),
                )
            };
            let earlier: Vec<AttemptPaths> = (1..job.attempt.0).map(of_attempt).filter(|_| has_secrets).collect();
            let limits = config_file::limits(kind, &self.config.scope, &self.config.file_folders);
            let (program, results, paths, alive_guard) = (
                self.config.scanner.program.clone(),
                self.config.results_dir.clone(),
                paths.clone(),
                alive_guard.clone(),
            );
            let (keepers, tmp_root, group) =
                (keepers.clone(), self.tmp_root.clone(), user.as_ref().map(|user| user.gid));
            tokio::task::spawn_blocking(move || {
                if was_mount_point && is_mount_point(&results) == Ok(false) {
                    return Err(StartError::Node(not_mounted(FaultKind::ResultsFolder, "results folder", &results)));
                }
                let failed = |error: std::io::Error| start_error::of_folder(&paths.attempt_dir, &error);
                let folder = folder::create(&results, &paths).map_err(failed)?;
                folder.mark(&mark).map_err(failed)?;
                let node = match kind {
                    ScannerKind::Kast => {
                        NodeConfig::read(configured.as_deref(), home.as_deref()).map_err(|error| unusable(&error))?
                    }
                    ScannerKind::Builtin => NodeConfig::none(),
                };
                let digest = config_file::digest(&node);
                let secrets: Vec<String> =
                    secrets.into_iter().chain(node.secrets()).chain(zap.iter().map(|zap| zap.key.clone())).collect();
                let of = |overrides: &[ConfigOverride]| {
                    config_file::settings(node.clone(), limits.clone(), overrides, zap.as_ref(), schema.as_ref())
                };
                // Before the file is written, so that the secrets are removed whatever fails from
                // here on.
                let forgetting = if has_secrets {
                    // Removes the files of a node that died. Attempts that ended on this node have
                    // removed theirs.
                    for earlier in &earlier {
                        config_file::remove(&results, earlier);
                    }
                    let shown: Vec<ConfigOverride> =
                        overrides.iter().filter(|one| !one.value.is_secret()).cloned().collect();
                    Some(Forgetting { dir: folder.dir.try_clone().map_err(failed)?, rest: of(&shown) })
                } else {
                    None
                };
                config_file::write(&folder.dir, &of(&overrides)).map_err(failed)?;
                folder.keep_command(&program, &args);
                folder::keep_notes(&paths.attempt_dir, &notes);
                if let Some(group) = group {
                    folder.share(&paths.scan_dir, group).map_err(failed)?;
                }
                let tmp = TmpFolder::create(&tmp_root, &tmp_name, group)
                    .map_err(|error| start_error::of_folder(&tmp_root, &error))?;
                environment.push(("TMPDIR".into(), tmp.0.clone().into()));
                environment.extend(user.iter().flat_map(|user| environment::of_user(user, &tmp.0)));
                let start = Start { program, tmp: tmp.0.clone(), args, environment, network };
                match process::spawn(&keepers, &start, &marker, &folder.dir, Some(alive_guard)) {
                    Ok(spawned) => Ok::<_, StartError>((folder, spawned, tmp, forgetting, (secrets, digest))),
                    Err(error) => {
                        tmp.remove();
                        Err(error)
                    }
                }
            })
        };
        let broken = |error: tokio::task::JoinError| {
            StartError::Failed(Failure::new(FailureKind::SpawnFailed, format!("the start broke off: {error}")))
        };
        let (folder, spawned, tmp, forgetting, (secrets, digest)) = spawning.await.map_err(broken)??;

        // From here on, an error drops the leader, which kills the processes of the attempt.
        let system = |error: std::io::Error| start_error::of_program(&self.config.scanner.program, &error);
        let leader = Arc::new(spawned.leader);
        let activity = Arc::new(Notify::new());
        let exit = watch_exit(spawned.exit).map_err(system)?;
        let output = Output::drain(
            spawned.stdout,
            spawned.stderr,
            folder.log,
            self.config.log_cap,
            Arc::clone(&activity),
            &secrets.into(),
        )
        .map_err(system)?;
        let pid = leader.pid().as_raw_nonzero().get().unsigned_abs();
        let scanner = scanner_info(self.config.scanner.kind, catalogue.as_deref());
        events(AttemptEvent::Started { pid, scanner: ScannerInfo { configuration: digest, ..scanner } });

        let files = AttemptFiles { scan: job.scan, attempt: job.attempt, token: job.token, paths };
        if let Some(sink) = &self.config.sink {
            sink.attempt_started(&files);
        }
        let (sender, stop_request) = watch::channel(StopRequest::Run);
        let control = Control { stop_request: sender, leader: Arc::clone(&leader) };
        tokio::spawn(attempt::run(Attempt {
            leader,
            exit,
            stop_request,
            output,
            activity,
            probe: self.probe(&job, catalogue.as_deref()),
            observer: Observer::new(folder.dir, catalogue, expected),
            files,
            sink: self.config.sink.clone(),
            hub: Arc::clone(&self.hub),
            relist: self.config.relist,
            grace: self.config.grace,
            reaper: self.reaper.clone(),
            zap,
            is_shared,
            tmp,
            environment: Arc::clone(&self.environment),
            forgetting,
            events,
            alive_guard,
        }));
        Ok(Box::new(control))
    }

    async fn at_hand(&self, job: &AttemptJob, earlier: Vec<EarlierResult>) -> Vec<PluginResult> {
        let (results, catalogue) = (self.config.results_dir.clone(), self.catalogue.current());
        let (job, data_dir_id) = (job.clone(), self.run.data_dir_id.clone());
        let looking = tokio::task::spawn_blocking(move || {
            earlier::at_hand(&results, &data_dir_id, &job, earlier, catalogue.as_deref())
        });
        // Without a thread to look at them, the files count as missing and the plugins run again.
        looking.await.unwrap_or_default()
    }

    async fn remains(&self, job: &AttemptJob) -> Option<Remains> {
        let (results, paths, catalogue) = (self.config.results_dir.clone(), self.paths(job), self.catalogue.current());
        let expected = expected(self.config.scanner.kind, catalogue.as_deref(), job);
        let wanted = Wanted {
            data_dir_id: self.run.data_dir_id.clone(),
            scan: job.scan,
            attempt: job.attempt,
            token: job.token,
        };
        let probe = self.probe(job, catalogue.as_deref());
        let looking =
            tokio::task::spawn_blocking(move || remains::look(&results, &paths, &wanted, catalogue, expected));
        let (mut remains, unsure) = looking.await.ok().flatten()?;
        if !unsure.is_empty() {
            // The probe is not needed if the attempt does not count: its unsure plugins run again.
            let counts = !matches!(adoption(Some(&remains), false, job.request.options.dry_run), Adoption::Discard(_));
            let answers = if counts {
                probe.ask(&unsure).await
            } else {
                vec![Err("Kastrel did not ask it after the loss of the node".to_owned()); unsure.len()]
            };
            verdict::settle(&mut remains.report.plugins, &unsure, &answers);
        }
        Some(remains)
    }
}

/// The error for an unusable configuration file of the node. A further attempt would find the same
/// file.
fn unusable(error: &KastConfigError) -> StartError {
    StartError::Failed(Failure::new(FailureKind::NotStarted, error_chain::chain(error)))
}

/// The plugins that are expected in an attempt's folder.
fn expected(kind: ScannerKind, catalogue: Option<&Catalogue>, job: &AttemptJob) -> Expected {
    let notes = target_note::note(kind, catalogue, &job.request.target).into_iter().collect();
    if job.request.options.dry_run {
        return Expected { notes, ..Expected::default() };
    }
    let (names, unavailable) =
        catalogue.map(|known| (known.expected(&job.request), known.unavailable())).unwrap_or_default();
    let names = names.into_iter().filter(|name| job.only.as_ref().is_none_or(|only| only.contains(name))).collect();
    Expected { names, unavailable, notes }
}
