//! Logs: readable on a terminal, JSON elsewhere, always on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat};

/// Starts logging; a second call changes nothing. A command that is no server shows its own progress, and so logs only what went wrong unless it is asked for more.
pub fn init(config: &LogConfig, server: bool) {
    let level = config.level.directives();
    let filter = EnvFilter::new(directives(if server || level != "info" { level } else { "error" }));
    let json = match config.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let registry = tracing_subscriber::registry().with(filter);
    // An error says that a subscriber is set already, as a test may have done.
    let _ = if json {
        registry.with(tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
    } else {
        registry.with(tracing_subscriber::fmt::layer().with_ansi(colour).with_target(false).with_writer(std::io::stderr)).try_init()
    };
}

/// A bare level is meant for Kastrel; the libraries below it speak up for warnings only.
fn directives(level: &str) -> String {
    match level.parse::<tracing::Level>() {
        Ok(level) => {
            // At the end of the process the database complains of its own background tasks; every commit is on disk by then.
            format!("warn,kastrel={level},kastrel_actors={level},ractor=error,surrealdb_core::kvs::tasks=off")
        }
        Err(_) => level.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_is_ours_alone() {
        assert_eq!(directives("debug"), "warn,kastrel=DEBUG,kastrel_actors=DEBUG,ractor=error,surrealdb_core::kvs::tasks=off");
        assert_eq!(directives("info,surrealdb=debug"), "info,surrealdb=debug");
        assert_eq!(directives("off"), "off");
    }
}
