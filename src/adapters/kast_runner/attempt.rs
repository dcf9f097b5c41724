//! The task that owns one attempt. It selects over the leader's exit, requests, timers, output and
//! files, and sends the events in their order.
//!
//! After the exit, the task kills the remaining processes of the attempt, collects the leader,
//! drains the output to its end and reads the results. For plugins whose results do not show
//! whether the target responded, it probes the target. Then it passes the files to the sink, sends
//! the report, and releases the guard last. The report comes after the files, so that the end of a
//! scan is visible only when its report can be opened, on any machine. The sink limits how long
//! that takes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use kastrel_actors::model::{AttemptReport, ExitKind, InfoFile};
use kastrel_actors::ports::{AliveGuard, AttemptControl, AttemptEvent, EventSink, StopMode};
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::config_file::Forgetting;
use super::container::{self, ZapContainer};
use super::folder::TmpFolder;
use super::hunt::Cleared;
use super::observer::{Conclusion, FolderDiff, Observer};
use super::output::Output;
use super::probe::{Probe, Silence};
use super::process::Leader;
use super::reaper::Reaper;
use super::termination::{Grace, Step, Termination};
use super::verdict::{self, Unsure};
use super::watch::WatchHub;
use crate::ports::{ArtifactSink, AttemptFiles};

/// The minimum interval between two `Alive` events.
const ALIVE_EVERY: Duration = Duration::from_millis(500);
/// The minimum interval between two reads of the folder, because files come in bursts.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the pipes may take to reach their end after all processes are gone.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// A request to the task. A later request never weakens an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StopRequest {
    Run,
    Stop,
    Kill,
}

/// The caller's handle of the attempt.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) stop_request: watch::Sender<StopRequest>,
    pub(super) leader: Arc<Leader>,
}

