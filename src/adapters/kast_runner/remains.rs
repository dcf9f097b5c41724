//! The remains of an attempt whose end was not observed, and the mark that identifies its folder.
//!
//! The mark is written into the new folder before the scanner starts. It has the attempt's number
//! and the marker of its processes, which contains the data folder, the scan, the token and the
//! run. The run's id is random, so a file of a scanner does not match by accident.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use kastrel_actors::model::{AttemptNumber, AttemptReport, ExitKind, FencingToken, Remains, ScanId};

use super::catalogue::Catalogue;
use super::folder;
use super::hunt::Criterion;
use super::observer::{Conclusion, Observer};
use super::progress::Expected;
use super::verdict::Unsure;
use super::{result_file, run, sweep};
use crate::ports::{AttemptPaths, MARK_NAME};

/// The maximum number of bytes of a mark that are read.
const MOST_MARK_BYTES: u64 = 1024;

/// The attempt that is searched, and its data folder.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) data_dir_id: String,
    pub(super) scan: ScanId,
    pub(super) attempt: AttemptNumber,
    pub(super) token: FencingToken,
}

impl Wanted {
    /// Returns true if a folder has the mark of this attempt, made in any run on the data folder.
    pub(super) fn has_marked(&self, dir: &OwnedFd) -> bool {
        result_file::read(dir, MARK_NAME, MOST_MARK_BYTES).is_ok_and(|mark| self.is_named_by(&mark))
    }

    /// Returns true if a mark belongs to this attempt, in any run on the data folder.
    fn is_named_by(&self, mark: &str) -> bool {
        let beginning =
            format!("{}{}", line_start(self.attempt), run::marker_start(&self.data_dir_id, self.scan, self.token));
        let run = mark.strip_prefix(&beginning).and_then(|rest| rest.strip_suffix('\n'));
        run.is_some_and(run::is_id)
    }
}

/// The text of an attempt's mark; `marker` is that of its processes.
pub(super) fn mark(attempt: AttemptNumber, marker: &str) -> String {
    format!("{}{marker}\n", line_start(attempt))
}

fn line_start(attempt: AttemptNumber) -> String {
    format!("kastrel attempt {attempt} ")
}

/// Reads the remains. Also returns the plugins that count as completed only if the target responds.
/// Returns `None` if there is no folder. Blocks.
pub(super) fn look(
    results: &Path,
    paths: &AttemptPaths,
    wanted: &Wanted,
    catalogue: Option<Arc<Catalogue>>,
    expected: Expected,
) -> Option<(Remains, Vec<Unsure>)> {
    let dir = folder::open(results, paths).ok()?;
    let is_marked = wanted.has_marked(&dir);
    let Conclusion { info, plugins, notes, unsure } =
        Observer::new(dir, catalogue, expected).conclude(&TimeZone::system(), &BTreeSet::new());
    let of_attempt = run::marker_start(&wanted.data_dir_id, wanted.scan, wanted.token);
    let processes = sweep::count(Criterion::AttemptOfAnyRun(of_attempt));
    if is_marked && processes == 0 {
        // The keeper may have been killed too, before it made the folder private again.
        folder::take_back(&paths.attempt_dir, true);
    }
    let report = AttemptReport { exit: ExitKind::Unknown, info, plugins, last_words: String::new(), notes };
    Some((Remains { is_marked, processes, report }, unsure))
}

#[cfg(test)]
mod tests {
    use super::super::run::Run;
    use super::*;

    #[test]
    fn mark_identifies_one_attempt_of_one_data_folder() {
        let wanted = |data: &str, scan, attempt, token| Wanted {
            data_dir_id: data.into(),
            scan: ScanId(scan),
            attempt: AttemptNumber(attempt),
            token: FencingToken(token),
        };
        let text = mark(AttemptNumber(2), &Run::new("d1").marker(ScanId(7), FencingToken(3)));
        for (data, scan, attempt, token, is_named) in [
            ("d1", 7, 2, 3, true),
            ("d1", 7, 1, 3, false),
            ("d1", 7, 2, 30, false),
            ("d1", 7, 2, 2, false),
            ("d1", 70, 2, 3, false),
            ("d", 7, 2, 3, false),
            ("d11", 7, 2, 3, false),
        ] {
            assert_eq!(
                wanted(data, scan, attempt, token).is_named_by(&text),
                is_named,
                "{data} {scan} {attempt} {token}"
            );
        }
        let own = wanted("d1", 7, 2, 3);
        for spoilt in [
            &text[..text.len() - 1],
            &text[..text.len() - 2],
            "",
            &text.replace('\n', "x\n"),
            &format!("{text}{text}"),
            &format!(" {text}"),
        ] {
            assert!(!own.is_named_by(spoilt), "{spoilt:?}");
        }
    }
}
