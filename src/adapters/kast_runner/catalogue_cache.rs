//! Caches the scanner's catalogue: requested in the background, held in memory, and stored on disk
//! for the next start. Apart from the first scans of a data folder, no scan waits for the scanner
//! to print it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::{ScannerInfo, ScannerKind};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::sync::{Mutex, watch};

use super::catalogue::Catalogue;
use super::catalogue_text;
use super::scanner::ScannerCommand;
use super::settings_text;
use crate::descriptors::SpawnAsBefore as _;

/// The timeout of one call of the scanner.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// The maximum number of bytes of its output that are read.
const MOST_ANSWER_BYTES: u64 = 64 << 20;
const FILE_NAME: &str = "scanner-catalogue.json";

/// The reason why the catalogue is not available.
#[derive(Debug, thiserror::Error)]
pub(super) enum CatalogueError {
    #[error("failed to run `{program} {args}`: {source}")]
    Run { program: String, args: String, source: std::io::Error },
    #[error("`{program} {args}` did not respond within {} s", ANSWER_LIMIT.as_secs())]
    Late { program: String, args: String },
    #[error("`{program}` lists no plugins")]
    NoPlugins { program: String },
}

/// The format version of the file. It increases when the program reads more of the scanner's
/// output, so that an older file is replaced.
const FORMAT: u32 = 4;

/// The file on disk. It is valid only for one program file.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default)]
    format: u32,
    program: PathBuf,
    modified: i64,
    size: u64,
    catalogue: Catalogue,
}

/// The catalogue of one scanner.
#[derive(Debug)]
pub(super) struct CatalogueCache {
    scanner: ScannerCommand,
    environment: Vec<(OsString, OsString)>,
    file: PathBuf,
    current: watch::Sender<Option<Arc<Catalogue>>>,
    /// True if the program could not be run at the last request.
    is_missing: Mutex<bool>,
}

impl CatalogueCache {
    /// Opens the cache with the catalogue that an earlier run stored. Reads one small file; for
    /// start-up only.
    pub(super) fn open(scanner: ScannerCommand, environment: Vec<(OsString, OsString)>, cache_dir: &Path) -> Self {
        let file = cache_dir.join(FILE_NAME);
        let stored = load(&file, &scanner).map(Arc::new);
        Self { scanner, environment, file, current: watch::Sender::new(stored), is_missing: Mutex::default() }
    }

    /// Returns the current catalogue, if known.
    pub(super) fn current(&self) -> Option<Arc<Catalogue>> {
        self.current.borrow().clone()
    }

