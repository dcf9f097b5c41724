//! The checks of Redis, of the database's clock and of the telemetry export.

use crate::cli::doctor::model::{Check, Collector, Facts, Probe, RedisFacts, Store};
use crate::config::Config;
use crate::telemetry::Signal;
use crate::telemetry::variables::Silence;

/// A clock skew below this is harmless, in seconds.
const SKEW: f64 = 2.0;

pub(super) fn redis(url: &str, fact: &Result<RedisFacts, String>) -> Vec<Check> {
    let facts = match fact {
        Err(why) => {
            let message = format!("{url} does not respond: {why}; scans start late, but none is lost");
            return vec![Check::failure("redis", message, "start Redis, or check REDIS_URL and its password")];
        }
        Ok(facts) => facts,
    };
    let mut checks = vec![Check::ok(
        "redis",
        format!("{} responds at {url}", facts.version.as_deref().unwrap_or("a server of unknown version")),
    )];
    if facts.keeps_a_log == Some(false) {
        let message = "keeps no append-only file: after a restart of Redis waiting scans start seconds late";
        checks.push(Check::warning(
            "redis log",
            message,
            "redis-cli CONFIG SET appendonly yes, and the same in redis.conf",
        ));
    }
    match facts.eviction.as_deref() {
        Some("noeviction") | None => {}
        Some(policy) => {
            let message =
                format!("the maxmemory-policy is {policy}: Redis may discard the queue when its memory is full");
            checks.push(Check::warning(
                "redis memory",
                message,
                "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
            ));
        }
    }
    checks
}

/// Checks the mail server. Where accounts have no mails, only a requested test mail is a failure.
pub(super) fn mail(config: &Config, fact: Option<&Result<(), String>>) -> Option<Check> {
    let fact = fact?;
    let shown = config.mail.smtp_url.as_ref().map(ToString::to_string).unwrap_or_default();
    Some(match fact {
        Ok(()) => Check::ok("mail", format!("the mail server at {shown} accepts mails")),
        Err(why) if shown.is_empty() => {
            Check::failure("mail", why.clone(), "set mail.smtp_url, mail.from and server.public_url")
        }
        Err(why) => {
            let message = format!("the mail server at {shown} cannot be used: {why}; links and notices are lost");
            Check::failure("mail", message, "check mail.smtp_url, its password, and mail.from")
        }
    })
}

/// Checks that the identity provider responds.
pub(super) fn provider(issuer: &str, fact: &Result<(), String>) -> Check {
    const NAME: &str = "sign-in";
    match fact {
        Ok(()) => Check::ok(NAME, format!("the identity provider {issuer} responds")),
        Err(why) => Check::failure(
            NAME,
            format!("nobody can sign in with the identity provider {issuer}: {why}"),
            "check oidc.issuer, and that this machine reaches it; docs/access.md has the settings of two providers",
        ),
    }
}

/// Checks the clock skew. Leases use the database's clock; certificates, schedules and displayed
/// times use this machine's.
pub(super) fn skew(facts: &Facts) -> Option<Check> {
    let Store::Opens { probe: Ok(Probe { skew: Some(skew) }), .. } = facts.store else { return None };
    let message = format!("differs from the database's by {}{skew:.1} s", if skew > 0.0 { "at least " } else { "" });
    Some(if skew < SKEW {
        Check::ok("clock skew", message)
    } else {
        Check::warning("clock skew", message, "timedatectl set-ntp true, here and where the database is")
    })
}

