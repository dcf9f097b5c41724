//! The checks of the address, the limits and the clock of this machine, and of the processes on it.

use std::path::Path;

use jiff::Timestamp;

use super::text::quoted;
use crate::cli::doctor::model::{Check, Facts, Held, Listen, ServerFileFact};
use crate::cli::text::count;
use crate::config::Config;

/// The Unix time of 2025 in UTC: this version did not exist before.
const TOO_EARLY: i64 = 1_735_689_600;
/// The Unix time of 2100 in UTC.
const TOO_LATE: i64 = 4_102_444_800;

pub(super) fn listen(config: &Config, facts: &Facts) -> Check {
    let address = config.server.listen;
    match &facts.listen {
        Listen::Free if address.ip().is_loopback() => Check::ok("address", format!("{address} is free")),
        Listen::Free => Check::failure(
            "address",
            format!("{address} can be reached from other machines, and this version has no user accounts"),
            "listen on 127.0.0.1 or [::1], and put a proxy that requires a password in front of it",
        ),
        Listen::OurServer => Check::ok("address", format!("{address} is used by the running server")),
        Listen::Taken(why) => Check::failure(
            "address",
            format!("cannot listen on {address}: {why}"),
            "choose another one: kastrel serve --listen 127.0.0.1:5001",
        ),
    }
}

pub(super) fn limit(name: &'static str, command: &str, limit: Option<u64>, wanted: u64) -> Check {
    match limit {
        None => Check::ok(name, "no limit"),
        Some(limit) if limit >= wanted => {
            Check::ok(name, format!("at most {limit}; {wanted} are enough for this configuration"))
        }
        Some(limit) => {
            let fix = format!("{command} {wanted}, or lower scans.concurrency");
            Check::warning(name, format!("at most {limit}, but {wanted} may be needed with this configuration"), fix)
        }
    }
}

pub(super) fn clock(now: Timestamp) -> Check {
    if (TOO_EARLY..TOO_LATE).contains(&now.as_second()) {
        Check::ok("clock", format!("shows {now:.0}"))
    } else {
        Check::failure(
            "clock",
            format!("shows {now:.0}, which is implausible; certificates and leases would be evaluated wrongly"),
            "timedatectl set-ntp true",
        )
    }
}

/// Reports that a running node starts no scans.
pub(super) fn held(held: &Held) -> Check {
    let message = format!("starts no scans: {}", held.text);
    if held.is_fault {
        Check::failure("node", message, "follow the advice; waiting scans lose no attempt and start automatically")
    } else {
        Check::warning("node", message, "see the failed attempts; scans start again automatically")
    }
}

/// Reports `count` scanner processes that no node owns.
pub(super) fn deliveries(dead_letters: u64) -> Check {
    const NAME: &str = "deliveries";
    if dead_letters == 0 {
        return Check::ok(NAME, "no event was given up");
    }
    Check::warning(
        NAME,
        format!("{} could not be delivered", count(dead_letters, "event")),
        "see the reasons with `kastrel dead-letters list`, repair the cause, then `kastrel dead-letters resend ID`",
    )
}

pub(super) fn leftovers(count: usize) -> Option<Check> {
    (count > 0).then(|| {
        Check::warning(
            "leftovers",
            format!("scanner processes without an owner: {count}"),
            "start `kastrel serve` or `kastrel worker` on this data folder: it kills them before it starts a scan",
        )
    })
}

/// Checks that the server which the file `path` names responds.
pub(super) fn server_file(path: &Path, fact: ServerFileFact) -> Option<Check> {
    match fact {
        ServerFileFact::Fits => None,
        ServerFileFact::Stale => {
            let message = format!("the file {} names a server that does not respond; it was killed", path.display());
            Some(Check::warning("leftovers", message, format!("rm {}", quoted(path))))
        }
        ServerFileFact::Unproven { pid } => {
            let message = format!(
                "the file {} names process {pid}, which did not prove that it is this folder's server: it hangs, or is an earlier version",
                path.display()
            );
            Some(Check::warning("server", message, format!("restart the server, process {pid}")))
        }
    }
}
