//! Pins the behaviour of ractor 0.16 that Kastrel relies on. If an upgrade changes one of these,
//! the failing test shows which design decision to review.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, ActorStatus, SpawnErr, SupervisionEvent};
use tokio::sync::mpsc;

/// An order to a child.
enum Order {
    Panic,
    Fail,
    Stop,
    /// Waits inside the handler until the sender is dropped.
    Wait(mpsc::Receiver<()>),
}

#[derive(Clone, Default)]
struct Marks {
    dropped: Arc<AtomicBool>,
    post_stopped: Arc<AtomicBool>,
}

struct Child;

struct ChildState(Marks);

impl Drop for ChildState {
    fn drop(&mut self) {
        self.0.dropped.store(true, Ordering::SeqCst);
    }
}

impl Actor for Child {
    type Msg = Order;
    type State = ChildState;
    type Arguments = (Marks, bool);

    async fn pre_start(
        &self,
        _: ActorRef<Order>,
        (marks, fail): Self::Arguments,
    ) -> Result<ChildState, ActorProcessingErr> {
        if fail { Err("no start".into()) } else { Ok(ChildState(marks)) }
    }

    async fn post_stop(&self, _: ActorRef<Order>, state: &mut ChildState) -> Result<(), ActorProcessingErr> {
        state.0.post_stopped.store(true, Ordering::SeqCst);
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Order>,
        order: Order,
        _: &mut ChildState,
    ) -> Result<(), ActorProcessingErr> {
        match order {
            Order::Panic => panic!("a panic with {}", "words"),
            Order::Fail => return Err("an error".into()),
            Order::Stop => myself.stop(Some("a reason".into())),
            Order::Wait(mut until) => drop(until.recv().await),
        }
        Ok(())
    }
}

/// An actor that reports the supervision events it gets.
struct Parent {
    /// Whether it handles the events itself; otherwise ractor's default does.
    overrides: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Started,
    Failed(String),
    Terminated(Option<String>),
}

impl Actor for Parent {
    type Msg = ();
    type State = mpsc::UnboundedSender<Seen>;
    type Arguments = mpsc::UnboundedSender<Seen>;

    async fn pre_start(&self, _: ActorRef<()>, seen: Self::Arguments) -> Result<Self::State, ActorProcessingErr> {
        Ok(seen)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        seen: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if !self.overrides {
            // The behaviour of the default implementation.
            if matches!(event, SupervisionEvent::ActorTerminated(..) | SupervisionEvent::ActorFailed(..)) {
                myself.stop(None);
            }
            return Ok(());
        }
        let _ = seen.send(match event {
            SupervisionEvent::ActorStarted(_) => Seen::Started,
            SupervisionEvent::ActorFailed(_, why) => Seen::Failed(why.to_string()),
            SupervisionEvent::ActorTerminated(_, _, why) => Seen::Terminated(why),
            _ => return Ok(()),
        });
        Ok(())
    }
}

/// An actor that leaves supervision events to ractor's default.
struct DefaultParent;

