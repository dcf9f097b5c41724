//! Adoption: whether the result of an attempt counts if no process observed its end, because its
//! node died or the store was unavailable.

use crate::model::{AttemptEnd, Failure, FailureKind, PluginResult, Remains, Verdict};
use crate::policy::classify::classify;
use crate::policy::resume::merge;

/// The decision about an attempt that no process supervises any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Adoption {
    /// The attempt ran to its end; holds its verdict.
    Adopt(Verdict),
    /// The attempt ran to its end and checked nothing. A retry would have the same result.
    Fail {
        /// The reason why nothing was checked.
        failure: Failure,
        /// The plugins of the attempt.
        plugins: Vec<PluginResult>,
    },
    /// The attempt does not count, and the scan continues as after any lost attempt. Holds the
    /// reason.
    Discard(&'static str),
}

/// Decides by what is left of the attempt.
///
/// A result counts only if its files are those of exactly this attempt under exactly this token, if
/// no process writes to them any more, and if they are complete. It is then classified like that of
/// an attempt whose end was observed. A scan with a requested cancel needs no result.
///
/// Scanners write `kast_info.json` in one step, after the last plugin has ended. If that file is
/// complete, a retry does not help against an unreadable result of one plugin: that plugin has
/// failed, and the others count.
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

impl Adoption {
    /// Returns the decision about a scan that has the results `kept` of earlier attempts: an
    /// attempt that ran to its end completes the scan with them, even if it checked nothing itself.
    pub fn with_kept(self, kept: &[PluginResult]) -> Self {
        match self {
            Self::Adopt(verdict) => Self::Adopt(Verdict { plugins: merge(kept, verdict.plugins), ..verdict }),
            Self::Fail { plugins, .. } if !kept.is_empty() => {
                Self::Adopt(Verdict { plugins: merge(kept, plugins), dry_run: false })
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AttemptReport, ExitKind, InfoFile};
    use crate::model::{PluginResult, PluginStatus};

    #[test]
    fn only_a_complete_result_of_exactly_this_attempt_counts() {
        use InfoFile::{Missing, Read};
        let torn = || InfoFile::Unreadable("it is truncated".into());
        for (is_marked, processes, failed, info, is_cancelled, dry_run, adopted) in [
            (true, 0, 0, Read, false, false, true),
            (true, 0, 0, Read, false, true, true),
            (false, 0, 0, Read, false, false, false),
            (true, 1, 0, Read, false, false, false),
            // Every plugin had ended, and one of them left an unreadable result. A retry would have
            // the same result.
            (true, 0, 1, Read, false, false, true),
            (false, 0, 1, Read, false, false, false),
            (true, 1, 1, Read, false, false, false),
            (true, 0, 0, Missing, false, false, false),
            (true, 0, 1, Missing, false, false, false),
            (true, 0, 0, torn(), false, false, false),
            (true, 0, 1, torn(), false, false, false),
            // A dry run leaves no result, so it is unknown how it ended.
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
    fn adopted_result_completes_a_scan_together_with_the_kept_ones() {
        let result = |name: &str, status| PluginResult::new(name, status);
        let kept = [result("testssl", PluginStatus::Completed)];
        let failed = || vec![result("whatweb", PluginStatus::Failed)];
        let failure = || Failure::new(FailureKind::NothingChecked, "refused");
        let adopt = |plugins: Vec<PluginResult>| Adoption::Adopt(Verdict { plugins, dry_run: false });
        let both = [kept.to_vec(), failed()].concat();
        for (decided, kept, expected) in [
            (adopt(failed()), &kept[..], adopt(both.clone())),
            (adopt(failed()), &[], adopt(failed())),
            (Adoption::Fail { failure: failure(), plugins: failed() }, &kept, adopt(both)),
            (
                Adoption::Fail { failure: failure(), plugins: failed() },
                &[],
                Adoption::Fail { failure: failure(), plugins: failed() },
            ),
            (Adoption::Discard("no"), &kept, Adoption::Discard("no")),
        ] {
            assert_eq!(decided.clone().with_kept(kept), expected, "{decided:?}");
        }
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
