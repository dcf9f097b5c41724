//! The keeper: a small process of this program between the node and a scanner. It adopts all
//! processes that an attempt starts.
//!
//! It is a child subreaper: each process that a scanner starts remains a descendant of the keeper,
//! even if it changes its parent, its group, its session or its environment. So all processes of an
//! attempt are found and killed, and none of another attempt. The keeper starts the scanner with
//! the settings of the [isolation](super::isolation): without new privileges, as another user, with
//! resource limits, and first in line for the OOM killer.
//!
//! - **The node lives**: the keeper serves its requests. It collects the scanner only on request of
//!   the node, which has killed all remaining processes before. So the ids of the scanner and its
//!   group are not reused.
//! - **The node is gone**: the connection ends. The keeper kills all its descendants and ends. It
//!   needs no watchdog for that.
//! - **The node is frozen**: the watchdog kills the descendants of the node's keepers. It spares
//!   the keepers, which report the end of the scanners to the node when it resumes.
//! - **The keeper is killed**: the node adopts its processes, because it is a subreaper too. The
//!   node recognizes them as children in a foreign session that it did not start. They are killed
//!   at the end of the attempt.
//!
//! A keeper runs one attempt at a time. It is reused if all processes of the attempt have ended by
//! themselves. One keeper is always ready, so the start of a scan does not wait for the start of a
//! keeper.
//!
//! # The protocol
//! A stream of frames over a pair of sockets, of which one is the keeper's standard input. A frame
//! is a letter, a length and the content. The node sends requests and the keeper responds.
//!
//! | request | content | answer |
//! |---|---|---|
//! | `S` | program, folders, arguments and environment of a scanner; with its output pipes and its folder as descriptors | `started <pid>`, or `failed <errno>` |
//! | `E` | | `code <n>` or `signal <n>`: how the scanner ended; `runs` |
//! | `C` | | `idle`: the scanner is collected and nothing is left; `left`: something is |
//!
//! # What it never does
//! It opens no files except those of its attempt, has no secrets in its environment, makes no
//! decisions, and has no timeouts of its own.

mod confine;
mod message;
mod pool;
mod serve;
mod settings;

pub(super) use message::Start;
pub(super) use pool::{Keeper, Keepers, collect_orphan};
pub use serve::{keeper_arguments, keeper_main};
pub(super) use settings::KeeperSettings;
