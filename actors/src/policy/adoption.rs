//! Whether the result of an attempt counts whose end nobody saw: its node died, or the store was
//! away.

use crate::model::{AttemptEnd, Failure, FailureKind, PluginResult, Verdict};
use crate::policy::classify::classify;
use crate::ports::Remains;

/// What becomes of an attempt that nobody runs any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Adoption {
    /// It came to its end: this is its verdict.
    Adopt(Verdict),
    /// It came to its end and nothing was checked: it would come out the same again.
    Fail {
        /// Why nothing was checked.
        failure: Failure,
        /// What is to be seen of it.
        plugins: Vec<PluginResult>,
    },
    /// It does not count, and the scan goes on as after any lost attempt; why.
    Discard(&'static str),
}

/// Decides by what was found of the attempt.
///
/// A result counts only where its files are those of exactly this attempt under exactly this token,
/// where nothing writes to them any more, and where they are whole. What it says is read as of an
/// attempt whose end was seen. A scan whose cancel was asked for has no use for it.
///
/// Scanners write `kast_info.json` at once, after the last plugin has ended. So where it is whole,
/// another attempt is no cure for a plugin's result that cannot be read: that plugin has failed,
/// and the others count.
pub fn adoption(remains: Option<&Remains>, is_cancelled: bool, dry_run: bool) -> Adoption {
    if is_cancelled {
        return Adoption::Discard("a cancel was requested");
    }
    let Some(remains) = remains else { return Adoption::Discard("its files are not on this node") };
    if !remains.is_marked {
        return Adoption::Discard("its folder does not carry its mark");
    }
    if remains.processes > 0 {
        return Adoption::Discard("processes of it are alive");
    }
    match classify(&remains.report, None, dry_run) {
        AttemptEnd::Completed(verdict) => Adoption::Adopt(verdict),
        AttemptEnd::Failed(failure) if failure.kind == FailureKind::NothingChecked => {
            Adoption::Fail { failure, plugins: remains.report.plugins.clone() }
        }
        AttemptEnd::Failed(_) | AttemptEnd::Interrupted { .. } | AttemptEnd::Cancelled => {
            Adoption::Discard("its result is not complete")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PluginResult, PluginStatus};
    use crate::ports::{AttemptReport, ExitKind, InfoFile};

    #[test]
    fn only_the_whole_result_of_exactly_this_attempt_counts() {
        use InfoFile::{Missing, Read};
        let torn = || InfoFile::Unreadable("it is truncated".into());
        for (is_marked, processes, failed, info, is_cancelled, dry_run, adopted) in [
            (true, 0, 0, Read, false, false, true),
            (true, 0, 0, Read, false, true, true),
            (false, 0, 0, Read, false, false, false),
            (true, 1, 0, Read, false, false, false),
            // Every plugin had ended, and one of them left a result that cannot be read: so would
            // the next attempt.
            (true, 0, 1, Read, false, false, true),
            (false, 0, 1, Read, false, false, false),
            (true, 1, 1, Read, false, false, false),
            (true, 0, 0, Missing, false, false, false),
            (true, 0, 1, Missing, false, false, false),
            (true, 0, 0, torn(), false, false, false),
            (true, 0, 1, torn(), false, false, false),
            // A dry run leaves no result, and how it ended is not known.
            (true, 0, 0, Missing, false, true, false),
            (true, 0, 0, Read, true, false, false),
        ] {
            let mut plugins = vec![PluginResult::new("whatweb", PluginStatus::Completed)];
            plugins.extend((0..failed).map(|at| PluginResult::new(format!("torn-{at}"), PluginStatus::Failed)));
            let report = AttemptReport {
                exit: ExitKind::Unknown,
                info,
                plugins: plugins.clone(),
                last_words: String::new(),
                notes: vec![],
            };
            let remains = Remains { is_marked, processes, report };
            let decided = adoption(Some(&remains), is_cancelled, dry_run);
            let verdict = Adoption::Adopt(Verdict { plugins, dry_run });
            assert_eq!(decided == verdict, adopted, "{remains:?} {is_cancelled} {dry_run}: {decided:?}");
        }
        assert!(matches!(adoption(None, false, false), Adoption::Discard(_)));
    }

    #[test]
    fn an_attempt_that_checked_nothing_fails_and_is_not_repeated() {
        let plugins = vec![
            PluginResult::new("whatweb", PluginStatus::Failed),
            PluginResult::new("testssl", PluginStatus::Unavailable),
        ];
        let remains = |info| {
            let report = AttemptReport {
                exit: ExitKind::Unknown,
                info,
                plugins: plugins.clone(),
                last_words: String::new(),
                notes: vec![],
            };
            Remains { is_marked: true, processes: 0, report }
        };
        let Adoption::Fail { failure, plugins: kept } = adoption(Some(&remains(InfoFile::Read)), false, false) else {
            panic!("it ended")
        };
        assert_eq!((failure.kind, kept), (FailureKind::NothingChecked, plugins.clone()));
        assert!(
            matches!(adoption(Some(&remains(InfoFile::Read)), true, false), Adoption::Discard(_)),
            "a cancel was requested"
        );
        assert!(matches!(adoption(Some(&remains(InfoFile::Missing)), false, false), Adoption::Discard(_)));
    }
}
