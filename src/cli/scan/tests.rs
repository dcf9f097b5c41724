use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use clap::Parser as _;
use kastrel_actors::model::ScanStatus;
use kastrel_actors::node::NodeHandle;
use kastrel_actors::ports::Stores;
use kastrel_actors::testing::{Cluster, PausedClock, Script, ScriptedRunner, TestSealer, fixtures};
use tokio::sync::mpsc;

use crate::cli::Cli;
use crate::cli::backend::{BackendError, LocalBackend, PluginList, PluginSource};
use crate::cli::context::Context;
use crate::cli::dispatch;
use crate::cli::error::{CliError, chain};
use crate::cli::exit::Exit;
use crate::cli::host::{AppHost, Role, RunningApp};
use crate::cli::interrupt::Interrupts;
use crate::cli::output::tests::{Captured, captured};
use crate::config::Config;
use crate::service::access::{AccessService, AccessSettings};
use crate::service::findings::FindingServices;

/// An in-memory application: a real node with a test store and a test runner.
struct FakeHost {
    cluster: Arc<Cluster>,
    stopped: Arc<AtomicBool>,
}

struct FakeApp {
    cluster: Arc<Cluster>,
    node: Option<NodeHandle>,
    stopped: Arc<AtomicBool>,
}

struct NoPlugins;

#[async_trait]
impl PluginSource for NoPlugins {
    async fn plugins(&self) -> Result<PluginList, BackendError> {
        Ok(PluginList { scanner: None, plugins: Vec::new() })
    }
}

#[async_trait]
impl AppHost for FakeHost {
    fn init_logging(&self, _: &Config, _: Role) -> Result<(), CliError> {
        Ok(())
    }

    async fn start(&self, _: &Config, role: Role) -> Result<Box<dyn RunningApp>, CliError> {
        let node = if role == Role::Offline { None } else { Some(self.cluster.node("here", 1).await) };
        Ok(Box::new(FakeApp { cluster: self.cluster.clone(), node, stopped: self.stopped.clone() }))
    }

    async fn scanner(&self, _: &Config) -> Result<PluginList, CliError> {
        Ok(NoPlugins.plugins().await?)
    }
}

#[async_trait]
impl RunningApp for FakeApp {
    fn backend(&self) -> LocalBackend {
        let artifacts = Arc::new(crate::adapters::artifacts::FolderArtifacts::new("nowhere".as_ref()));
        let stores = Stores::of(&self.cluster.store);
        let (clock, sealer) = (Arc::new(PausedClock::default()), Arc::new(TestSealer));
        let scans = self.cluster.services.scans.clone();
        let (_, catalogue) = tokio::sync::watch::channel(None);
        let findings = FindingServices::new(&stores, scans, Arc::<PausedClock>::clone(&clock), catalogue);
        let access = AccessService::new(&stores, clock, sealer, AccessSettings::default());
        LocalBackend::new(self.cluster.services.clone(), access, findings, artifacts, Arc::new(NoPlugins))
    }

    fn url(&self) -> Option<String> {
        None
    }

    async fn failed(&self) -> crate::app::AppFailure {
        std::future::pending().await
    }

    async fn stop(self: Box<Self>) {
        if let Some(node) = self.node {
            node.shutdown(Duration::ZERO, Duration::from_secs(20)).await;
        }
        self.stopped.store(true, Ordering::SeqCst);
    }
}

pub(crate) struct World {
    pub(crate) context: Context,
    pub(crate) cluster: Arc<Cluster>,
    stopped: Arc<AtomicBool>,
    interrupt: mpsc::Sender<()>,
    pub(crate) out: Captured,
    pub(crate) err: Captured,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(script: Script) -> Self {
        let cluster = Arc::new(Cluster::new(ScriptedRunner::new(move |_| script)));
        let stopped = Arc::new(AtomicBool::new(false));
        let (output, out, err) = captured();
        let (interrupt, receiver) = mpsc::channel(4);
        let folder = tempfile::tempdir().unwrap();
        let host = Arc::new(FakeHost { cluster: cluster.clone(), stopped: stopped.clone() });
        let context = Context {
            env: BTreeMap::new(),
            directory: folder.path().to_owned(),
            output,
            interrupts: Interrupts::from_channel(receiver),
            host,
        };
        Self { context, cluster, stopped, interrupt, out, err, _folder: folder }
    }

