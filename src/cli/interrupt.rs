//! Ctrl-C and SIGTERM, counted.

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
        let mut kinds = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        let (sender, receiver) = mpsc::channel(4);
        tokio::spawn(async move {
            let [interrupt, terminate] = &mut kinds;
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
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
