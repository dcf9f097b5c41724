//! The output of a running scan, on stdout and in the log file.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock;

/// The destination of the lines. A clone is cheap. Lines of parallel plugins do not mix.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    verbose: bool,
    stdout: bool,
    file: Option<Mutex<File>>,
}

impl Journal {
    /// Opens the journal on stdout, and on `kastrel-scanner.log` in `folder` if one is given.
    ///
    /// # Errors
    /// Returns the file system error if the folder or the file cannot be created.
    pub fn open(folder: Option<&Path>, verbose: bool) -> io::Result<Self> {
        let file = match folder {
            Some(folder) => {
                std::fs::create_dir_all(folder)?;
                Some(Mutex::new(File::options().create(true).append(true).open(folder.join("kastrel-scanner.log"))?))
            }
            None => None,
        };
        Ok(Self(Arc::new(Inner { verbose, stdout: true, file })))
    }

    /// Returns a journal that prints nothing, for tests.
    #[must_use]
    pub fn silent() -> Self {
        Self(Arc::new(Inner { verbose: false, stdout: false, file: None }))
    }

    /// Writes a line that is always shown.
    pub fn info(&self, text: &str) {
        self.line("INFO", text);
    }

    /// Writes a warning.
    pub fn warn(&self, text: &str) {
        self.line("WARNING", text);
    }

    /// Writes a line that is shown in verbose mode only.
    pub fn debug(&self, text: &str) {
        if self.0.verbose {
            self.line("DEBUG", text);
        }
    }

    fn line(&self, level: &str, text: &str) {
        // The text of a site must not be able to forge a line or move the cursor of a terminal.
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let line = format!("[{}] {level:<8} {clean}\n", clock::now().strftime("%H:%M:%S"));
        // A closed pipe, or a full disk under the log, does not stop a scan.
        if self.0.stdout {
            let mut out = io::stdout().lock();
            let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        }
        if let Some(file) = &self.0.file {
            let _ = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
        }
    }
}
