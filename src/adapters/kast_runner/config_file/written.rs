//! The file in the attempt's folder. It is JSON, which is a subset of YAML, written so that PyYAML
//! (YAML 1.1) reads the same values.
//!
//! It may contain keys of remote services. So it is hidden, readable only by its owner, excluded
//! from lists, archives and buckets, and deleted with the scan's files. It stays until then, so
//! that the attempt's `command.sh` can be run again. But the secrets of the scan are removed from
//! it when the attempt ends.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use serde_json::Value;

use crate::adapters::kast_runner::folder;
use crate::ports::{AttemptPaths, CONFIG_NAME};

/// Writes the file into an attempt's folder.
pub(in crate::adapters::kast_runner) fn write(dir: &OwnedFd, settings: &Value) -> std::io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, CONFIG_NAME, flags, Mode::RUSR | Mode::WUSR)?;
    let mut text = String::new();
    put(settings, 0, &mut text);
    text.push('\n');
    std::fs::File::from(file).write_all(text.as_bytes())
}

/// Removes the file of an attempt whose node died before it could remove the secrets. Blocks.
pub(in crate::adapters::kast_runner) fn remove(results: &Path, paths: &AttemptPaths) {
    let removed = folder::open(results, paths)
        .and_then(|dir| Ok(rustix::fs::unlinkat(dir, CONFIG_NAME, rustix::fs::AtFlags::empty())?));
    if let Err(error) = removed
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "could not remove the configuration file of an earlier attempt"
        );
    }
}

/// A configuration file with secrets of its scan. A drop rewrites it without the secrets, after the
/// scanner has ended or if it never started.
#[derive(Debug)]
pub(in crate::adapters::kast_runner) struct Forgetting {
    /// The attempt's folder.
    pub(in crate::adapters::kast_runner) dir: OwnedFd,
    /// The settings without the secrets.
    pub(in crate::adapters::kast_runner) rest: Value,
}

impl Drop for Forgetting {
    fn drop(&mut self) {
        let gone = match rustix::fs::unlinkat(&self.dir, CONFIG_NAME, rustix::fs::AtFlags::empty()) {
            Err(error) if error != rustix::io::Errno::NOENT => Err(error.into()),
            Ok(()) | Err(_) => write(&self.dir, &self.rest),
        };
        if let Err(error) = gone {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not take the secrets out of an attempt's configuration file"
            );
        }
    }
}

/// Writes JSON that PyYAML reads correctly: a float has a point and no exponent, otherwise PyYAML
/// would read a text; and characters that YAML rejects are escaped.
fn put(value: &Value, depth: usize, text: &mut String) {
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    match value {
        Value::Number(number) if number.is_f64() => {
            let shown = number.as_f64().unwrap_or_default().to_string();
            text.push_str(&shown);
            if !shown.contains('.') {
                text.push_str(".0");
            }
        }
        Value::String(string) => put_text(string, text),
        Value::Array(list) if !list.is_empty() => {
            text.push('[');
            for (at, one) in list.iter().enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                put(one, depth, text);
            }
            text.push(']');
        }
        Value::Object(map) if !map.is_empty() => {
            text.push('{');
            for (at, (key, one)) in map.iter().enumerate() {
                text.push_str(if at > 0 { "," } else { "" });
                line(text, depth + 1);
                put_text(key, text);
                text.push_str(": ");
                put(one, depth + 1, text);
            }
            line(text, depth);
            text.push('}');
        }
        other => text.push_str(&other.to_string()),
    }
}

fn put_text(string: &str, text: &mut String) {
    for c in Value::from(string).to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    #[test]
    fn config_file_is_private_and_round_trips() {
        let root = tempfile::tempdir().unwrap();
        let dir = OwnedFd::from(std::fs::File::open(root.path()).unwrap());
        let settings = json!({"plugins": {"a b": {"f": 1.0, "small": 0.0000001, "large": 1e300, "n": 1, "t": "1", "y": "yes", "l": [1, "x", []], "e": {}, "u": "ü\u{7f}\u{85}😀\n\"\\"}}});
        write(&dir, &settings).unwrap();
        let file = root.path().join(CONFIG_NAME);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), settings);
        assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), settings);
        assert!(
            text.contains("\"f\": 1.0")
                && text.contains("0.0000001")
                && text.contains("\\u0085")
                && !text.contains('\u{7f}'),
            "{text}"
        );
        assert!(write(&dir, &settings).is_err(), "it is written once");
        let rest = json!({"plugins": {"n": 1}});
        // Without an explicit call too: a failed start drops it.
        drop(Forgetting { dir, rest: rest.clone() });
        assert_eq!(serde_json::from_str::<Value>(&std::fs::read_to_string(&file).unwrap()).unwrap(), rest);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
