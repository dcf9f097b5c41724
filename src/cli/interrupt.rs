//! Counts the signals SIGINT (Ctrl-C), SIGTERM and SIGHUP.

use tokio::sync::mpsc;

/// A receiver of the user's interrupts.
#[derive(Debug)]
pub struct Interrupts(mpsc::Receiver<()>);

impl Interrupts {
    /// Returns the interrupts of this process. From now on, the signals do not end the process by
    /// themselves.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    #[cfg(unix)]
    pub fn of_process() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        // A closed terminal is an interrupt, unless the parent (`nohup`) made the process ignore
        // SIGHUP.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mut hangup = if is_ignored(&status, SignalKind::hangup().as_raw_value()) {
            None
        } else {
            Some(signal(SignalKind::hangup())?)
        };
        let (sender, receiver) = mpsc::channel(4);
        tokio::spawn(async move {
            loop {
                let hung_up = async {
                    match &mut hangup {
                        Some(hangup) => hangup.recv().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hung_up => {}
                }
                // More than two interrupts at once mean the same as two.
                let _ = sender.try_send(());
            }
        });
        Ok(Self(receiver))
    }

    /// Returns the interrupts of a channel.
    #[must_use]
    pub const fn from_channel(receiver: mpsc::Receiver<()>) -> Self {
        Self(receiver)
    }

    /// Waits for the next interrupt.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // The sender is closed: no interrupt can arrive any more.
            std::future::pending::<()>().await;
        }
    }
}

/// Installs a handler of SIGXFSZ. A write beyond the file size limit (`RLIMIT_FSIZE`) then fails
/// with EFBIG, which the caller can handle, and does not end the process. Programs that this
/// process starts get the default action of the signal again, because a handler does not survive
/// `exec`.
///
/// # Errors
/// The signal handler cannot be installed.
/// The signal cannot be caught.
#[cfg(unix)]
pub fn let_large_writes_fail() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    // The handler stays installed after the drop; the received signals are not needed.
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}

/// Returns whether a process ignores a signal, according to its `/proc/<pid>/status`: a hexadecimal
/// mask, in which the lowest bit is signal 1.
#[cfg(unix)]
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        for (status, signal, expected) in [
            ("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000001\n", 1, true),
            ("SigIgn:\t0000000000001001\n", 13, true),
            ("SigIgn:\t0000000000001000\n", 1, false),
            ("SigIgn:\tnone\n", 1, false),
            ("", 1, false),
        ] {
            assert_eq!(is_ignored(status, signal), expected, "{status} {signal}");
        }
    }
}
