//! `kastrel serve`: runs until it is told to stop.

use super::args::ServeArgs;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use crate::config::Config;

/// Runs the command.
///
/// # Errors
/// It could not start, or could not go on.
pub(super) async fn run(args: &ServeArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    context.host.init_logging(&config, Role::Serve)?;
    for warning in warnings(&config) {
        context.output.note(&format!("warning: {warning}"));
    }
    let host = context.host.clone();
    let app = tokio::select! {
        app = host.start(&config, Role::Serve) => app?,
        () = context.interrupts.next() => return Ok(Exit::Interrupted),
    };
    if let Some(url) = app.url() {
        context.output.note(&format!("Kastrel {} listens on {url}", env!("CARGO_PKG_VERSION")));
    }
    let failure = tokio::select! {
        why = app.failed() => Some(why),
        () = context.interrupts.next() => None,
    };
    context.output.note("stopping: running scans are put back and start again later; interrupt again to stop at once");
    tokio::select! {
        () = app.stop() => {}
        // Not waited for any longer, it is dropped with all that it runs.
        () = context.interrupts.next() => return Ok(Exit::Interrupted),
    }
    match failure {
        Some(why) => Err(CliError::App(why.into())),
        None => Ok(Exit::Done),
    }
}

/// What is configured and has no effect.
fn warnings(config: &Config) -> Vec<String> {
    let redis = config.redis.url.as_ref().map(|url| format!("redis.url is set ({url}), but this version does not use Redis yet; the queue is in this process"));
    redis.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Sources;

    fn config(name: &str, value: &str) -> Config {
        Sources::of(&BTreeMap::from([(name.to_owned(), value.to_owned())])).resolve().unwrap().config
    }

    #[test]
    fn a_redis_that_is_not_used_is_told_without_its_password() {
        let warnings = warnings(&config("REDIS_URL", "redis://:hunter2@redis"));
        assert!(warnings[0].contains("redis://:***@redis") && !warnings[0].contains("hunter2"), "{warnings:?}");
        assert!(super::warnings(&config("X", "")).is_empty());
    }
}
