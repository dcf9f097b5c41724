//! Several targets at once: what each line of a text would become. Pure; whoever calls it says
//! which targets are accepted.

use std::collections::HashMap;

/// The most targets of one submission.
pub(crate) const MOST_TARGETS: usize = 200;

/// So much of a line is shown; no target is longer.
const MOST_SHOWN: usize = 300;
/// So many lines that become no scan are shown.
pub(crate) const MOST_OTHERS: usize = 1000;

/// What a line becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LineOutcome {
    /// A scan of this target.
    Accepted(String),
    /// Nothing, for this reason.
    Refused(String),
    /// Nothing: the same target as an earlier line.
    Duplicate(usize),
    /// Nothing: blank, or a comment.
    Ignored,
    /// Nothing: this line and those after it, so many in all, were not looked at.
    Unread(usize),
}

/// A line and what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValidatedLine {
    /// From 1, as in an editor.
    pub(crate) number: usize,
    pub(crate) text: String,
    pub(crate) outcome: LineOutcome,
}

/// Judges the lines. `check` says how a target is written in full, or why it is refused. It is
/// asked no more once there are [`MOST_TARGETS`], or [`MOST_OTHERS`] lines that become none: a text
/// of any length costs no more than that, and what is left of it is one line.
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

/// The targets of a text: its lines without blank ones and comments.
pub(crate) fn targets(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_fate() {
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
    fn there_is_an_end_to_it() {
        let text: String = (0..=MOST_TARGETS).map(|n| format!("host{n}.test\n")).collect();
        let lines = judge(&text, |line| Ok(line.to_owned()));
        assert!(
            matches!(lines[MOST_TARGETS - 1].outcome, LineOutcome::Accepted(_))
                && matches!(lines[MOST_TARGETS].outcome, LineOutcome::Refused(_))
        );
    }

    #[test]
    fn a_text_of_any_length_is_bounded_work_and_a_bounded_page() {
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
