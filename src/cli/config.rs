//! `kastrel config show`: every key with its value and its source.

use serde::Serialize;

use super::args::ServeArgs;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::output::Style;
use super::table::{Column, cell, grid};
use crate::config::{Origin, Resolved};

/// The JSON output: a key.
#[derive(Serialize)]
struct Shown<'a> {
    key: &'a str,
    value: serde_json::Value,
    /// `default`, `file`, `environment` or `flag`.
    source: &'a str,
    /// The path of the file, or the name of the variable or flag.
    name: Option<String>,
    default: serde_json::Value,
}

/// Runs the command.
///
/// # Errors
/// The configuration is invalid.
pub(super) fn show(args: &ServeArgs, json: bool, context: &mut Context) -> Result<Exit, CliError> {
    let resolved = context.resolve(&args.config, args.flags(), None)?;
    if args.no_worker {
        Role::Web.check(&resolved.config)?;
    }
    if json {
        context.output.json(&documents(&resolved))?;
    } else {
        let text = text(&resolved, context.output.style);
        context.output.line(&text)?;
    }
    Ok(Exit::Done)
}

fn documents(resolved: &Resolved) -> Vec<Shown<'_>> {
    let plain = |key: &crate::config::Key, value: &toml::Value| match value {
        toml::Value::String(_) => serde_json::Value::String(key.shown(value)),
        other => serde_json::to_value(other).unwrap_or_default(),
    };
    let shown = |one: &crate::config::Effective| {
        let (source, name) = match &one.origin {
            Origin::Default => ("default", None),
            Origin::CommandDefault(command) => ("default", Some((*command).to_owned())),
            Origin::File(path) => ("file", Some(path.display().to_string())),
            Origin::Environment(name) => ("environment", Some(name.clone())),
            Origin::Flag(name) => ("flag", Some((*name).to_owned())),
        };
        Shown {
            key: one.key.name,
            value: plain(one.key, &one.value),
            source,
            name,
            default: plain(one.key, &one.key.default()),
        }
    };
    resolved.effective.iter().map(shown).collect()
}

fn text(resolved: &Resolved, style: Style) -> String {
    let columns = [Column::text("Key", 0), Column::text("Value", 0), Column::text("From", 0)];
    let row = |one: &crate::config::Effective| {
        let value = one.shown();
        vec![cell(one.key.name), cell(if value.is_empty() { "-" } else { &value }), cell(&one.origin.to_string())]
    };
    grid(style, &columns, resolved.effective.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{FlagValue, KEYS, Sources};

    fn resolved() -> Resolved {
        let env = BTreeMap::from([("REDIS_URL".to_owned(), "redis://:hunter2@redis/0".to_owned())]);
        let file = Some(("kastrel.toml".into(), "[server]\npoll_interval_seconds = 5\n".into()));
        let flags = vec![FlagValue { key: "scans.concurrency", value: "9".into() }];
        Sources { file, flags, ..Sources::of(&env) }.resolve().unwrap()
    }

    #[test]
    fn every_key_is_shown_with_its_source_and_without_secrets() {
        let text = text(&resolved(), Style::PLAIN);
        assert!(KEYS.iter().all(|key| text.contains(key.name)), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for expected in [
            "server.poll_interval_seconds 5 file kastrel.toml",
            "redis.url redis://:***@redis/0 environment variable REDIS_URL",
            "scans.concurrency 9 flag --concurrency",
            "data.dir data default",
            "database.url - default",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected} in {lines:#?}");
        }
    }

    #[test]
    fn json_output_has_typed_values() {
        let json = serde_json::to_value(documents(&resolved())).unwrap();
        let of = |name: &str| json.as_array().unwrap().iter().find(|one| one["key"] == name).unwrap().clone();
        assert_eq!(
            of("scans.concurrency"),
            serde_json::json!({"key": "scans.concurrency", "value": 9, "source": "flag", "name": "--concurrency", "default": 4})
        );
        assert_eq!(of("redis.url")["value"], "redis://:***@redis/0");
        assert_eq!(of("scope.allow")["value"], serde_json::json!([]));
    }
}
