//! Shows a scan while it runs: bars on a terminal, a line per change elsewhere.

mod bars;
mod changes;

use jiff::Timestamp;

use super::output::Output;
use super::view::ScanView;

pub use bars::Bars;
pub use changes::lines;

/// Shows each view of one scan.
#[derive(Debug)]
pub enum Progress {
    /// Moving bars.
    Bars(Bars),
    /// Lines, of what changed since the view that was shown last.
    Lines(Option<Box<ScanView>>),
}

impl Progress {
    /// The kind that fits the output.
    #[must_use]
    pub fn new(output: &Output) -> Self {
        if output.style.bars { Self::Bars(Bars::new()) } else { Self::Lines(None) }
    }

    /// Shows the scan as it is now.
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

    /// Says something beside the scan's state.
    pub fn say(&self, text: &str, output: &mut Output) {
        match self {
            Self::Bars(bars) => bars.say(text),
            Self::Lines(_) => output.note(text),
        }
    }

    /// Takes the bars away; the summary says it all.
    pub fn end(&self) {
        if let Self::Bars(bars) = self {
            bars.end();
        }
    }
}
