//! Records the scanner's output. A task drains both pipes continuously, writes the beginning to a
//! file and keeps the end in memory. Both have a size limit.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::redactor::Redactor;
use super::text::clean;

/// The size of the tail of each stream, in bytes.
const TAIL_BYTES: usize = 8 << 10;
/// The size of one read: the usual capacity of a pipe.
const CHUNK_BYTES: usize = 64 << 10;
/// After this number of consecutive chunks, the task yields to others.
const CHUNKS_IN_A_ROW: u32 = 16;
/// The limits of the last words: the number of lines, and the characters of each.
const LAST_LINES: usize = 20;
const LAST_LINE_CHARS: usize = 300;

/// The end of a stream, as raw bytes.
#[derive(Debug, Default)]
struct Tail {
    bytes: Vec<u8>,
    cut: bool,
}

impl Tail {
    fn push(&mut self, chunk: &[u8]) {
        let chunk = &chunk[chunk.len().saturating_sub(TAIL_BYTES)..];
        let surplus = (self.bytes.len() + chunk.len()).saturating_sub(TAIL_BYTES);
        if surplus > 0 {
            self.cut = true;
            self.bytes.drain(..surplus.min(self.bytes.len()));
        }
        self.bytes.extend_from_slice(chunk);
    }

    /// The last lines that are not empty, oldest first.
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        // A line without its beginning is misleading, so it is skipped, unless it is the only one.
        let whole = if self.cut { text.split_once('\n').map_or(&*text, |(_, rest)| rest) } else { &text };
        let mut lines: Vec<String> = whole
            .lines()
            .rev()
            .map(|line| clean(line, LAST_LINE_CHARS))
            .filter(|line| !line.is_empty())
            .take(LAST_LINES)
            .collect();
        lines.reverse();
        lines
    }
}

/// The readable end of the output: that of standard error if it has any text, otherwise that of
/// standard output.
fn last_words(stdout: &Tail, stderr: &Tail) -> String {
    let errors = stderr.lines();
    if errors.is_empty() { stdout.lines() } else { errors }.join("\n")
}

/// The log file, which receives the beginning of the output.
struct CappedLog {
    file: tokio::fs::File,
    left: u64,
    cap: u64,
    state: LogState,
}

enum LogState {
    Writing,
    Cut,
    Failed(io::Error),
}

impl CappedLog {
    async fn write(&mut self, chunk: &[u8]) {
        if !matches!(self.state, LogState::Writing) {
            return;
        }
        let fits = usize::try_from(self.left).unwrap_or(usize::MAX).min(chunk.len());
        let mut result = self.file.write_all(&chunk[..fits]).await;
        self.left -= fits as u64;
        if fits < chunk.len() {
            self.state = LogState::Cut;
            let notice = format!(
                "\n[kastrel] the log is cut here: it reached its limit of {} bytes; further output of the scanner is not recorded\n",
                self.cap
            );
            result = match result {
                Ok(()) => self.file.write_all(notice.as_bytes()).await,
                failed => failed,
            };
        }
        if let Err(error) = result {
            self.state = LogState::Failed(error);
        }
    }
}

/// The summary of the output after the scanner has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OutputEnd {
    pub(super) last_words: String,
    pub(super) notes: Vec<String>,
}

/// The task that drains both pipes.
#[derive(Debug)]
pub(super) struct Output {
    task: JoinHandle<Option<String>>,
    tails: Arc<[Mutex<Tail>; 2]>,
}

