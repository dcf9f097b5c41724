//! Ctrl-C, SIGTERM and SIGHUP, counted.

use tokio::sync::mpsc;

/// The user's wish to stop, each time it is expressed.
#[derive(Debug)]
pub struct Interrupts(mpsc::Receiver<()>);

impl Interrupts {
    /// Those of this process. From now on signals do not end it by themselves.
    ///
    /// # Errors
    /// The signals cannot be caught.
    #[cfg(unix)]
    pub fn of_process() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        // A terminal that goes away is a wish to stop, unless whoever started the program (`nohup`)
        // had it ignored.
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
                // More than a few at once say no more than two.
                let _ = sender.try_send(());
            }
        });
        Ok(Self(receiver))
    }

    /// Those of a sender.
    #[must_use]
    pub const fn from_channel(receiver: mpsc::Receiver<()>) -> Self {
        Self(receiver)
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // Nobody can interrupt any more.
            std::future::pending::<()>().await;
        }
    }
}

/// From now on a write beyond the limit of a file's size (`RLIMIT_FSIZE`) fails with EFBIG, which
/// the caller can handle, and does not end the process by SIGXFSZ. Programs that this process
/// starts have the signal's default again, because a handler does not outlive `exec`.
///
/// # Errors
/// The signal cannot be caught.
#[cfg(unix)]
pub fn let_large_writes_fail() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    // The handler stays when this is dropped; what it counts is not needed.
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}

/// Whether a process ignores a signal, by what `/proc/<pid>/status` says of it: a mask in
/// hexadecimal, in which the lowest bit is signal 1.
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
