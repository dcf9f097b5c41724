//! Findings: what the plugins of a scan saw, and what it means for the history of a target.
//!
//! Everything here is a pure function: no file, no network, no clock, no task. The caller brings
//! the bytes of files, the rows of the store and the time.
//!
//! # The model
//!
//! ```text
//! files of a scan ──readers──> sightings, assets, notes
//! sightings ──identity──> findings of the scan: fingerprint, place, members
//! a finding + a scan ──lifecycle──> its new state, events
//! two scans ──compare──> new, fixed, unchanged, not checked
//! ```
//!
//! - A **sighting** is one issue at one place, as one plugin saw it in one scan ([`Sighting`]): the
//!   issue key, the place, the evidence and the references. One reader a plugin takes them from the
//!   plugin's own findings ([`readers`]). What a plugin only collects is an **asset** ([`Asset`]):
//!   addresses, software, hosts, certificates, firewalls. Assets are never counted as issues.
//! - A **place** has one normal form ([`place`]): the case of hosts, default ports, escapes, ids in
//!   paths and values in queries make no difference.
//! - A **finding** of a target is known by its **fingerprint** `kfp1` ([`identity`]): SHA-256 over
//!   plugin, issue key and place key. Rules say which parts of the place are in the place key;
//!   sightings that differ in other parts are members of one finding. The rules are data with a
//!   version. When they change, aliases lead from the old fingerprints to the new ones.
//! - **Only coverage closes a finding** ([`lifecycle`]). A finding that a scan did not see is
//!   absent only if its plugin ran to its end, on a [`scope`] that has everything the earlier scan
//!   had, and its result was read completely. Deterministic plugins prove a fix with one such scan,
//!   crawlers with two. Otherwise the finding stays as it is, and "not checked since" says so.
//! - **People decide beside the scans**: false positive, accepted until a day, confirmed. A scan
//!   may reopen a fixed finding, and never undoes a decision.
//!
//! # Hostile input
//!
//! A scanned site chooses most of what a reader reads. Readers take any bytes, in bounded time and
//! memory ([`json`], [`limits`]), and return texts that are bounded and have no control characters
//! ([`text`]). Texts are still hostile: pages must escape them. Nothing is lost in silence: what
//! was cut, left out or not understood is in the [`ReadNotes`]. A reading from which sightings may
//! be missing closes no finding, so a site cannot close its findings with an answer that breaks the
//! reader.
//!
//! # Idempotence and order
//!
//! A scan is known by its number and the fencing token of its attempt. Applying a scan twice
//! changes nothing, and any order of arrival leads to the same state.

pub mod asset;
pub mod compare;
pub mod identity;
pub mod json;
pub mod lifecycle;
pub mod limits;
mod notes;
pub mod place;
pub mod readers;
pub mod registry;
pub mod scope;
mod severity;
mod sighting;
pub mod text;

pub use asset::{Asset, AssetKind};
pub use notes::{Note, NoteKind, ReadNotes};
pub use severity::Severity;
pub use sighting::{IssueKey, Sighting};
