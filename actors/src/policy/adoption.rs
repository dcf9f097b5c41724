//! Whether the result of an attempt counts whose end nobody saw: its node died, or the store was away.

use crate::model::{AttemptEnd, Verdict};
use crate::policy::classify::classify;
use crate::ports::Remains;

/// What becomes of an attempt that nobody runs any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Adoption {
    /// It came to its end: this is its verdict.
    Adopt(Verdict),
    /// It does not count, and the scan goes on as after any lost attempt; why.
    Discard(&'static str),
}

/// Decides by what was found of the attempt.
///
/// A result counts only where its files are those of exactly this attempt under exactly this token, where nothing writes to them any more, and where they are whole. What it says is read as of an
/// attempt whose end was seen. A scan whose cancel was asked for has no use for it.
pub fn adoption(remains: Option<&Remains>, is_cancelled: bool, dry_run: bool) -> Adoption {
    if is_cancelled {
        return Adoption::Discard("a cancel was asked for");
    }
    let Some(remains) = remains else { return Adoption::Discard("nothing of it is here") };
    if !remains.is_marked {
        return Adoption::Discard("its folder does not carry its mark");
    }
    if remains.processes > 0 {
        return Adoption::Discard("processes of it are alive");
    }
    if remains.spoilt > 0 {
        return Adoption::Discard("a plugin's result is not whole");
    }
    match classify(&remains.report, None, dry_run) {
        AttemptEnd::Completed(verdict) => Adoption::Adopt(verdict),
        AttemptEnd::Failed(_) | AttemptEnd::Interrupted { .. } | AttemptEnd::Cancelled => Adoption::Discard("its result is not complete"),
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
        for (is_marked, processes, spoilt, info, is_cancelled, dry_run, adopted) in [
            (true, 0, 0, Read, false, false, true),
            (true, 0, 0, Read, false, true, true),
            (false, 0, 0, Read, false, false, false),
            (true, 1, 0, Read, false, false, false),
            (true, 0, 1, Read, false, false, false),
            (true, 0, 0, Missing, false, false, false),
            (true, 0, 0, torn(), false, false, false),
            // A dry run leaves no result, and how it ended is not known.
            (true, 0, 0, Missing, false, true, false),
            (true, 0, 0, Read, true, false, false),
        ] {
            let plugins = vec![PluginResult::new("whatweb", PluginStatus::Completed)];
            let report = AttemptReport { exit: ExitKind::Unknown, info, plugins: plugins.clone(), last_words: String::new(), notes: vec![] };
            let remains = Remains { is_marked, processes, spoilt, report };
            let decided = adoption(Some(&remains), is_cancelled, dry_run);
            let verdict = Adoption::Adopt(Verdict { plugins, dry_run });
            assert_eq!(decided == verdict, adopted, "{remains:?} {is_cancelled} {dry_run}: {decided:?}");
        }
        assert!(matches!(adoption(None, false, false), Adoption::Discard(_)));
    }
}
