//! Wake-up signals, control messages and live snapshots of a group of nodes, through Redis or
//! Valkey: the [`JobQueue`](kastrel_actors::ports::JobQueue), the
//! [`ControlBus`](kastrel_actors::ports::ControlBus) and the
//! [`LiveFeed`](kastrel_actors::ports::LiveFeed) of a node that shares its work with others.
//!
//! - **Owns** all keys and channels that begin with `{kastrel}:`, three connections per node
//!   (commands, blocking reads, channels), and their tasks.
//! - **Used by** the application: [`RedisConnections::open`] returns the three ports and a
//!   [`RedisHealth`](crate::ports::RedisHealth).
//! - **When Redis dies**, a call fails within 1.5 s, and immediately while the connection is known
//!   to be down. Readers wait. The connection manager reconnects with a backoff of at most 3 s. The
//!   reconciler repeats lost signals, because the rows are authoritative. The content of a lost
//!   message is also in the rows.
//! - **On shutdown** it stops when its parts are dropped. Signals that a reader held are
//!   redelivered after [`RedisOptions::reclaim_after`].
//! - **Never** interprets a signal, never fails to start because Redis is down, never reads a
//!   signal that no caller waits for.
//!
//! # The delay queues and the streams
//! A signal waits in the *delay queue* of its priority, a sorted set ordered by due time. When the
//! first signal is due, a script moves it to the *stream* of the priority. There it is *offered* to
//! the readers of the consumer group, and `XREADGROUP` delivers it to one of them. At most one
//! signal of each stream is offered; the other entries of the stream are *pending*: delivered to a
//! reader and not acknowledged. This way a reader that waits in a blocking `XREADGROUP` receives a
//! due signal immediately, the signals of one priority are delivered in the order of their due
//! times, and a repeated signal can be merged until a reader receives it.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `{kastrel}:line:<priority>` | sorted set | the delay queue: waiting scans; the score is the due time in µs |
//! | `{kastrel}:traces` | hash | the trace of each waiting scan |
//! | `{kastrel}:stream:<priority>` | stream, group `workers` | the offered signal (`scan`, `due`, `trace`) and the pending ones |
//! | `{kastrel}:passes` | hash | how often in a row a waiting lower priority was passed over, for all readers together |
//! | `{kastrel}:probe:*` | sorted set, hash, stream | nothing: the keys that the probe writes to |
//! | `{kastrel}:control` | channel | `{"from": node, "body": …}`: to every node |
//! | `{kastrel}:live` | channel | `{"from": node, "body": …}`: snapshots, to processes that show scans; a worker does not subscribe |
//!
//! # What each script guarantees
//! Each script is one atomic step and uses the clock of Redis. It creates missing streams and
//! groups, so the first script after a loss of all data repairs the queue.
//!
//! - **signal** adds a scan to a delay queue, and offers it if it is first and due. A scan waits
//!   once: if it is already in a delay queue or offered, the earlier due time and the higher
//!   priority win. A scan with a *pending* entry is not waiting: its row may have been leased, run
//!   and requeued since, and the acknowledgement of the old entry names only that entry. So the new
//!   signal waits beside it. The queue holds at most two signals per scan and reader, however often
//!   reconcilers repeat them.
//! - **take** chooses among the priorities that offer a signal (like `policy::fairness`), delivers
//!   the entry to the reader, and offers the next one. **settle** does the same after a blocking
//!   read, which may have returned one entry from each stream: it chooses one and returns the
//!   others to their positions in the delay queues.
//! - **acknowledge** runs `XACK` and `XDEL`. **release** does that too, and puts the signal back
//!   into the delay queue with a new due time. For an entry that is no longer pending it does
//!   nothing.
//! - **promote_due** runs on every node at the next due time that the node has read, and once a
//!   second. It offers due signals, and requeues the entries that `XAUTOCLAIM` reports as pending
//!   for too long.
//! - **sweep** deletes the consumers of nodes that no longer exist. **depth** counts.
//! - **probe** runs the same commands as **signal**, on keys of its own. Every node runs it when
//!   Redis has accepted no signal for five seconds, and once a second while Redis refuses signals:
//!   a Redis without memory still answers reads, and must not count as healthy.
//!
//! # Failures
//! - A reader dies with a pending signal: **promote_due** on any other node requeues it after
//!   [`RedisOptions::reclaim_after`]. The reconciler is faster if the row is still queued.
//! - A reader dies between a blocking read and **settle**: the next **promote_due**, within a
//!   second, offers the following signals.
//! - The node that has read the next due time dies: likewise.
//! - A caller of `next` is dropped: its delivery goes to the next caller, or back into the delay
//!   queue with its due time.
//! - Redis loses its data: streams and groups are created again. Old receipts refer to missing
//!   entries and have no effect. The reconciler repeats the signals of queued scans.
//! - An entry is not a signal: the reader removes and logs it.
//! - Redis refuses writes that need memory or a permission (`OOM`, `MISCONF`, `NOREPLICAS`, a
//!   missing ACL right): signals fail with its error text, `RedisState::Refusing` shows it, and
//!   queued signals are still delivered where Redis permits it. Afterwards the reconciler repeats
//!   the signals of queued scans.
//!
//! Only commands of Redis 6.2 and Valkey 7.2 are used: `XREADGROUP`, `XACK`, `XDEL`, `XADD`,
//! `XRANGE` with exclusive ranges, `XAUTOCLAIM`, `XINFO`, `XGROUP`, `XLEN`, sorted sets, hashes,
//! `TIME`, `EXISTS`, `EVALSHA`, `SCRIPT LOAD`, `PUBLISH`, `SUBSCRIBE`, `PING`, `INFO`.
//! `docs/operations.md` lists the rights that a user needs, and a test checks that list.

mod address;
mod background;
mod bus;
mod calls;
mod connection_manager;
mod connections;
mod entry;
mod envelope;
mod error;
mod feed;
mod health;
mod keys;
mod link;
mod options;
mod pubsub;
mod queue;
mod reader;
mod scripts;
#[cfg(test)]
mod tests;

pub use bus::RedisBus;
pub use calls::CallObserver;
pub use connections::RedisConnections;
pub use feed::RedisLiveFeed;
pub use options::{RedisOptions, prefix_of};
pub use queue::RedisQueue;