impl AttemptControl for Control {
    fn stop(&self, mode: StopMode) {
        let stop_request = match mode {
            StopMode::Graceful => StopRequest::Stop,
            StopMode::Kill => StopRequest::Kill,
        };
        self.stop_request.send_if_modified(|current| {
            let stronger = stop_request > *current;
            *current = stop_request.max(*current);
            stronger
        });
        if mode == StopMode::Kill {
            // Kills at once, even if no thread is free to run the task.
            self.leader.kill();
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop(StopMode::Kill);
    }
}

/// The state that the task owns.
pub(super) struct Attempt {
    pub(super) leader: Arc<Leader>,
    pub(super) exit: AsyncFd<OwnedFd>,
    pub(super) stop_request: watch::Receiver<StopRequest>,
    pub(super) output: Output,
    pub(super) activity: Arc<Notify>,
    pub(super) observer: Observer,
    pub(super) probe: Probe,
    pub(super) files: AttemptFiles,
    pub(super) sink: Option<Arc<dyn ArtifactSink>>,
    pub(super) hub: Arc<WatchHub>,
    pub(super) relist: Duration,
    pub(super) grace: Grace,
    pub(super) reaper: Reaper,
    pub(super) zap: Option<ZapContainer>,
    /// True if the scanner writes to the folder as another user.
    pub(super) is_shared: bool,
    /// The attempt's temporary files.
    pub(super) tmp: TmpFolder,
    pub(super) environment: Arc<Vec<(OsString, OsString)>>,
    /// The configuration file, if it contains secrets of the scan.
    pub(super) forgetting: Option<Forgetting>,
    pub(super) events: EventSink,
    pub(super) alive_guard: AliveGuard,
}

/// Sends `Alive` events, at most one per [`ALIVE_EVERY`].
struct HeartbeatThrottle {
    events: EventSink,
    last: Option<Instant>,
}

impl HeartbeatThrottle {
    fn beat(&mut self) {
        let now = Instant::now();
        if self.last.is_none_or(|last| now.duration_since(last) >= ALIVE_EVERY) {
            self.last = Some(now);
            (self.events)(AttemptEvent::Alive);
        }
    }
}

type PendingDiff = JoinHandle<(Observer, FolderDiff)>;

fn look(mut observer: Observer) -> PendingDiff {
    tokio::task::spawn_blocking(move || {
        let look = observer.look();
        (observer, look)
    })
}

/// Runs the attempt to its end.
pub(super) async fn run(attempt: Attempt) {
    let Attempt {
        leader,
        exit,
        mut stop_request,
        output,
        activity,
        observer,
        probe,
        files,
        sink,
        hub,
        relist,
        grace,
        reaper,
        zap,
        is_shared,
        tmp,
        environment,
        forgetting,
        events,
        alive_guard,
    } = attempt;
    let changed = Arc::new(Notify::new());
    let watching = {
        let (hub, folder, changed) = (Arc::clone(&hub), files.paths.attempt_dir.clone(), Arc::clone(&changed));
        // Subscribes before the first read of the folder, so that no change is missed.
        tokio::task::spawn_blocking(move || {
            let watch = hub.watch(&folder, changed);
            let mut observer = observer;
            let look = observer.look();
            ((observer, look), watch)
        })
    };
    let mut throttle = HeartbeatThrottle { events: Arc::clone(&events), last: None };
    let mut termination = Termination::NotAsked;
    // The plugins that ran at the last read of the folder, and those that ran when the first stop
    // request came.
    let mut running = BTreeSet::new();
    let mut at_stop: Option<BTreeSet<String>> = None;
    let mut control_lives = true;
    let mut relisting = tokio::time::interval(relist);
    relisting.set_missed_tick_behavior(MissedTickBehavior::Delay);
    relisting.reset();

    // The observer is either here or on a blocking thread that reads the folder.
    let mut looking: Option<PendingDiff> = None;
    let mut waiting: Option<Observer> = None;
    let mut stale = false;
    let mut next_look = Instant::now();
    let mut watching = Some(watching);
    let mut watch = None;

    loop {
        if stale
            && next_look <= Instant::now()
            && let Some(observer) = waiting.take()
        {
            stale = false;
            looking = Some(look(observer));
        }
        let look_timer = (stale && waiting.is_some()).then_some(next_look);
        tokio::select! {
            biased;
            _ended = exit.readable() => break,
            asked = stop_request.changed(), if control_lives => {
                control_lives = asked.is_ok();
                let wanted = *stop_request.borrow_and_update();
                let mode = match wanted {
                    StopRequest::Run => continue,
                    StopRequest::Stop => StopMode::Graceful,
                    StopRequest::Kill => StopMode::Kill,
                };
                at_stop.get_or_insert_with(|| running.clone());
                termination = send(&leader, termination, termination.on_request(mode, Instant::now(), grace));
            }
            () = at(termination.deadline()) => termination = send(&leader, termination, termination.on_deadline(Instant::now(), grace)),
            found = joined(&mut watching) => {
                watching = None;
                if let Some(((observer, look), folder_watch)) = found {
                    watch = Some(folder_watch);
                    tell(look, &events, &mut throttle, &mut running);
                    waiting = Some(observer);
                    next_look = Instant::now() + LOOK_EVERY;
                }
            }
            found = joined(&mut looking) => {
                looking = None;
                if let Some((observer, look)) = found {
                    tell(look, &events, &mut throttle, &mut running);
                    waiting = Some(observer);
                    next_look = Instant::now() + LOOK_EVERY;
                }
            }
            () = changed.notified() => stale = true,
            _ = relisting.tick() => stale = true,
            () = at(look_timer) => {}
            () = activity.notified() => throttle.beat(),
        }
    }

    let cleared = reaper.clear(&leader).await;
    // On a blocking thread, because the keeper may have to change the mode of many files.
    let exit_kind = tokio::task::spawn_blocking(move || leader.collect()).await.unwrap_or(ExitKind::Unknown);
    let (folder, ours) = (files.paths.attempt_dir.clone(), tmp);
    let taken_back = tokio::task::spawn_blocking(move || {
        super::folder::take_back(&folder, is_shared);
        ours.remove();
    });
    // If no thread is available, the folder stays as it is.
    let _ = taken_back.await;
    let container = async {
        if let Some(zap) = &zap {
            container::remove(&zap.name, &environment).await;
        }
    };
    let observed = async {
        let mut observer = waiting;
        if let Some((first, folder_watch)) = joined_if(watching).await {
            (observer, watch) = (Some(first.0), Some(folder_watch));
        }
        if let Some((latest, _)) = joined_if(looking).await {
            observer = Some(latest);
        }
        let concluded = tokio::task::spawn_blocking(move || {
            drop(watch);
            observer.map(|observer| observer.conclude(&TimeZone::system(), &at_stop.unwrap_or_default()))
        });
        let lost = || Conclusion {
            info: InfoFile::Unreadable("reading the results broke off".into()),
            plugins: Vec::new(),
            notes: Vec::new(),
            unsure: Vec::new(),
        };
        concluded.await.ok().flatten().unwrap_or_else(lost)
    };
    let (output, mut concluded, ()) = tokio::join!(output.finish(DRAIN_LIMIT), observed, container);
    if !concluded.unsure.is_empty() {
        // The processes are gone, so the missing output does not mean that the scanner hangs.
        events(AttemptEvent::Alive);
        let answers = ask(&probe, &concluded.unsure, &mut stop_request).await;
        verdict::settle(&mut concluded.plugins, &concluded.unsure, &answers);
    }
    if cleared.is_cut_off && termination == Termination::NotAsked {
        verdict::cut_off(&mut concluded.plugins);
    }
    let mut notes = clearing_notes(&cleared, termination);
    notes.extend(output.notes);
    notes.extend(concluded.notes);
    let (folder, kept) = (files.paths.attempt_dir.clone(), notes.clone());
    // Before the files are passed to the sink. If no thread is available, the notes are still in
    // the report.
    let _ = tokio::task::spawn_blocking(move || {
        super::folder::keep_notes(&folder, &kept);
        // Takes the secrets out of the configuration file.
        drop(forgetting);
    })
    .await;
    if let Some(sink) = sink {
        // The processes are gone, so the missing output does not mean that the scanner hangs.
        events(AttemptEvent::Alive);
        notes.extend(hand_over(sink.as_ref(), &files, &mut stop_request).await);
    }
    events(AttemptEvent::Ended(AttemptReport {
        exit: exit_kind,
        info: concluded.info,
        plugins: concluded.plugins,
        last_words: output.last_words,
        notes,
    }));
    drop(alive_guard);
}

/// Probes the target for the plugins that do not show whether it responded. A stop request ends the
/// probe.
async fn ask(
    probe: &Probe,
    unsure: &[Unsure],
    stop_request: &mut watch::Receiver<StopRequest>,
) -> Vec<Result<(), Silence>> {
    let stopped = async {
        // Fails only if the handle was dropped, and that sent a kill before.
        let _ = stop_request.wait_for(|stop_request| *stop_request != StopRequest::Run).await;
    };
    tokio::select! {
        biased;
        () = stopped => vec![Err("the scan was stopped before Kastrel asked it".to_owned()); unsure.len()],
        answers = probe.ask(unsure) => answers,
    }
}

/// Passes the files to the sink. A kill ends the wait but not the upload: the node may be about to
/// lose its lease, and must not wait for a slow store then.
async fn hand_over(
    sink: &dyn ArtifactSink,
    files: &AttemptFiles,
    stop_request: &mut watch::Receiver<StopRequest>,
) -> Vec<String> {
    let killed = async {
        // Fails only if the handle was dropped, and that sent a kill before.
        let _ = stop_request.wait_for(|stop_request| *stop_request == StopRequest::Kill).await;
    };
    tokio::select! {
        notes = sink.attempt_ended(files) => notes,
        () = killed => vec!["the attempt was killed; its files stay on this machine until they are stored elsewhere".into()],
    }
}

fn send(leader: &Leader, from: Termination, step: Step) -> Termination {
    match step {
        Step::Stay => from,
        Step::Send(signal, next) => {
            if next == Termination::Killed {
                leader.kill();
            } else {
                leader.signal_group(signal);
            }
            next
        }
    }
}

fn tell(diff: FolderDiff, events: &EventSink, throttle: &mut HeartbeatThrottle, running: &mut BTreeSet<String>) {
    if diff.changed {
        throttle.beat();
    }
    if let Some(plugins) = diff.plugins {
        *running = verdict::running(&plugins);
        events(AttemptEvent::Plugins(plugins));
    }
}

/// The notes about processes that were still alive when the leader had ended.
fn clearing_notes(cleared: &Cleared, termination: Termination) -> Vec<String> {
    let names = || cleared.found.iter().take(5).map(|name| super::text::clean(name, 32)).collect::<Vec<_>>().join(", ");
    let mut notes = Vec::new();
    // After a kill, members of the group may still be dying, so their presence means nothing.
    if cleared.count > 0 && termination != Termination::Killed {
        notes.push(format!("processes outlived the scanner and were killed: {} ({})", cleared.count, names()));
    }
    if cleared.left > 0 {
        notes.push(format!("processes could not be killed: {} ({})", cleared.left, names()));
    }
    notes
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Returns the task's result, or `None` if the task panicked. Pending while there is no task.
/// Cancel-safe: the task stays in place until it has ended.
async fn joined<T>(task: &mut Option<JoinHandle<T>>) -> Option<T> {
    match task {
        Some(running) => running.await.ok(),
        None => std::future::pending().await,
    }
}

async fn joined_if<T>(task: Option<JoinHandle<T>>) -> Option<T> {
    task?.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn note_lists_processes_that_outlived_the_scanner_unless_killed() {
        let cleared = Cleared {
            found: ["sleep".to_owned(), "na\u{1b}me".to_owned()].into(),
            count: 3,
            left: 0,
            is_cut_off: false,
        };
        assert_eq!(
            clearing_notes(&cleared, Termination::NotAsked),
            ["processes outlived the scanner and were killed: 3 (nae, sleep)"]
        );
        assert!(clearing_notes(&cleared, Termination::Killed).is_empty());
        assert!(clearing_notes(&Cleared::default(), Termination::NotAsked).is_empty());
        assert_eq!(clearing_notes(&Cleared { left: 1, ..cleared }, Termination::Killed).len(), 1);
    }
}
