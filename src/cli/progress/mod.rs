//! Shows the progress of a scan: bars on a terminal, otherwise a line for each change.

mod bars;
mod changes;

use jiff::Timestamp;

use super::output::Output;
use super::view::ScanView;

pub use bars::Bars;
pub use changes::lines;

/// The progress display of one scan.
#[derive(Debug)]
pub enum Progress {
    /// Moving bars.
    Bars(Bars),
    /// Lines with the changes since the last shown view.
    Lines(Option<Box<ScanView>>),
}

impl Progress {
    /// Returns the kind of display that fits the output.
    #[must_use]
    pub fn new(output: &Output) -> Self {
        if output.style.bars { Self::Bars(Bars::new()) } else { Self::Lines(None) }
    }

    /// Shows the current state of the scan.
    pub fn show(&mut self, scan: &ScanView, output: &mut Output) {
        #[expect(clippy::disallowed_methods, reason = "the time of the terminal, for people; nothing is decided by it")]
        let now = Timestamp::now();
        match self {
            Self::Bars(bars) => bars.show(scan, now),
            Self::Lines(last) => {
                for line in lines(last.as_deref(), scan, now) {
                    output.note(&line);
                }
                *last = Some(Box::new(scan.clone()));
            }
        }
    }

    /// Prints a message that is not part of the scan's state.
    pub fn say(&self, text: &str, output: &mut Output) {
        match self {
            Self::Bars(bars) => bars.say(text),
            Self::Lines(_) => output.note(text),
        }
    }

    /// Removes the bars; the summary replaces them.
    pub fn end(&self) {
        if let Self::Bars(bars) = self {
            bars.end();
        }
    }
}
