//! The lines that a scan prints while it runs, on stdout and in the log file.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock;

/// Where the lines go. Cheap to clone; lines of parallel plugins stay whole.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    verbose: bool,
    stdout: bool,
    file: Option<Mutex<File>>,
}

impl Journal {
    /// Prints to stdout, and to `kastrel-scanner.log` in `folder` where one is given.
    ///
    /// # Errors
    /// The error of the file system, when the folder or the file cannot be made.
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

    /// Prints nothing. For tests.
    #[must_use]
    pub fn silent() -> Self {
        Self(Arc::new(Inner { verbose: false, stdout: false, file: None }))
    }

    /// A line that is always shown.
    pub fn info(&self, text: &str) {
        self.line("INFO", text);
    }

    /// A line about something that needs attention.
    pub fn warn(&self, text: &str) {
        self.line("WARNING", text);
    }

    /// A line for those who asked for more.
    pub fn debug(&self, text: &str) {
        if self.0.verbose {
            self.line("DEBUG", text);
        }
    }

    fn line(&self, level: &str, text: &str) {
        // A site's text must not be able to forge a line or move the cursor of a terminal.
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let line = format!("[{}] {level:<8} {clean}\n", clock::now().strftime("%H:%M:%S"));
        // A reader that went away, or a full disk under the log, is no reason to stop a scan.
        if self.0.stdout {
            let mut out = io::stdout().lock();
            let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        }
        if let Some(file) = &self.0.file {
            let _ = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
        }
    }
}
