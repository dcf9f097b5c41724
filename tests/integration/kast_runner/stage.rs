//! A runner with its own folders. Its drop fails the test if any process of it is left.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kastrel::adapters::kast_runner::{Grace, Isolation, KastRunner, KastRunnerConfig, ScannerCommand};
use kastrel_actors::model::{
    AttemptEnd, AttemptNumber, AttemptReport, ClassifiedEnd, FencingToken, PluginStatus, ScanId, ScanRequestDraft,
};
use kastrel_actors::policy::classify::{StopCause, classify};
use kastrel_actors::policy::scope::ScopePolicy;
use kastrel_actors::ports::{AliveGuard, AliveWatch, AttemptControl, AttemptEvent, AttemptJob, ScanRunner, StartError};
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;

/// The limit for a single wait of a test, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the path of the fake KAST, which cargo builds as an example beside the tests.
pub(crate) fn fake_kast() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let fake = own.parent().unwrap().parent().unwrap().join("examples/fake-kast");
    assert!(fake.exists(), "{} is missing: build it with `cargo build --example fake-kast`", fake.display());
    fake
}

/// Places the fake KAST at another path, for users who cannot reach its build folder.
pub(crate) fn fake_kast_at(path: &Path) {
    link_or_copy(&fake_kast(), path);
}

/// Places a program at another path. It is a hard link if possible, because a newly written file
/// cannot be executed while a child of another test still has it open.
pub(crate) fn link_or_copy(program: &Path, path: &Path) {
    if std::fs::hard_link(program, path).is_err() {
        std::fs::copy(program, path).unwrap();
    }
}

/// Returns the names and ids of all live processes with the marker of a data folder.
pub(crate) fn marked(data_dir_id: &str) -> Vec<String> {
    let prefix = format!("KASTREL_ATTEMPT={data_dir_id}:");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(prefix.as_bytes())) {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            found.push(format!("{pid} {}", name.trim()));
        }
    }
    found
}

/// Installs a handler for SIGINT if it is ignored. A process inherits ignored signals from its
/// parent, and a shell ignores SIGINT for background jobs. The program handles the signal, and
/// handled signals are reset in child processes; the tests do the same.
fn heed_interrupts() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let interrupt = SignalKind::interrupt();
    if u64::from_str_radix(ignored.trim(), 16).unwrap() & (1 << (interrupt.as_raw_value() - 1)) != 0 {
        // The handler stays when its receiver is dropped.
        drop(tokio::signal::unix::signal(interrupt).unwrap());
    }
}

pub(super) struct Stage {
    pub(super) runner: KastRunner,
    pub(super) id: String,
    pub(super) root: tempfile::TempDir,
}

impl Stage {
    pub(super) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// Creates a stage with a changed configuration. Returns when the scanner's plugin list is
    /// available.
    pub(super) async fn with(change: impl FnOnce(&mut KastRunnerConfig)) -> Self {
        let stage = Self::without_catalogue(change);
        let mut catalogue = stage.runner.catalogue();
        tokio::time::timeout(PATIENCE, catalogue.wait_for(Option::is_some)).await.unwrap().unwrap();
        stage
    }

    pub(super) fn without_catalogue(change: impl FnOnce(&mut KastRunnerConfig)) -> Self {
        Self::below(&std::env::temp_dir(), change)
    }

    /// Creates a stage with its folders below `base`.
    pub(super) fn below(base: &Path, change: impl FnOnce(&mut KastRunnerConfig)) -> Self {
        heed_interrupts();
        let root = tempfile::tempdir_in(base).unwrap();
        std::fs::create_dir(root.path().join("results")).unwrap();
        let id = uuid::Uuid::new_v4().simple().to_string();
        let mut config = KastRunnerConfig::new(
            ScannerCommand::kast(fake_kast()),
            root.path().join("results"),
            root.path().join("cache"),
            &id,
        );
        config.scope = ScopePolicy { allow_private: true, ..ScopePolicy::default() };
        config.grace = Grace { interrupt: Duration::from_millis(200), terminate: Duration::from_millis(200) };
        config.isolation = Some(Isolation {
            keeper: env!("CARGO_BIN_EXE_kastrel").into(),
            own_folders: vec![root.path().to_owned()],
            ..Isolation::default()
        });
        change(&mut config);
        Self { runner: KastRunner::new(config).unwrap(), id, root }
    }

    pub(super) fn job(&self, target: &str) -> AttemptJob {
        self.draft(ScanRequestDraft { target: target.into(), ..ScanRequestDraft::default() })
    }

