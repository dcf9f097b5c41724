//! The keeper: a small process of this program between the node and a scanner, in which everything
//! that an attempt starts is held together.
//!
//! It is a child subreaper: whatever a scanner starts, and whatever becomes of its parent, its
//! group, its session or its environment, remains a descendant of the keeper. So all of an attempt
//! is found and ended, and nothing of another one is. It starts the scanner with what the
//! [isolation](super::isolation) says: without new privileges, as another user, within limits,
//! first to die when memory runs out.
//!
//! - **The node lives**: the keeper answers it. The scanner is collected only when the node says
//!   so, which has then killed all that was left; so the ids of the scanner and its group name
//!   nobody else.
//! - **The node is gone**: the connection ends. The keeper kills all that descends from it, and
//!   ends. It needs no watchdog for that.
//! - **The node is frozen**: the watchdog kills what descends from the keepers of its node, and
//!   leaves the keepers, who tell the node what happened when it wakes.
//! - **The keeper is killed**: what it held falls to the node, which is a subreaper as well, and
//!   which knows that a child in a foreign session is nobody it has started. It ends with the
//!   attempt.
//!
//! A keeper runs one attempt at a time, and is used again when all that the attempt started has
//! gone by itself. So the start of a scan waits for no start of a keeper: one is always ready.
//!
//! # The protocol
//! A stream of frames over a pair of sockets, of which the keeper has one as its standard input: a
//! letter, a length and the content. The node asks and the keeper answers.
//!
//! | request | content | answer |
//! |---|---|---|
//! | `S` | program, folders, arguments and environment of a scanner; with its output pipes and its folder as descriptors | `started <pid>`, or `failed <errno>` |
//! | `E` | | `code <n>` or `signal <n>`: how the scanner ended; `runs` |
//! | `C` | | `idle`: the scanner is collected and nothing is left; `left`: something is |
//!
//! # What it never does
//! It opens no file but those of its attempt, has no secret in its environment, and makes no
//! decision: it has no time limit of its own.

mod confine;
mod message;
mod pool;
mod serve;
mod settings;

pub(super) use message::Start;
pub(super) use pool::{Keeper, Keepers, collect_orphan};
pub use serve::{keeper_arguments, keeper_main};
pub(super) use settings::KeeperSettings;

/// The variable that marks a keeper, with the data folder and the run as its value.
pub(super) const KEEPER_VARIABLE: &str = "KASTREL_KEEPER";
