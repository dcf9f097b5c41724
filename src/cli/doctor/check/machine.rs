//! The checks of the address, the limits and the clock of this machine, and of the processes on it.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::text::quoted;
use crate::cli::doctor::model::{Check, Facts, Held, Listen, ServerFileFact};
use crate::cli::text::count;
use crate::config::{AuthMode, Config};

/// A certificate that expires earlier needs attention.
const EXPIRES_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// The Unix time of 2025 in UTC: this version did not exist before.
const TOO_EARLY: i64 = 1_735_689_600;
/// The Unix time of 2100 in UTC.
const TOO_LATE: i64 = 4_102_444_800;

pub(super) fn listen(config: &Config, facts: &Facts) -> Check {
    let address = config.server.listen;
    match &facts.listen {
        Listen::Free if address.ip().is_loopback() => Check::ok("address", format!("{address} is free")),
        Listen::Free if config.auth.mode == AuthMode::Off => Check::failure(
            "address",
            format!("{address} can be reached from other machines, which a server without accounts refuses"),
            "set auth.mode to local (KASTREL_AUTH_MODE=local), or listen on 127.0.0.1 or [::1]",
        ),
        Listen::Free => Check::ok("address", format!("{address} is free, and its clients need an account")),
        Listen::OurServer => Check::ok("address", format!("{address} is used by the running server")),
        Listen::Taken(why) => Check::failure(
            "address",
            format!("cannot listen on {address}: {why}"),
            "choose another one: kastrel serve --listen 127.0.0.1:5001",
        ),
    }
}

/// Checks that the certificate pair of a server with TLS can be used, and does not expire soon.
pub(super) fn tls(config: &Config, facts: &Facts) -> Option<Check> {
    const NAME: &str = "tls";
    const RENEW: &str = "renew the certificate; a running server uses the new files without a restart";
    let path = config.server.tls_certificate.as_deref()?.display();
    let validity = match facts.tls.as_ref()? {
        Ok(validity) => validity,
        Err(error) => {
            let fix = format!("correct {}, or remove both settings", error.setting);
            return Some(Check::failure(NAME, error.to_string(), fix));
        }
    };
    let (now, from, until) = (facts.now, validity.from, validity.until);
    Some(if until <= now {
        Check::failure(NAME, format!("the certificate {path} has expired at {until:.0}"), RENEW)
    } else if now < from {
        Check::failure(NAME, format!("the certificate {path} is not valid before {from:.0}"), RENEW)
    } else if until.duration_since(now) < EXPIRES_SOON {
        Check::warning(NAME, format!("the certificate {path} expires soon, at {until:.0}"), RENEW)
    } else {
        Check::ok(NAME, format!("the certificate {path} and its key can be used until {until:.0}"))
    })
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

pub(super) fn accounts(lacks_admin: bool) -> Option<Check> {
    lacks_admin.then(|| {
        Check::warning(
            "accounts",
            "no administrator can sign in: each one is disabled or has no password",
            "kastrel user create NAME --admin, or kastrel user reset-password NAME",
        )
    })
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

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::super::testing::{config, good};
    use super::*;
    use crate::cli::doctor::model::Level;
    use crate::tls::{PairError, Validity};

    #[test]
    fn missing_administrator_is_a_warning() {
        let found = |lacks_admin| {
            let checks = judge(&config(&[]), &Facts { lacks_admin, ..good() });
            checks.into_iter().find(|check| check.name == "accounts").map(|check| check.level)
        };
        assert_eq!(found(Some(true)), Some(Level::Warning));
        assert_eq!((found(Some(false)), found(None)), (None, None));
    }

    #[test]
    fn address_for_other_machines_needs_accounts() {
        let level = |pairs: &[(&str, &str)]| {
            let checks = judge(&config(pairs), &good());
            checks.into_iter().find(|check| check.name == "address").map(|check| check.level)
        };
        let (any, accounts) = (("KASTREL_LISTEN", "0.0.0.0:5000"), ("KASTREL_AUTH_MODE", "local"));
        assert_eq!(level(&[]), Some(Level::Ok));
        assert_eq!(level(&[any]), Some(Level::Failure));
        assert_eq!(level(&[any, accounts]), Some(Level::Ok));
    }

    #[test]
    fn certificate_pair_is_checked_with_its_expiry() {
        let configured = config(&[
            ("KASTREL_SERVER__TLS_CERTIFICATE", "/etc/kastrel/tls.pem"),
            ("KASTREL_SERVER__TLS_KEY", "/etc/kastrel/tls.key"),
        ]);
        let now = good().now;
        let day = SignedDuration::from_hours(24);
        let valid = |from: i32, until: i32| Ok(Validity { from: now + day * from, until: now + day * until });
        let broken = Err(PairError { setting: "server.tls_key", why: "failed to read x".into() });
        for (fact, level, part) in [
            (valid(-1, 15), Level::Ok, "can be used until"),
            (valid(-1, 13), Level::Warning, "expires soon"),
            (valid(-9, -1), Level::Failure, "has expired"),
            (valid(1, 90), Level::Failure, "is not valid before"),
            (broken, Level::Failure, "server.tls_key: failed to read x"),
        ] {
            let checks = judge(&configured, &Facts { tls: Some(fact), ..good() });
            let check = checks.iter().find(|check| check.name == "tls").unwrap();
            assert_eq!((check.level, check.message.contains(part)), (level, true), "{check:?}");
        }
        assert!(judge(&config(&[]), &good()).iter().all(|check| check.name != "tls"));
    }
}
