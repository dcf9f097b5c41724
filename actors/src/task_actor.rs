//! An actor that is one task: it starts the task, runs as long as the task, and fails with it, so
//! that its supervisor starts it again.
//!
//! An actor of this kind states only its name and its loop. It gets no messages: what it does
//! depends on time, on the store, and on the shared context. An actor that answers messages, such
//! as the lease, uses [`task`] directly.

use std::future::Future;
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio_util::task::AbortOnDropHandle;

use crate::context::Shared;
use crate::task;

/// The task of an actor.
pub(crate) trait ActorTask: Copy + Send + Sync + 'static {
    /// The name of the actor in the actor tree.
    const NAME: &'static str;

    /// The state of the actor when it starts.
    const STATE: &'static str;

    /// Runs until the actor stops, which drops the future. Its end is a failure of the actor, and
    /// so is a panic.
    fn run(self, shared: Arc<Shared>) -> impl Future<Output = ()> + Send;
}

/// The actor of a task.
pub(crate) struct TaskActor<T>(pub(crate) T);

/// The only message: the task has ended, which must not happen. Holds the reason.
pub(crate) struct Ended(String);

impl<T: ActorTask> Actor for TaskActor<T> {
    type Msg = Ended;
    type State = AbortOnDropHandle<()>;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, myself: ActorRef<Ended>, shared: Arc<Shared>) -> Result<Self::State, ActorProcessingErr> {
        shared.show(T::NAME, T::STATE);
        let task = self.0;
        let work = async move {
            task.run(shared).await;
            Ended("its task ended".into())
        };
        Ok(task::answer(&myself, work, Ended))
    }

    async fn handle(&self, _: ActorRef<Ended>, ended: Ended, _: &mut Self::State) -> Result<(), ActorProcessingErr> {
        Err(ended.0.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node_config::NodeConfig;
    use crate::testing::{Cluster, Script, ScriptedRunner};

    #[derive(Clone, Copy)]
    struct Ending;

    impl ActorTask for Ending {
        const NAME: &'static str = "ending";
        const STATE: &'static str = "working";

        async fn run(self, _: Arc<Shared>) {}
    }

    #[derive(Clone, Copy)]
    struct Panicking;

    impl ActorTask for Panicking {
        const NAME: &'static str = "panicking";
        const STATE: &'static str = "working";

        async fn run(self, _: Arc<Shared>) {
            panic!("a defect");
        }
    }

    struct Parent;

    impl Actor for Parent {
        type Msg = ();
        type State = tokio::sync::mpsc::UnboundedSender<String>;
        type Arguments = Self::State;

        async fn pre_start(&self, _: ActorRef<()>, sender: Self::State) -> Result<Self::State, ActorProcessingErr> {
            Ok(sender)
        }

        async fn handle_supervisor_evt(
            &self,
            _: ActorRef<()>,
            event: ractor::SupervisionEvent,
            sender: &mut Self::State,
        ) -> Result<(), ActorProcessingErr> {
            if let ractor::SupervisionEvent::ActorFailed(_, why) = event {
                let _ = sender.send(why.to_string());
            }
            Ok(())
        }
    }

    async fn failure<T: ActorTask>(task: T) -> (String, String) {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let shared = Shared::new(NodeConfig::new("a".parse().unwrap(), 1), cluster.ports());
        let (sender, mut failures) = tokio::sync::mpsc::unbounded_channel();
        let (parent, _) = Actor::spawn(None, Parent, sender).await.unwrap();
        let (actor, _) =
            Actor::spawn_linked(None, TaskActor(task), Arc::clone(&shared), parent.get_cell()).await.unwrap();
        let why = failures.recv().await.unwrap();
        actor.stop(None);
        parent.stop(None);
        let tree = shared.ports.snapshots.status.infrastructure(shared.ports.clock.now());
        (why, tree.children.iter().find(|child| child.name == T::NAME).unwrap().state.clone())
    }

    #[tokio::test]
    async fn actor_fails_with_its_task() {
        assert_eq!(failure(Ending).await, ("its task ended".into(), "working".into()));
        assert_eq!(failure(Panicking).await, ("a defect".into(), "working".into()));
    }
}
