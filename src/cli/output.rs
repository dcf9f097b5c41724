//! The output of commands: results go to one stream, progress and errors to the other. If a reader
//! closes its stream, the output is dropped, and the command continues.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write};

use serde::Serialize;

/// The style of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether results may be coloured.
    pub colour: bool,
    /// Whether progress may be shown as moving bars.
    pub bars: bool,
    /// The width of the terminal in columns; `None` without a terminal.
    pub width: Option<u16>,
}

impl Style {
    /// Plain text.
    pub const PLAIN: Self = Self { colour: false, bars: false, width: None };

    /// Decides by the streams and by the user's settings: <https://no-color.org> and
    /// <https://bixense.com/clicolors/>.
    #[must_use]
    pub fn decide(
        env: &BTreeMap<String, String>,
        out_is_terminal: bool,
        err_is_terminal: bool,
        width: Option<u16>,
    ) -> Self {
        let set = |name: &str| env.get(name).is_some_and(|value| !value.is_empty());
        let forced = env.get("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0");
        let dumb = env.get("TERM").is_some_and(|term| term == "dumb");
        let refused =
            set("NO_COLOR") || (dumb && !forced) || (env.get("CLICOLOR").is_some_and(|value| value == "0") && !forced);
        Self {
            colour: !refused && (out_is_terminal || forced),
            bars: !refused && !dumb && err_is_terminal,
            width: if out_is_terminal { width } else { None },
        }
    }
}

/// The output of a command. See the module documentation.
pub struct Output {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// The style of the output.
    pub style: Style,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("style", &self.style).finish_non_exhaustive()
    }
}

impl Output {
    /// Returns the output to the standard streams of this process.
    #[must_use]
    pub fn standard(env: &BTreeMap<String, String>) -> Self {
        let width = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col).filter(|width| *width > 0);
        let style = Style::decide(env, io::stdout().is_terminal(), io::stderr().is_terminal(), width);
        Self::new(Box::new(io::stdout()), Box::new(io::stderr()), style)
    }

    /// Returns the output to two given streams.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, style: Style) -> Self {
        Self { out, err, style }
    }

    /// Writes a line of the result.
    ///
    /// # Errors
    /// The stream cannot be written. A closed reader is not an error.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        write_line(&mut self.out, text)
    }

    /// Writes a part of a result as it is.
    ///
    /// # Errors
    /// The errors of [`line`](Self::line).
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.out.write_all(bytes).and_then(|()| self.out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Writes a line of progress, hints or errors. If the stream is closed, the line is lost.
    pub fn note(&mut self, text: &str) {
        let _ = write_line(&mut self.err, text);
    }

    /// Writes a result as JSON.
    ///
    /// # Errors
    /// The errors of [`line`](Self::line).
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        self.line(&text)
    }
}

fn write_line(stream: &mut Box<dyn Write + Send>, text: &str) -> io::Result<()> {
    let written =
        stream.write_all(text.as_bytes()).and_then(|()| stream.write_all(b"\n")).and_then(|()| stream.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A stream whose content a test can read.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns an output, its results and its notes.
    pub(crate) fn captured() -> (Output, Captured, Captured) {
        let (out, err) = (Captured::default(), Captured::default());
        (Output::new(Box::new(out.clone()), Box::new(err.clone()), Style::PLAIN), out, err)
    }

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn closed_reader_is_not_an_error() {
        let output = |kind| Output::new(Box::new(Failing(kind)), Box::new(Failing(kind)), Style::PLAIN);
        assert!(output(io::ErrorKind::BrokenPipe).line("x").is_ok());
        assert!(output(io::ErrorKind::StorageFull).line("x").is_err());
        output(io::ErrorKind::BrokenPipe).note("x");
    }

    #[test]
    fn user_settings_decide_about_colour() {
        for (vars, out, err, colour, bars) in [
            (&[][..], true, true, true, true),
            (&[], false, false, false, false),
            (&[], false, true, false, true),
            (&[("NO_COLOR", "1")], true, true, false, false),
            (&[("NO_COLOR", "")], true, true, true, true),
            (&[("CLICOLOR_FORCE", "1")], false, false, true, false),
            (&[("CLICOLOR_FORCE", "0")], false, false, false, false),
            (&[("CLICOLOR", "0")], true, true, false, false),
            (&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true, true, false, false),
            (&[("TERM", "dumb")], true, true, false, false),
        ] {
            let env = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(
                Style::decide(&env, out, err, None),
                Style { colour, bars, width: None },
                "{vars:?} {out} {err}"
            );
        }
    }
}
