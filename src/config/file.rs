//! The configuration file: finds it, and generates the file that documents every key.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::keys::SECTIONS;
use super::{ConfigError, KEYS};

/// The default path of the file, relative to the working directory.
pub const DEFAULT_FILE: &str = "config/kastrel.toml";

/// Returns the path and the text of the file: `explicit`, which must exist, or [`DEFAULT_FILE`] in
/// `directory`, if it exists.
///
/// # Errors
/// The file cannot be read.
pub fn find_file(explicit: Option<&Path>, directory: &Path) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let (path, shown) = match explicit {
        Some(path) => (path.to_owned(), path.to_owned()),
        None => (directory.join(DEFAULT_FILE), PathBuf::from(DEFAULT_FILE)),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((shown, text))),
        Err(error) if explicit.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Read { path: shown, source }),
    }
}

/// Returns the environment variables as text. Variables that do not belong to Kastrel and are not
/// UTF-8 are left out.
///
/// # Errors
/// A variable of Kastrel is not UTF-8.
pub fn process_environment(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut env = BTreeMap::new();
    for (name, value) in variables {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => {
                env.insert(name, value);
            }
            Err(_) if name.starts_with("KAST") || name == "REDIS_URL" => return Err(ConfigError::NotUtf8(name)),
            Err(_) => {}
        }
    }
    Ok(env)
}

/// The keys whose default depends on the command. They are commented out: a value in the file would
/// override the command's default.
const COMMENTED_OUT: &[&str] = &["scope.allow_private"];

/// Returns the text of `config/kastrel.toml`: every key with its default and its documentation.
#[must_use]
pub fn document() -> String {
    let mut text = String::from(
        "# Kastrel's configuration: every key with its default. Generated from src/config/keys.rs; a test fails when the two differ.\n\
         #\n\
         # Read from config/kastrel.toml in the working directory, or from --config FILE. Stronger than this file: environment\n\
         # variables (KASTREL_<SECTION>__<KEY>, and the short names below), then flags. An empty variable counts as not set.\n\
         # `kastrel config show` prints what is in effect and where each value came from.\n",
    );
    for (section, doc) in SECTIONS {
        text.push('\n');
        for line in *doc {
            comment(&mut text, line.trim());
        }
        let _ = writeln!(text, "[{section}]");
        for key in KEYS.iter().filter(|key| key.section() == *section) {
            for line in key.doc {
                comment(&mut text, line.trim());
            }
            let mut names = key.env.join(", ");
            if let Some(flag) = key.flag {
                let separator = if names.is_empty() { "" } else { ", " };
                let _ = write!(names, "{separator}{flag}");
            }
            if !names.is_empty() {
                comment(&mut text, &format!("Also: {names}"));
            }
            let off = if COMMENTED_OUT.contains(&key.name) { "# " } else { "" };
            let _ = writeln!(text, "{off}{} = {}", key.field(), key.default());
        }
    }
    text
}

/// Adds a wrapped comment.
fn comment(text: &mut String, line: &str) {
    const WIDTH: usize = 118;
    let mut width = 0;
    for word in line.split(' ') {
        if width == 0 || width + 1 + word.chars().count() > WIDTH {
            text.push_str(if width == 0 { "# " } else { "\n# " });
            width = 2;
        } else {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += word.chars().count();
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Origin, Sources};

    /// Regenerate the file with `KASTREL_BLESS=1 cargo nextest run -p kastrel TEST`, where TEST is
    /// the name of this test.
    #[test]
    fn config_file_in_the_repository_matches_the_keys() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DEFAULT_FILE);
        if std::env::var_os("KASTREL_BLESS").is_some() {
            std::fs::write(&path, document()).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            document(),
            "config/kastrel.toml differs from src/config/keys.rs"
        );
    }

    #[test]
    fn generated_config_file_has_every_key_with_its_default() {
        let env = BTreeMap::new();
        let from_file = Sources { file: Some(("f.toml".into(), document())), ..Sources::of(&env) }.resolve().unwrap();
        assert_eq!(from_file.config, Sources::of(&env).resolve().unwrap().config);
        for one in from_file.effective {
            let expected =
                if COMMENTED_OUT.contains(&one.key.name) { Origin::Default } else { Origin::File("f.toml".into()) };
            assert_eq!(one.origin, expected, "{}", one.key.name);
        }
    }

    #[test]
    fn only_an_explicit_config_file_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find_file(None, folder.path()).unwrap().is_none());
        let missing = folder.path().join("none.toml");
        let error = find_file(Some(&missing), folder.path()).unwrap_err();
        assert!(error.to_string().contains("none.toml"), "{error}");
        std::fs::create_dir(folder.path().join("config")).unwrap();
        std::fs::write(folder.path().join(DEFAULT_FILE), "[server]\n").unwrap();
        assert_eq!(find_file(None, folder.path()).unwrap(), Some((PathBuf::from(DEFAULT_FILE), "[server]\n".into())));
    }

    #[cfg(unix)]
    #[test]
    fn only_kastrel_variables_must_be_utf8() {
        use std::os::unix::ffi::OsStringExt as _;
        let broken = || OsString::from_vec(vec![0xff]);
        assert!(process_environment([(OsString::from("LESS"), broken()), (broken(), broken())]).unwrap().is_empty());
        assert!(process_environment([(OsString::from("KASTREL_DATA_DIR"), broken())]).is_err());
    }
}
