//! What several commands have in common: the configuration, the scanner, the server.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::config::{FlagValue, ScannerChoice};

const SERVER_HELP: &str = "Work with the server at this address, such as http://127.0.0.1:5000 [env: KASTREL_SERVER]; without it, with the one that holds the data folder";

const TOKEN_HELP: &str = "File with the API token for that server [env: KASTREL_TOKEN has the token itself]";

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// The configuration file [default: config/kastrel.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data folder, which holds the database and everything else that Kastrel keeps
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Which scanner.
#[derive(Debug, Clone, Default, Args)]
pub struct ScannerArgs {
    /// KAST's program [default: kast on the PATH]
    #[arg(long, value_name = "PATH")]
    pub kast: Option<PathBuf>,
    /// Scanner to use [default: auto]
    #[arg(long, value_name = "SCANNER", value_parser = PossibleValuesParser::new(ScannerChoice::ALL.iter().map(|choice| choice.as_str())))]
    pub scanner: Option<String>,
}

/// Which server.
#[derive(Debug, Clone, Default, Args)]
pub struct ServerArgs {
    #[arg(long, value_name = "URL", help = SERVER_HELP)]
    #[expect(missing_docs, reason = "a doc comment would replace the help text")]
    pub server: Option<String>,
    #[arg(long, value_name = "FILE", help = TOKEN_HELP)]
    #[expect(missing_docs, reason = "a doc comment would replace the help text")]
    pub token_file: Option<PathBuf>,
}

/// What a command takes that shows something of a server or of the data folder.
#[derive(Debug, Clone, Default, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ReadArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl ReadArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }
}

impl ConfigArgs {
    pub(super) fn flags(&self) -> Vec<FlagValue> {
        path("data.dir", self.data_dir.as_ref())
    }
}

impl ScannerArgs {
    pub(super) fn flags(&self) -> Vec<FlagValue> {
        let mut flags = path("kast.path", self.kast.as_ref());
        flags.extend(text("kast.scanner", self.scanner.as_ref()));
        flags
    }

    /// Whether either was given.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        self.kast.is_some() || self.scanner.is_some()
    }
}

pub(super) fn names(names: impl Iterator<Item = &'static str>) -> PossibleValuesParser {
    PossibleValuesParser::new(names)
}

pub(super) fn text(key: &'static str, value: Option<&String>) -> Option<FlagValue> {
    value.map(|value| FlagValue { key, value: value.clone() })
}

fn path(key: &'static str, value: Option<&PathBuf>) -> Vec<FlagValue> {
    value.map(|value| FlagValue { key, value: value.to_string_lossy().into_owned() }).into_iter().collect()
}
