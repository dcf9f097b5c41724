//! Several targets in one form: validates each line of a text. The functions are pure; the caller
//! decides which targets are valid.

use std::collections::HashMap;

/// The maximum number of targets of one submission.
pub(crate) const MOST_TARGETS: usize = 200;

/// How many characters of a line are shown; no target is longer.
const MOST_SHOWN: usize = 300;
/// How many lines without a scan are shown.
pub(crate) const MOST_OTHERS: usize = 1000;

/// The result of validating a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LineOutcome {
    /// The line becomes a scan of this target.
    Accepted(String),
    /// The line is invalid, for this reason.
    Refused(String),
    /// The target is the same as that of an earlier line.
    Duplicate(usize),
    /// The line is blank or a comment.
    Ignored,
    /// This line and those after it, this many in total, were not checked.
    Unread(usize),
}

/// A line and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValidatedLine {
    /// The line number, from 1 as in an editor.
    pub(crate) number: usize,
    pub(crate) text: String,
    pub(crate) outcome: LineOutcome,
}

/// Validates the lines. `check` returns the normalized target, or why it is invalid. To bound the
/// work for a text of any length, `check` is not called any more after [`MOST_TARGETS`] valid
/// targets or [`MOST_OTHERS`] other lines. The remaining lines of a text that reaches the second
/// limit become one line.
pub(crate) fn judge(text: &str, mut check: impl FnMut(&str) -> Result<String, String>) -> Vec<ValidatedLine> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let (mut accepted, mut others, mut ignored) = (0, 0, 0);
    let mut judged: Vec<ValidatedLine> = Vec::new();
    let mut unread: Option<(usize, usize)> = None;
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        let is_ignored = line.is_empty() || line.starts_with('#');
        if is_ignored && ignored >= MOST_OTHERS {
            continue;
        }
        if !is_ignored && (others >= MOST_OTHERS || unread.is_some()) {
            unread = Some(unread.map_or((number, 1), |(first, count)| (first, count + 1)));
            continue;
        }
        let outcome = if is_ignored {
            LineOutcome::Ignored
        } else if accepted == MOST_TARGETS {
            LineOutcome::Refused(format!("more than {MOST_TARGETS} targets at once"))
        } else {
            match check(line) {
                Err(why) => LineOutcome::Refused(why),
                Ok(target) => match seen.get(&target.to_lowercase()) {
                    Some(first) => LineOutcome::Duplicate(*first),
                    None => LineOutcome::Accepted(target),
                },
            }
        };
        match &outcome {
            LineOutcome::Accepted(target) => {
                accepted += 1;
                seen.insert(target.to_lowercase(), number);
            }
            LineOutcome::Ignored => ignored += 1,
            LineOutcome::Refused(_) | LineOutcome::Duplicate(_) | LineOutcome::Unread(_) => others += 1,
        }
        judged.push(ValidatedLine { number, text: line.chars().take(MOST_SHOWN).collect(), outcome });
    }
    judged.extend(unread.map(|(number, count)| ValidatedLine {
        number,
        text: String::new(),
        outcome: LineOutcome::Unread(count),
    }));
    judged
}

/// Returns the targets of a text: its lines without blank ones and comments.
pub(crate) fn targets(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_outcome() {
        let check = |line: &str| {
            if line.starts_with('-') { Err("starts with a dash".to_owned()) } else { Ok(line.to_lowercase()) }
        };
        let lines = judge("a.test\n\n # a comment\n-oX\n  A.TEST  \nb.test", check);
        let fates: Vec<_> = lines.iter().map(|line| (line.number, &line.outcome)).collect();
        assert_eq!(
            fates,
            [
                (1, &LineOutcome::Accepted("a.test".into())),
                (2, &LineOutcome::Ignored),
                (3, &LineOutcome::Ignored),
                (4, &LineOutcome::Refused("starts with a dash".into())),
                (5, &LineOutcome::Duplicate(1)),
                (6, &LineOutcome::Accepted("b.test".into())),
            ]
        );
        assert_eq!(targets("a.test\n\n#x\n b.test "), ["a.test", "b.test"]);
    }

    #[test]
    fn number_of_targets_is_limited() {
        let text: String = (0..=MOST_TARGETS).map(|n| format!("host{n}.test\n")).collect();
        let lines = judge(&text, |line| Ok(line.to_owned()));
        assert!(
            matches!(lines[MOST_TARGETS - 1].outcome, LineOutcome::Accepted(_))
                && matches!(lines[MOST_TARGETS].outcome, LineOutcome::Refused(_))
        );
    }

    #[test]
    fn long_text_causes_bounded_work_and_a_bounded_page() {
        let targets: String = (0..50_000).map(|n| format!("host{n}.test\n")).collect();
        for (text, accepted, asked) in [
            (targets, MOST_TARGETS, MOST_TARGETS),
            ("-x\n".repeat(50_000), 0, MOST_OTHERS),
            (format!("a.test\n{}b.test", "a.test\n".repeat(50_000)), 1, MOST_OTHERS + 1),
            (format!("{}\nb.test", "#\n\n".repeat(50_000)), 1, 1),
        ] {
            let mut asks = 0;
            let lines = judge(&text, |line| {
                asks += 1;
                if line.starts_with('-') { Err("starts with a dash".to_owned()) } else { Ok(line.to_owned()) }
            });
            assert_eq!(
                (lines.iter().filter(|line| matches!(line.outcome, LineOutcome::Accepted(_))).count(), asks),
                (accepted, asked)
            );
            assert!(lines.len() <= MOST_TARGETS + MOST_OTHERS + 1, "{}", lines.len());
            let unread = lines
                .iter()
                .filter_map(|line| if let LineOutcome::Unread(count) = line.outcome { Some(count) } else { None })
                .sum::<usize>();
            let read = lines
                .iter()
                .filter(|line| !matches!(line.outcome, LineOutcome::Unread(_) | LineOutcome::Ignored))
                .count();
            assert_eq!(read + unread, super::targets(&text).len(), "every target is accounted for");
        }
        assert_eq!(judge(&"x".repeat(100_000), |_| Err(String::new()))[0].text.len(), MOST_SHOWN);
    }
}