impl Output {
    /// Starts to drain the pipes. `activity` is notified of every chunk. `secrets` are removed from
    /// the output before it is recorded.
    pub(super) fn drain(
        stdout: OwnedFd,
        stderr: OwnedFd,
        log: std::fs::File,
        cap: u64,
        activity: Arc<Notify>,
        secrets: &Arc<[String]>,
    ) -> io::Result<Self> {
        let pipe = |end| Ok::<_, io::Error>((Receiver::from_owned_fd(end)?, Redactor::new(Arc::clone(secrets))));
        let pipes = [pipe(stdout)?, pipe(stderr)?];
        let tails: Arc<[Mutex<Tail>; 2]> = Arc::default();
        let mut file = tokio::fs::File::from_std(log);
        file.set_max_buf_size(CHUNK_BYTES);
        let log = CappedLog { file, left: cap, cap, state: LogState::Writing };
        let task = tokio::spawn(drain(pipes, Arc::clone(&tails), log, activity));
        Ok(Self { task, tails })
    }

    /// Waits until both pipes are at their end, at most for `limit`. A pipe that is still open is
    /// held by a process that could not be found.
    pub(super) async fn finish(mut self, limit: std::time::Duration) -> OutputEnd {
        let mut notes = Vec::new();
        match tokio::time::timeout(limit, &mut self.task).await {
            Ok(Ok(note)) => notes.extend(note),
            Ok(Err(error)) => notes.push(format!("recording the scanner's output ended early: {error}")),
            Err(_) => {
                self.task.abort();
                notes.push("an output pipe of the scanner was still open after all of its processes that could be found were gone".into());
            }
        }
        let [stdout, stderr] = self.tails.each_ref().map(|tail| tail.lock().unwrap_or_else(PoisonError::into_inner));
        OutputEnd { last_words: last_words(&stdout, &stderr), notes }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn drain(
    pipes: [(Receiver, Redactor); 2],
    tails: Arc<[Mutex<Tail>; 2]>,
    mut log: CappedLog,
    activity: Arc<Notify>,
) -> Option<String> {
    let [stdout, stderr] = pipes;
    let (mut stdout, mut stderr) = (Some(stdout), Some(stderr));
    loop {
        let (index, pipe) = tokio::select! {
            ready = readable(stdout.as_ref()), if stdout.is_some() => (0, ready.map(|()| &mut stdout)),
            ready = readable(stderr.as_ref()), if stderr.is_some() => (1, ready.map(|()| &mut stderr)),
            else => break,
        };
        let Ok(pipe) = pipe else { break };
        if drain_burst(pipe, &tails[index], &mut log, &activity).await {
            *pipe = None;
        }
        // Yields, so that a flood of output does not monopolize the thread.
        tokio::task::yield_now().await;
    }
    let flushed = log.file.flush().await;
    match (log.state, flushed) {
        (LogState::Writing, Ok(())) => None,
        (LogState::Cut, Ok(())) => {
            Some(format!("the scanner wrote more than {} bytes of output; the rest was not recorded", log.cap))
        }
        (LogState::Failed(error), _) | (_, Err(error)) => {
            Some(format!("the scanner's output could not be recorded: {error}"))
        }
    }
}

async fn readable(pipe: Option<&(Receiver, Redactor)>) -> io::Result<()> {
    match pipe {
        Some((pipe, _)) => pipe.readable().await,
        None => std::future::pending().await,
    }
}

/// Reads the available bytes, up to a limit. Returns true if the pipe is at its end. The buffer is
/// local, so idle attempts use no memory for it.
async fn drain_burst(
    pipe: &mut Option<(Receiver, Redactor)>,
    tail: &Mutex<Tail>,
    log: &mut CappedLog,
    activity: &Notify,
) -> bool {
    let Some((pipe, redactor)) = pipe else { return true };
    let mut buffer = vec![0; CHUNK_BYTES];
    for _ in 0..CHUNKS_IN_A_ROW {
        let (length, is_end) = match pipe.try_read(&mut buffer) {
            Ok(0) => (0, true),
            Ok(length) => (length, false),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => (0, true),
        };
        let chunk = redactor.pass(&buffer[..length], is_end);
        if !chunk.is_empty() {
            tail.lock().unwrap_or_else(PoisonError::into_inner).push(&chunk);
            log.write(&chunk).await;
        }
        if is_end {
            return true;
        }
        activity.notify_one();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn tail(chunks: &[&[u8]]) -> Tail {
        let mut tail = Tail::default();
        for chunk in chunks {
            tail.push(chunk);
        }
        tail
    }

    #[test]
    fn tail_is_bounded_for_any_input() {
        let mut tail = Tail::default();
        for _ in 0..100 {
            tail.push(&[b'x'; 1000]);
            assert!(tail.bytes.len() <= TAIL_BYTES);
        }
        tail.push(&vec![b'y'; 1 << 20]);
        assert_eq!((tail.bytes.len(), tail.bytes[0]), (TAIL_BYTES, b'y'));
    }

    #[test]
    fn last_words_are_printable_and_prefer_errors() {
        let errors =
            tail(&[b"Traceback (most recent call last):\n  File\n", b"ValueError: \x1b[31mno\x1b[0m \xff\n\n"]);
        assert_eq!(
            last_words(&tail(&[b"INFO fine\n"]), &errors),
            "Traceback (most recent call last):\nFile\nValueError: no \u{fffd}"
        );
        assert_eq!(last_words(&tail(&[b"only this\r\n"]), &tail(&[b" \n\n"])), "only this");
        let many: String = (0..5000).map(|n| format!("line {n}\n")).collect();
        let lines = tail(&[many.as_bytes()]).lines();
        assert_eq!((lines.len(), lines[19].as_str()), (20, "line 4999"));
        assert_eq!(tail(&[&vec![b'x'; 1 << 20]]).lines()[0].chars().count(), LAST_LINE_CHARS);
    }

    #[tokio::test]
    async fn log_keeps_the_beginning_and_notes_where_it_is_cut() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("log");
        let (out, mut out_writer) = io::pipe().unwrap();
        let (err, err_writer) = io::pipe().unwrap();
        let activity = Arc::new(Notify::new());
        let output = Output::drain(
            out.into(),
            err.into(),
            std::fs::File::create(&path).unwrap(),
            10,
            Arc::clone(&activity),
            &Arc::default(),
        )
        .unwrap();
        out_writer.write_all(b"0123456789abcdef\nlast\n").unwrap();
        activity.notified().await;
        drop((out_writer, err_writer));
        let end = output.finish(std::time::Duration::from_secs(5)).await;
        assert_eq!(end.last_words, "0123456789abcdef\nlast");
        assert!(end.notes[0].contains("more than 10 bytes"), "{:?}", end.notes);
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.starts_with("0123456789\n[kastrel] the log is cut here"), "{text}");
    }

    #[tokio::test]
    async fn secrets_are_removed_from_log_and_last_words() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let (out, mut out_writer) = io::pipe().unwrap();
        let (err, mut err_writer) = io::pipe().unwrap();
        let secrets: Arc<[String]> = ["hunter2".to_owned()].into();
        let output =
            Output::drain(out.into(), err.into(), log.reopen().unwrap(), 1 << 20, Arc::default(), &secrets).unwrap();
        out_writer.write_all(b"using key hun").unwrap();
        out_writer.write_all(b"ter2 now\n").unwrap();
        err_writer.write_all(b"refused: hunter2").unwrap();
        drop((out_writer, err_writer));
        let end = output.finish(std::time::Duration::from_secs(5)).await;
        let text = std::fs::read_to_string(log.path()).unwrap();
        assert!(
            !text.contains("hunter2") && text.contains("using key •••••• now") && end.last_words == "refused: ••••••",
            "{text} {end:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn pipe_that_stays_open_gives_a_note() {
        let (out, _out_writer) = io::pipe().unwrap();
        let (err, _err_writer) = io::pipe().unwrap();
        let output =
            Output::drain(out.into(), err.into(), tempfile::tempfile().unwrap(), 10, Arc::default(), &Arc::default())
                .unwrap();
        let end = output.finish(std::time::Duration::from_secs(2)).await;
        assert!(end.notes[0].contains("still open"), "{:?}", end.notes);
    }
}