    pub(crate) async fn run(&mut self, args: &[&str]) -> Result<Exit, CliError> {
        let data = format!("--data-dir={}", self.context.directory.join("data").display());
        let args: Vec<&str> = ["kastrel"].iter().chain(args).copied().chain([data.as_str()]).collect();
        dispatch(Cli::try_parse_from(args).unwrap().command, &mut self.context).await
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_is_followed_to_its_end() {
    let mut world = World::new(Script::Complete(Duration::from_secs(60)));
    assert_eq!(world.run(&["scan", "example.com"]).await.unwrap(), Exit::Done);
    let (out, err) = (world.out.text(), world.err.text());
    assert!(out.contains("Scan 1 of example.com completed after 1 min 0 s"), "{out}");
    assert!(err.contains("attempt 1 started") && err.contains("scan 1: completed"), "{err}");
    assert!(!format!("{out}{err}").contains('\u{1b}'));
    assert!(world.is_stopped());
    assert_eq!(world.cluster.runner.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn json_output_is_one_document() {
    let mut world = World::new(Script::Complete(Duration::from_secs(1)));
    assert_eq!(world.run(&["scan", "example.com", "--json"]).await.unwrap(), Exit::Done);
    let document: serde_json::Value = serde_json::from_str(&world.out.text()).unwrap();
    assert_eq!(
        (document["scan_id"].as_u64(), document["status"].as_str(), document["exit_code"].as_u64()),
        (Some(1), Some("completed"), Some(0))
    );
}

#[tokio::test(start_paused = true)]
async fn failures_are_shown_with_each_attempt() {
    let mut world = World::new(Script::Crash(Duration::from_secs(1)));
    assert_eq!(world.run(&["scan", "example.com"]).await.unwrap(), Exit::Failed);
    let err = world.err.text();
    assert!(err.contains("attempt 1 failed") && err.contains("attempt 3 started") && err.contains("failed:"), "{err}");
    assert!(world.out.text().contains("Scan 1 of example.com failed"), "{}", world.out.text());
}

#[tokio::test(start_paused = true)]
async fn the_first_interrupt_cancels_and_waits() {
    let mut world = World::new(Script::Stubborn(Duration::from_secs(5)));
    let (interrupt, cluster) = (world.interrupt.clone(), world.cluster.clone());
    tokio::spawn(async move {
        cluster.until_status(kastrel_actors::model::ScanId(1), ScanStatus::Running).await;
        interrupt.send(()).await.unwrap();
    });
    assert_eq!(world.run(&["scan", "example.com"]).await.unwrap(), Exit::Interrupted);
    assert!(world.err.text().contains("cancelling the scan"), "{}", world.err.text());
    assert_eq!(world.cluster.row(kastrel_actors::model::ScanId(1)).await.status(), ScanStatus::Cancelled);
    assert_eq!(world.cluster.runner.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_second_interrupt_waits_for_nothing() {
    let mut world = World::new(Script::Stubborn(Duration::from_secs(3600)));
    let (interrupt, cluster) = (world.interrupt.clone(), world.cluster.clone());
    tokio::spawn(async move {
        cluster.until_status(kastrel_actors::model::ScanId(1), ScanStatus::Running).await;
        interrupt.send(()).await.unwrap();
        interrupt.send(()).await.unwrap();
    });
    let begun = tokio::time::Instant::now();
    assert_eq!(world.run(&["scan", "example.com"]).await.unwrap(), Exit::Interrupted);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(!world.is_stopped(), "an orderly stop would take its time");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_from_elsewhere_has_its_own_code() {
    let mut world = World::new(Script::Busy);
    let cluster = world.cluster.clone();
    tokio::spawn(async move {
        let id = kastrel_actors::model::ScanId(1);
        cluster.until_status(id, ScanStatus::Running).await;
        cluster.service.cancel(&fixtures::context(), id, kastrel_actors::model::CancelledBy::User).await.unwrap();
    });
    assert_eq!(world.run(&["scan", "example.com"]).await.unwrap(), Exit::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn invalid_submission_is_refused_with_its_fields() {
    let mut world = World::new(Script::Busy);
    let error = world.run(&["scan", "exa mple", "--max-workers", "99"]).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
    let text = chain(&error);
    assert!(
        text.contains("target: the target contains white space") && text.contains("max_workers: expected 1 to 32"),
        "{text}"
    );
    assert!(world.is_stopped());
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_nobody_would_run_is_refused_before_the_store_is_opened() {
    let mut world = World::new(Script::Busy);
    let error = world.run(&["scan", "example.com", "--no-wait"]).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
    assert!(chain(&error).contains("--no-wait needs a server"), "{}", chain(&error));
    assert!(!world.is_stopped(), "nothing was started");
}

#[tokio::test(start_paused = true)]
async fn a_pipe_that_gives_no_secret_can_be_interrupted() {
    let mut world = World::new(Script::Busy);
    let pipe = world.context.directory.join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    world.interrupt.send(()).await.unwrap();
    let setting = format!("zap.remote.api_key={}", pipe.display());
    assert_eq!(world.run(&["scan", "example.com", "--set-secret", &setting]).await.unwrap(), Exit::Interrupted);
    assert!(!world.is_stopped() && world.cluster.runner.runs().is_empty(), "nothing was started");
}

#[tokio::test]
async fn a_secret_is_read_from_its_file_and_from_a_pipe() {
    let mut world = World::new(Script::Complete(Duration::from_millis(1)));
    let (file, pipe) = (world.context.directory.join("file"), world.context.directory.join("pipe"));
    std::fs::write(&file, "hunter2\n").unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let writer = {
        let pipe = pipe.clone();
        std::thread::spawn(move || std::fs::write(pipe, "hunter3\n"))
    };
    let settings = [&file, &pipe].map(|path| format!("zap.remote.api_key={}", path.display()));
    for setting in settings {
        assert_eq!(
            world.run(&["scan", "example.com", "--set-secret", &setting]).await.unwrap(),
            Exit::Done,
            "{}",
            world.err.text()
        );
    }
    writer.join().unwrap().unwrap();
    let error =
        world.run(&["scan", "example.com", "--set-secret", "zap.remote.api_key=/does/not/exist"]).await.unwrap_err();
    assert!(error.exit() == Exit::Usage && !chain(&error).contains("/does/not/exist"), "{}", chain(&error));
}

#[tokio::test(start_paused = true)]
async fn an_active_scan_is_not_started_without_a_confirmation() {
    let mut world = World::new(Script::Complete(Duration::from_secs(1)));
    let error = world.run(&["scan", "example.com", "-m", "active"]).await.unwrap_err();
    assert_eq!((error.exit(), world.cluster.runner.runs().len()), (Exit::Usage, 0));
    assert!(chain(&error).contains("--confirm-active"), "{}", chain(&error));
    assert_eq!(world.run(&["scan", "example.com", "-m", "active", "--confirm-active"]).await.unwrap(), Exit::Done);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_has_its_own_code() {
    let mut world = World::new(Script::Busy);
    for args in [
        &["scan", "example.com", "--server", "http://127.0.0.1:9"][..],
        &["list", "--server", "127.0.0.1:9"],
        &["status", "1", "--server", "127.0.0.1:9"],
    ] {
        let error = world.run(args).await.unwrap_err();
        assert_eq!(error.exit(), Exit::Unreachable, "{}", chain(&error));
        assert!(chain(&error).contains("http://127.0.0.1:9"));
    }
}

#[tokio::test(start_paused = true)]
async fn stored_scans_can_be_read_without_a_server() {
    let mut world = World::new(Script::Complete(Duration::from_secs(1)));
    assert_eq!(chain(&world.run(&["status", "1"]).await.unwrap_err()), "error: There is no scan 1");
    assert_eq!(world.run(&["scan", "example.com"]).await.unwrap(), Exit::Done);
    let waiting = world.cluster.submit().await.to_string();
    for (args, exit, said) in [
        (&["status", "1"][..], Exit::Done, "Scan 1 of example.com completed"),
        (&["list"], Exit::Done, "queued"),
        (&["list", "--status", "completed", "--json"], Exit::Done, "\"total\": 1"),
        (&["cancel", waiting.as_str()], Exit::Done, "cancelled"),
        (&["cancel", waiting.as_str()], Exit::Failed, "is already cancelled"),
        (&["plugins"], Exit::Done, "Scanner: unknown"),
    ] {
        assert_eq!(world.run(args).await.unwrap(), exit, "{args:?}");
        assert!(world.out.text().contains(said), "{args:?}: {}", world.out.text());
    }
}

#[tokio::test(start_paused = true)]
async fn tags_and_notes_of_a_scan_are_changed_and_shown() {
    let mut world = World::new(Script::Busy);
    let scan = world.cluster.submit().await.to_string();
    let data = format!("--data-dir={}", world.context.directory.join("data").display());
    // The options of `tag` come before the changes.
    let tag = |id: &str, changes: &[&str]| {
        let words: Vec<&str> = ["kastrel", "tag", data.as_str(), id].iter().chain(changes).copied().collect();
        Cli::try_parse_from(words).unwrap().command
    };
    assert_eq!(world.run(&["note", &scan]).await.unwrap(), Exit::Done);
    assert!(world.out.text().contains(&format!("Scan {scan} has no tags and no notes")), "{}", world.out.text());
    assert_eq!(world.run(&["note", &scan, "before the release"]).await.unwrap(), Exit::Done);
    assert_eq!(dispatch(tag(&scan, &["+prod", "+old"]), &mut world.context).await.unwrap(), Exit::Done);
    assert!(world.out.text().contains("Tags:     old, prod\nNotes:    before the release"), "{}", world.out.text());
    assert_eq!(dispatch(tag(&scan, &["-old", "+eu"]), &mut world.context).await.unwrap(), Exit::Done);
    assert_eq!(world.run(&["note", &scan, "--json"]).await.unwrap(), Exit::Done);
    assert!(world.out.text().contains("\"notes\": \"before the release\""), "{}", world.out.text());
    assert_eq!(world.run(&["status", &scan]).await.unwrap(), Exit::Done);
    let shown = world.out.text();
    assert!(shown.trim_end().ends_with("Tags:     eu, prod\nNotes:    before the release"), "{shown}");
    let missing = chain(&world.run(&["note", "99", "x"]).await.unwrap_err());
    assert_eq!(missing, "error: There is no scan 99");
    assert_eq!(chain(&dispatch(tag("99", &["+x"]), &mut world.context).await.unwrap_err()), missing);
    let wrong = dispatch(tag(&scan, &["+a b"]), &mut world.context).await.unwrap_err();
    assert!(chain(&wrong).contains("tags"), "{}", chain(&wrong));
}
