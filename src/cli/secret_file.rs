//! Reads secrets from files, so that they are in no list of processes.

use std::fs::File;
use std::io::{self, Read as _};

use super::error::CliError;
use super::interrupt::Interrupts;
use crate::api_types::SecretText;

/// The largest secret that is read, in bytes. A longer one is refused later.
const MOST: u64 = 64 << 10;

/// Reads a secret from a file, or from the standard input if its name is `-`.
///
/// # Errors
/// The file cannot be read, or is not text.
pub(super) fn read(file: &str) -> io::Result<String> {
    let mut text = String::new();
    if file == "-" {
        io::stdin().take(MOST).read_to_string(&mut text)?;
    } else {
        File::open(file)?.take(MOST).read_to_string(&mut text)?;
    }
    Ok(text)
}

/// Runs `work`, which reads secrets, on a separate thread. The end of the command does not wait for
/// it: a pipe may never provide data.
///
/// # Errors
/// The thread cannot be started, or panicked.
pub(super) async fn on_own_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, read) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("secrets".into()).spawn(move || sender.send(work()))?;
    read.await.map_err(|_| io::Error::other("the reading of a secret ended early"))
}

/// Reads the password of `--password-file`, without the end of its line. Returns `None` if the user
/// interrupted it.
///
/// # Errors
/// The file cannot be read, or is not text.
pub(super) async fn password(file: &str, interrupts: &mut Interrupts) -> Result<Option<SecretText>, CliError> {
    let file = file.to_owned();
    let text = tokio::select! {
        text = on_own_thread(move || read(&file)) => text?,
        () = interrupts.next() => return Ok(None),
    };
    // The name of the file is not repeated: people put the password in its place.
    let text = text.map_err(|error| {
        CliError::Usage(format!("--password-file: failed to read the file that is named there: {error}"))
    })?;
    Ok(Some(SecretText::new(text.trim_end_matches(['\r', '\n']))))
}
