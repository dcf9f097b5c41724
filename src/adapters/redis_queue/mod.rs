//! Wake-up signals, control messages and live snapshots of a group of nodes, through Redis or
//! Valkey: the [`JobQueue`](kastrel_actors::ports::JobQueue), the
//! [`ControlBus`](kastrel_actors::ports::ControlBus) and the
//! [`LiveFeed`](kastrel_actors::ports::LiveFeed) of a node that is not alone.
//!
//! - **Owns** all keys and channels that begin with `{kastrel}:`, three connections a node
//!   (commands, blocking reads, channels), and the tasks that keep them.
//! - **Who uses it**: [`RedisConnections::open`] gives the application the three ports and a
//!   [`RedisHealth`].
//! - **When Redis dies** a call fails within 1.5 s, and at once while the connection is known to be
//!   down; readers wait; the keeper connects again, with growing pauses of at most 3 s. A lost
//!   signal comes again from the reconciler, because the rows are the truth; a lost message is in
//!   the rows as well.
//! - **On shutdown** it stops with the drop of its parts. What a reader held then is delivered
//!   again after [`RedisOptions::reclaim_after`].
//! - **Never** decides what a signal means, never fails to start because Redis is down, never reads
//!   a signal that no caller waits for.
//!
//! # The line and the streams
//! A signal waits in the *line* of its priority, a sorted set by due. When the first in line is
//! due, a script moves it to the priority's *stream*, where it is *on offer* to the consumer
//! group's readers, and `XREADGROUP` gives it to one of them. At most one signal of each stream is
//! on offer; the rest of the stream is what readers have in hand. So an idle reader that waits in a
//! blocking `XREADGROUP` gets a due signal at once, and yet signals of one priority go in the order
//! of their due, and a repeated signal can be merged as long as nobody has it.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `{kastrel}:line:<priority>` | sorted set | scans that wait; the score is the due in µs |
//! | `{kastrel}:traces` | hash | the trace of each scan that waits |
//! | `{kastrel}:stream:<priority>` | stream, group `workers` | the signal on offer (`scan`, `due`, `trace`) and those in readers' hands |
//! | `{kastrel}:passes` | hash | how often in a row a waiting lower priority was passed by, for all readers together |
//! | `{kastrel}:probe:*` | sorted set, hash, stream | nothing: they are for trying out whether Redis takes signals |
//! | `{kastrel}:control` | channel | `{"from": node, "body": …}`: to every node |
//! | `{kastrel}:live` | channel | `{"from": node, "body": …}`: snapshots, to processes that show scans; a worker does not subscribe |
//!
//! # What each script guarantees
//! Each is one atomic step, by Redis's own clock, and makes streams and groups that are missing, so
//! that a Redis that was emptied heals with the first of them.
//!
//! - **signal** puts a scan in line, and offers it if it is the first and due. A scan waits once:
//!   if it is in a line or on offer already, the earlier due and the higher priority win. A scan
//!   that a reader has *in hand* (its entry was given out and is not acknowledged) is not waiting:
//!   its row may have been leased, run and requeued since, and the acknowledgement of the old entry
//!   names only that entry. So the new signal stands in line beside it, and the queue holds at most
//!   two signals a scan and reader, however often rescuers repeat them.
//! - **take** chooses among the priorities that offer something (as `policy::fairness`), gives the
//!   entry to the reader, and offers the next. **settle** does the same after a blocking read,
//!   which may have brought one entry from each stream: one is chosen, the others go back to their
//!   places in line.
//! - **acknowledge** is `XACK` and `XDEL`. **release** does that too, and puts the signal back in
//!   line with a new due; for an entry that is not in hand any more it does nothing.
//! - **tend** is run by every node when the next due that it knows of comes, and once a second: it
//!   offers what is due, and puts back what `XAUTOCLAIM` says was in hand for too long.
//! - **sweep** forgets consumers of nodes that are gone. **depth** counts.
//! - **probe** does what **signal** does, on keys of its own. Every node runs it when no signal was
//!   taken for five seconds, and once a second while Redis refuses: a Redis without room still
//!   answers reads, and must not count as well.
//!
//! # What happens when …
//! - a reader dies with a signal in hand: **tend** of any other node puts it back after
//!   [`RedisOptions::reclaim_after`]. The reconciler is faster if the row still waits.
//! - a reader dies between a blocking read and **settle**: what is behind in line is offered by the
//!   next **tend**, within a second.
//! - a node dies that knew the next due: likewise.
//! - a caller of `next` goes away: a delivery that was on its way to it goes to the next caller or
//!   back in line, with its due.
//! - Redis loses its data: streams and groups are made anew; receipts from before name nothing and
//!   do nothing; the reconciler signals what waits.
//! - an entry is no signal: its reader removes and logs it.
//! - Redis refuses what takes room (`OOM`, `MISCONF`, `NOREPLICAS`, a right that is missing):
//!   signals fail with its words, [`RedisState::Refusing`] says so, and what is in line still goes
//!   out where Redis lets it. The reconciler signals what waits when it is over.
//!
//! Only commands of Redis 6.2 and Valkey 7.2 are used: `XREADGROUP`, `XACK`, `XDEL`, `XADD`,
//! `XRANGE` with exclusive ranges, `XAUTOCLAIM`, `XINFO`, `XGROUP`, `XLEN`, sorted sets, hashes,
//! `TIME`, `EXISTS`, `EVALSHA`, `SCRIPT LOAD`, `PUBLISH`, `SUBSCRIBE`, `PING`, `INFO`.
//! `docs/operations.md` says which rights a user needs, and a test holds it.

mod address;
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
mod pubsub;
mod queue;
mod reader;
mod scripts;
#[cfg(test)]
mod tests;

pub use address::check_redis_url;
pub use bus::RedisBus;
pub use calls::CallObserver;
pub use connections::{RedisConnections, RedisOptions, prefix_of};
pub use error::RedisUrlError;
pub use feed::RedisLiveFeed;
pub use health::{RedisHealth, RedisState};
pub use queue::RedisQueue;