    /// Subscribes to changes of the catalogue.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Arc<Catalogue>>> {
        self.current.subscribe()
    }

    /// Requests the catalogue from the scanner, and stores it in memory and on disk.
    pub(super) async fn refresh(&self) -> Result<Arc<Catalogue>, CatalogueError> {
        let answer = self.ask().await;
        *self.is_missing.lock().await = matches!(answer, Err(CatalogueError::Run { .. }));
        let catalogue = Arc::new(answer?);
        self.current.send_replace(Some(Arc::clone(&catalogue)));
        let (file, scanner, kept) = (self.file.clone(), self.scanner.clone(), Arc::clone(&catalogue));
        let stored = tokio::task::spawn_blocking(move || store(&file, &scanner, &kept)).await;
        if let Ok(Err(error)) = stored {
            tracing::warn!(%error, file = %self.file.display(), "the scanner's plugin list could not be kept for the next start");
        }
        Ok(catalogue)
    }

    /// Requests the catalogue again if the program was missing at the last request, because it may
    /// exist now. A scanner that failed in another way is not called before every scan.
    pub(super) async fn ask_again(&self) {
        if *self.is_missing.lock().await
            && self.current().is_none()
            && let Err(error) = self.refresh().await
        {
            tracing::debug!(%error, "the scanner's plugin list is still not available");
        }
    }

    pub(super) async fn ask(&self) -> Result<Catalogue, CatalogueError> {
        let version = self.answer(&["--version"]).await?;
        let scanner = ScannerInfo {
            kind: self.scanner.kind,
            version: catalogue_text::version(&version).unwrap_or_else(|| "unknown".into()),
            configuration: None,
        };
        let plugins = match catalogue_text::plugins_json(&self.answer(&["plugins", "list", "--json"]).await?) {
            Some(mut plugins) => {
                if self.scanner.kind == ScannerKind::Kast {
                    catalogue_text::add_dependencies(
                        &mut plugins,
                        &self.answer(&["plugins", "deps", "--mode", "both"]).await?,
                    );
                }
                plugins
            }
            None => catalogue_text::plugins_text(&self.answer(&["--list-plugins"]).await?),
        };
        if plugins.is_empty() {
            return Err(CatalogueError::NoPlugins { program: self.scanner.program.display().to_string() });
        }
        let (registry, registry_problem) =
            match catalogue_text::registry(&self.answer(&["registry", "list", "--json"]).await?) {
                Ok(registry) if registry.kinds.is_empty() => {
                    (registry.kinds, Some("the scanner's registry of issues is empty".to_owned()))
                }
                Ok(registry) => {
                    let problem = registry.problem();
                    (registry.kinds, problem)
                }
                Err(fault) => {
                    (BTreeMap::new(), Some(format!("the scanner's registry of issues cannot be read: {fault}")))
                }
            };
        if let Some(problem) = &registry_problem {
            tracing::warn!(program = %self.scanner.program.display(), "{problem}; the severities of issues that were not read are unknown");
        }
        let mut settings = settings_text::settings(&self.answer(&["config", "schema"]).await?);
        if settings.is_none() && self.scanner.kind == ScannerKind::Kast {
            settings = settings_text::settings(&self.answer(&["--config-schema"]).await?);
        }
        Ok(Catalogue { scanner, plugins, registry, registry_problem, settings })
    }

    /// Returns the scanner's output for `args`, whatever its exit code: only the parser decides
    /// whether it is usable.
    async fn answer(&self, args: &[&str]) -> Result<String, CatalogueError> {
        let names = || (self.scanner.program.display().to_string(), args.join(" "));
        let run = async {
            let mut command = tokio::process::Command::new(&self.scanner.program);
            command
                .args(&self.scanner.leading)
                .args(args)
                .env_clear()
                .envs(self.environment.iter().map(|(name, value)| (name, value)));
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
            let mut child = command.spawn_as_before()?;
            let mut bytes = Vec::new();
            if let Some(stdout) = child.stdout.take() {
                stdout.take(MOST_ANSWER_BYTES).read_to_end(&mut bytes).await?;
            }
            let _ended = child.wait().await?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        match tokio::time::timeout(ANSWER_LIMIT, run).await {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(source)) => {
                let (program, args) = names();
                Err(CatalogueError::Run { program, args, source })
            }
            Err(_) => {
                let (program, args) = names();
                Err(CatalogueError::Late { program, args })
            }
        }
    }
}

fn identity(scanner: &ScannerCommand) -> Option<(i64, u64)> {
    let metadata = std::fs::metadata(&scanner.program).ok()?;
    Some((metadata.mtime(), metadata.size()))
}

fn load(file: &Path, scanner: &ScannerCommand) -> Option<Catalogue> {
    let stored: Stored = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let same = stored.format == FORMAT
        && stored.program == scanner.program
        && identity(scanner) == Some((stored.modified, stored.size))
        && stored.catalogue.scanner.kind == scanner.kind;
    same.then_some(stored.catalogue)
}

fn store(file: &Path, scanner: &ScannerCommand, catalogue: &Catalogue) -> std::io::Result<()> {
    if catalogue.registry_problem.is_some() {
        // The unreadable part may be readable at the next start. An older copy may belong to
        // another version of the scanner, so it is removed too.
        return match std::fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let Some((modified, size)) = identity(scanner) else { return Ok(()) };
    let stored =
        Stored { format: FORMAT, program: scanner.program.clone(), modified, size, catalogue: catalogue.clone() };
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let fresh = file.with_extension(OsStr::new("json.new"));
    std::fs::write(&fresh, serde_json::to_vec(&stored)?)?;
    std::fs::rename(fresh, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_catalogue_is_valid_for_one_program_only() {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("kast");
        std::fs::write(&program, "one").unwrap();
        let scanner = ScannerCommand::kast(&program);
        let file = root.path().join("cache").join(FILE_NAME);
        store(&file, &scanner, &Catalogue::default()).unwrap();
        assert_eq!(load(&file, &scanner), Some(Catalogue::default()));
        assert_eq!(load(&file, &ScannerCommand::builtin(&program)), None);
        assert_eq!(load(&file, &ScannerCommand::kast(&file)), None);
        let broken = Catalogue { registry_problem: Some("it is truncated".into()), ..Catalogue::default() };
        store(&file, &scanner, &broken).unwrap();
        assert!(!file.exists(), "a catalogue without its registry is not kept");
        store(&file, &scanner, &broken).unwrap();
        store(&file, &scanner, &Catalogue::default()).unwrap();
        std::fs::write(&program, "another").unwrap();
        assert_eq!(load(&file, &scanner), None);
        std::fs::write(&file, "{").unwrap();
        assert_eq!(load(&file, &scanner), None);
    }
}