    pub(super) fn draft(&self, draft: ScanRequestDraft) -> AttemptJob {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        AttemptJob {
            scan: ScanId(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)),
            attempt: AttemptNumber(1),
            token: FencingToken(1),
            request: draft.check().unwrap(),
            created_at: "2026-11-23T19:06:59Z".parse().unwrap(),
            trace: kastrel_actors::testing::fixtures::trace(),
            only: None,
            kept: Vec::new(),
        }
    }

    pub(super) async fn start(&self, job: AttemptJob) -> Result<Running, StartError> {
        let (alive_guard, alive_watch) = AliveWatch::new();
        self.start_with(job, alive_guard, alive_watch).await
    }

    pub(super) async fn start_with(
        &self,
        job: AttemptJob,
        alive_guard: AliveGuard,
        alive_watch: AliveWatch,
    ) -> Result<Running, StartError> {
        let (sender, events) = mpsc::unbounded_channel();
        let sink = std::sync::Arc::new(move |event| drop(sender.send(event)));
        let control = self.runner.start(job.clone(), alive_guard, sink).await?;
        Ok(Running {
            control: Some(control),
            events,
            alive_watch,
            id: self.id.clone(),
            dry_run: job.request.options.dry_run,
        })
    }

    /// Runs an attempt at the target to its end.
    pub(super) async fn play(&self, target: &str) -> Ended {
        self.start(self.job(target)).await.unwrap().ended(None).await
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let left = marked(&self.id);
        if !std::thread::panicking() {
            assert!(left.is_empty(), "processes are left: {left:?}");
        }
    }
}

pub(super) struct Running {
    pub(super) control: Option<Box<dyn AttemptControl>>,
    pub(super) events: mpsc::UnboundedReceiver<AttemptEvent>,
    pub(super) alive_watch: AliveWatch,
    id: String,
    dry_run: bool,
}

pub(super) struct Ended {
    /// `completed`, `cancelled`, or the kind of the failure or interruption.
    pub(super) name: String,
    pub(super) end: ClassifiedEnd,
    pub(super) report: AttemptReport,
    /// All events before the end.
    pub(super) events: Vec<AttemptEvent>,
}

impl Ended {
    pub(super) fn plugins(&self) -> Vec<(&str, PluginStatus, u64)> {
        self.report.plugins.iter().map(|plugin| (plugin.name.as_str(), plugin.status, plugin.findings_count)).collect()
    }

    pub(super) fn detail(&self) -> &str {
        match &self.end {
            AttemptEnd::Failed(failure) => &failure.detail,
            AttemptEnd::Completed(_) | AttemptEnd::Interrupted { .. } | AttemptEnd::Cancelled => "",
        }
    }
}

impl Running {
    pub(super) async fn next(&mut self) -> Option<AttemptEvent> {
        tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("an event in time")
    }

    /// Waits until a plugin runs.
    pub(super) async fn in_progress(&mut self) -> Vec<AttemptEvent> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await.expect("no end yet");
            let runs = matches!(&event, AttemptEvent::Plugins(plugins) if plugins.iter().any(|plugin| plugin.status == PluginStatus::InProgress));
            assert!(!matches!(event, AttemptEvent::Ended(_)), "ended: {event:?}");
            events.push(event);
            if runs {
                return events;
            }
        }
    }

    /// Waits for the end, and checks the properties of every end: no event follows it, and no
    /// process is left at that moment.
    pub(super) async fn ended(mut self, stop: Option<StopCause>) -> Ended {
        let mut events = Vec::new();
        let report = loop {
            match self.next().await.expect("an end") {
                AttemptEvent::Ended(report) => break report,
                event => events.push(event),
            }
        };
        assert_eq!(marked(&self.id), Vec::<String>::new(), "processes are left after the end");
        assert!(self.next().await.is_none(), "nothing follows the end");
        tokio::time::timeout(PATIENCE, self.alive_watch.released())
            .await
            .expect("the presence is given up, with the control still held");
        drop(self.control);
        let end = classify(&report, stop, self.dry_run);
        let name = match &end {
            AttemptEnd::Completed(_) => "completed".into(),
            AttemptEnd::Cancelled => "cancelled".into(),
            AttemptEnd::Failed(failure) => failure.kind.to_string(),
            AttemptEnd::Interrupted { why, .. } => why.to_string(),
        };
        Ended { name, end, report, events }
    }
}
