//! Kills the processes that an attempt leaves behind, on one thread for all attempts of a runner.
//!
//! Each pass over `/proc` searches for the processes of all attempts that are ending (see
//! [`hunt`](super::hunt)), so the end of 500 attempts at once costs little more than the end of
//! one.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

use rustix::process::Signal;
use tokio::sync::oneshot;

use super::hunt::{Cleared, Clearing, PAUSE, ProcessTable};
use super::process::Leader;

struct Request {
    leader: Arc<Leader>,
    done: oneshot::Sender<Cleared>,
    clearing: Clearing,
}

/// The handle of the reaper thread.
#[derive(Debug, Clone)]
pub(super) struct Reaper(Sender<Request>);

impl Reaper {
    /// Starts the thread. It ends when the last clone is dropped.
    pub(super) fn start() -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        std::thread::Builder::new().name("kast-reaper".into()).spawn(move || serve(&receiver))?;
        Ok(Self(sender))
    }

    /// Kills the remaining processes of an ended leader's attempt. The leader must not be collected
    /// before.
    pub(super) async fn clear(&self, leader: &Arc<Leader>) -> Cleared {
        let (done, answer) = oneshot::channel();
        let clearing = Clearing::new(leader.marks());
        if self.0.send(Request { leader: Arc::clone(leader), done, clearing }).is_err() {
            return Cleared::default();
        }
        answer.await.unwrap_or_default()
    }
}

fn serve(requests: &Receiver<Request>) {
    let mut open: Vec<Request> = Vec::new();
    loop {
        if open.is_empty() {
            let Ok(request) = requests.recv() else { return };
            open.push(request);
        }
        open.extend(requests.try_iter());
        let table = ProcessTable::read(open.iter().map(|request| request.clearing.criterion()));
        let mut still_open = Vec::new();
        for mut request in open {
            if request.clearing.pass(&table) {
                let _nobody_waits = request.done.send(request.clearing.into_cleared());
            } else {
                // Kills all at once, so that no process can start another between two kills. If
                // nothing was found, the keeper and its cgroup stay untouched.
                if request.clearing.cleared().left > 0 {
                    request.leader.kill();
                } else {
                    request.leader.signal_group(Signal::KILL);
                }
                still_open.push(request);
            }
        }
        open = still_open;
        if !open.is_empty() {
            match requests.recv_timeout(PAUSE) {
                Ok(request) => open.push(request),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }
}