impl Actor for DefaultParent {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

async fn family() -> (ActorRef<()>, ActorRef<Order>, Marks, mpsc::UnboundedReceiver<Seen>) {
    let (sender, mut seen) = mpsc::unbounded_channel();
    let (parent, _) = Actor::spawn(None, Parent { overrides: true }, sender).await.unwrap();
    let marks = Marks::default();
    let (child, _) = Actor::spawn_linked(None, Child, (marks.clone(), false), parent.get_cell()).await.unwrap();
    assert_eq!(seen.recv().await, Some(Seen::Started));
    (parent, child, marks, seen)
}

async fn gone(actor: &ActorCell) {
    actor.wait(None).await.unwrap();
}

#[tokio::test]
async fn the_default_supervision_handler_stops_the_supervisor() {
    let (parent, join) = Actor::spawn(None, DefaultParent, ()).await.unwrap();
    let (child, _) = Actor::spawn_linked(None, Child, (Marks::default(), false), parent.get_cell()).await.unwrap();
    child.cast(Order::Fail).unwrap();
    join.await.unwrap();
    assert_eq!(parent.get_status(), ActorStatus::Stopped, "so every supervisor of ours overrides it");
}

#[tokio::test]
async fn a_failing_pre_start_is_a_spawn_error_and_no_event() {
    let (sender, mut seen) = mpsc::unbounded_channel();
    let (parent, _) = Actor::spawn(None, Parent { overrides: true }, sender).await.unwrap();
    let result = Actor::spawn_linked(None, Child, (Marks::default(), true), parent.get_cell()).await;
    assert!(matches!(result, Err(SpawnErr::StartupFailed(_))));
    parent.stop(None);
    gone(&parent.get_cell()).await;
    assert!(seen.try_recv().is_err(), "so the supervisor handles the spawn error where it spawns");
}

#[tokio::test]
async fn panic_of_an_actor_arrives_as_text() {
    let (_parent, child, marks, mut seen) = family().await;
    child.cast(Order::Panic).unwrap();
    let Some(Seen::Failed(why)) = seen.recv().await else { panic!("a failure") };
    assert!(why.contains("a panic with words"), "{why}");
    assert!(marks.dropped.load(Ordering::SeqCst) && !marks.post_stopped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn an_error_of_a_handler_is_a_failure_without_post_stop() {
    let (_parent, child, marks, mut seen) = family().await;
    child.cast(Order::Fail).unwrap();
    assert!(matches!(seen.recv().await, Some(Seen::Failed(why)) if why.contains("an error")));
    gone(&child.get_cell()).await;
    assert!(marks.dropped.load(Ordering::SeqCst), "the state is dropped, so clean-up belongs into Drop");
}

#[tokio::test]
async fn a_stop_carries_its_reason_and_runs_post_stop() {
    let (_parent, child, marks, mut seen) = family().await;
    child.cast(Order::Stop).unwrap();
    assert_eq!(seen.recv().await, Some(Seen::Terminated(Some("a reason".into()))));
    assert!(marks.post_stopped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_kill_arrives_as_terminated_killed_without_post_stop_and_drops_the_state() {
    let (_parent, child, marks, mut seen) = family().await;
    let (hold, until) = mpsc::channel(1);
    child.cast(Order::Wait(until)).unwrap();
    child.kill();
    assert_eq!(seen.recv().await, Some(Seen::Terminated(Some("killed".into()))));
    gone(&child.get_cell()).await;
    assert!(!marks.post_stopped.load(Ordering::SeqCst));
    assert!(marks.dropped.load(Ordering::SeqCst), "even in the middle of a handler");
    drop(hold);
}

#[tokio::test]
async fn children_end_with_their_supervisor() {
    for kill in [false, true] {
        let (parent, child, marks, _seen) = family().await;
        if kill {
            parent.kill();
        } else {
            parent.stop(None);
        }
        gone(&child.get_cell()).await;
        assert!(marks.dropped.load(Ordering::SeqCst));
    }
}

#[tokio::test]
async fn mailboxes_are_unbounded() {
    struct Sink(Arc<AtomicUsize>);
    impl Actor for Sink {
        type Msg = mpsc::Sender<()>;
        type State = ();
        type Arguments = ();
        async fn pre_start(&self, _: ActorRef<Self::Msg>, (): ()) -> Result<(), ActorProcessingErr> {
            Ok(())
        }
        async fn handle(
            &self,
            _: ActorRef<Self::Msg>,
            _hold: Self::Msg,
            (): &mut (),
        ) -> Result<(), ActorProcessingErr> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }
    let count = Arc::new(AtomicUsize::new(0));
    let (actor, _) = Actor::spawn(None, Sink(Arc::clone(&count)), ()).await.unwrap();
    let (hold, mut all_handled) = mpsc::channel(1);
    // The loop awaits nothing, so the actor cannot run in between, and all messages wait in the
    // mailbox. For this reason the dispatcher takes a signal only with a free slot.
    for _ in 0..100_000 {
        actor.cast(hold.clone()).unwrap();
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
    drop(hold);
    assert_eq!(all_handled.recv().await, None);
    assert_eq!(count.load(Ordering::SeqCst), 100_000);
}

#[tokio::test]
async fn a_cast_to_a_stopped_actor_gives_the_message_back() {
    let (_parent, child, ..) = family().await;
    child.stop(None);
    gone(&child.get_cell()).await;
    assert!(matches!(child.cast(Order::Stop), Err(ractor::MessagingErr::SendErr(Order::Stop))));
}