pub(super) fn telemetry(facts: &Collector) -> Vec<Check> {
    let ok = |message: &str| Some(Check::ok("telemetry", message));
    let silence = match facts.silence {
        None => None,
        Some(Silence::Disabled) => ok("nothing is exported: OTEL_SDK_DISABLED is true"),
        Some(Silence::NotAsked) => ok("nothing is exported: no OTEL_EXPORTER_OTLP_ENDPOINT is set"),
        Some(Silence::Declined) => ok(
            "nothing is exported: OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER and OTEL_LOGS_EXPORTER do not request it",
        ),
        Some(Silence::NoAddress) => Some(Check::warning(
            "telemetry",
            "nothing is exported: no valid address is set",
            "check OTEL_EXPORTER_OTLP_ENDPOINT",
        )),
    };
    let tried = facts.tried.iter().map(|tried| {
        let (endpoint, what) = (&tried.endpoint, tried.signal.what());
        match &tried.answer {
            Ok(()) => Check::ok("telemetry", format!("the collector at {endpoint} accepted {what}")),
            Err(why) => Check::warning(
                "telemetry",
                format!("the collector at {endpoint} did not accept {what}: {why}"),
                "start it, or check OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL (grpc is mostly port 4317, http/protobuf 4318)",
            ),
        }
    });
    let is_tried = |signal: &Signal| facts.tried.iter().any(|tried| tried.signal == *signal);
    let left_out: Vec<String> = Signal::ALL
        .iter()
        .filter(|signal| !is_tried(signal))
        .map(|signal| format!("{}=otlp", signal.variable()))
        .collect();
    let left_out = (facts.silence.is_none() && !left_out.is_empty()).then(|| {
        Check::ok("telemetry", format!("partly exported; to export the rest, set {}", left_out.join(" and ")))
    });
    let warnings = facts.warnings.iter().map(|warning| {
        Check::warning("telemetry", warning.clone(), "docs/telemetry.md lists what each variable takes")
    });
    silence.into_iter().chain(tried).chain(left_out).chain(warnings).collect()
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::super::testing::{config, good};
    use super::*;
    use crate::cli::doctor::model::{Engine, Level, Tried};

    #[test]
    fn mail_server_is_checked_where_one_is_set_or_a_test_mail_was_requested() {
        let with_mail = config(&[
            ("KASTREL_MAIL__SMTP_URL", "smtps://kastrel:hunter2@mail.example.com"),
            ("KASTREL_MAIL__FROM", "kastrel@example.com"),
            ("KASTREL_PUBLIC_URL", "https://scans.example.com"),
        ]);
        assert_eq!(mail(&with_mail, None), None);
        assert_eq!(mail(&with_mail, Some(&Ok(()))).unwrap().level, Level::Ok);
        let refused = mail(&with_mail, Some(&Err("the mail server refused: 535".into()))).unwrap();
        assert!(refused.level == Level::Failure && refused.message.contains("535"), "{refused:?}");
        assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
        let unset = mail(&config(&[]), Some(&Err("no mail server is configured".into()))).unwrap();
        assert!(unset.level == Level::Failure && unset.fix.unwrap().contains("mail.smtp_url"));
    }

    #[test]
    fn redis_and_the_clock_of_the_database_are_checked() {
        let redis = |keeps_a_log, eviction: &str| {
            Some(Ok(RedisFacts {
                version: Some("Redis 7.4.7".into()),
                keeps_a_log: Some(keeps_a_log),
                eviction: Some(eviction.into()),
            }))
        };
        let configured = config(&[("REDIS_URL", "redis://r")]);
        let worst = |facts: Facts| judge(&configured, &facts).iter().map(|check| check.level).max().unwrap();
        for (keeps_a_log, eviction, level) in [
            (true, "noeviction", Level::Ok),
            (false, "noeviction", Level::Warning),
            (true, "allkeys-lru", Level::Warning),
        ] {
            assert_eq!(
                worst(Facts { redis: redis(keeps_a_log, eviction), ..good() }),
                level,
                "{keeps_a_log} {eviction}"
            );
        }
        for (skew, level) in [(0.0, Level::Ok), (1.9, Level::Ok), (2.5, Level::Warning)] {
            let store =
                Store::Opens { probe: Ok(Probe { skew: Some(skew) }), engine: Engine::Server(Some("3.3.5".into())) };
            assert_eq!(worst(Facts { redis: redis(true, "noeviction"), store, ..good() }), level, "{skew}");
        }
        let store = Store::Opens { probe: Err("read-only".into()), engine: Engine::Embedded };
        assert_eq!(worst(Facts { redis: redis(true, "noeviction"), store, ..good() }), Level::Failure);
    }

    #[test]
    fn each_telemetry_signal_is_shown_with_its_state() {
        let shown = |silence, tried| {
            telemetry(&Collector { tried, silence, warnings: Vec::new() })
                .into_iter()
                .map(|check| check.message)
                .collect::<Vec<_>>()
        };
        for (silence, reason) in [
            (Silence::Disabled, "OTEL_SDK_DISABLED is true"),
            (Silence::NotAsked, "no OTEL_EXPORTER_OTLP_ENDPOINT"),
            (Silence::Declined, "do not request it"),
            (Silence::NoAddress, "no valid address"),
        ] {
            let lines = shown(Some(silence), Vec::new());
            assert!(lines.len() == 1 && lines[0].contains(reason), "{lines:?}");
        }
        let tried = Signal::ALL.map(|signal| Tried { signal, endpoint: "http://c".into(), answer: Ok(()) });
        assert_eq!(
            shown(None, tried.to_vec()),
            ["a span", "a metric", "a log record"].map(|what| format!("the collector at http://c accepted {what}"))
        );
    }
}
