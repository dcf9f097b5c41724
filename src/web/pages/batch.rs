//! Several targets at once: what each line of a text would become. Pure; whoever calls it says which targets are accepted.

use std::collections::HashMap;

/// The most targets of one submission.
pub(crate) const MOST_TARGETS: usize = 200;

/// What a line becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LineFate {
    /// A scan of this target.
    Accepted(String),
    /// Nothing, for this reason.
    Refused(String),
    /// Nothing: the same target as an earlier line.
    Duplicate(usize),
    /// Nothing: blank, or a comment.
    Ignored,
}

/// A line and what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JudgedLine {
    /// From 1, as in an editor.
    pub(crate) number: usize,
    pub(crate) text: String,
    pub(crate) fate: LineFate,
}

/// Judges each line. `check` says how a target is written in full, or why it is refused.
pub(crate) fn judge(text: &str, mut check: impl FnMut(&str) -> Result<String, String>) -> Vec<JudgedLine> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut accepted = 0;
    let mut fate = |number: usize, line: &str| {
        if line.is_empty() || line.starts_with('#') {
            return LineFate::Ignored;
        }
        let target = match check(line) {
            Ok(target) => target,
            Err(why) => return LineFate::Refused(why),
        };
        if let Some(first) = seen.get(&target.to_lowercase()) {
            return LineFate::Duplicate(*first);
        }
        if accepted == MOST_TARGETS {
            return LineFate::Refused(format!("more than {MOST_TARGETS} targets at once"));
        }
        accepted += 1;
        seen.insert(target.to_lowercase(), number);
        LineFate::Accepted(target)
    };
    text.lines().zip(1..).map(|(line, number)| JudgedLine { number, text: line.trim().to_owned(), fate: fate(number, line.trim()) }).collect()
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
        let check = |line: &str| if line.starts_with('-') { Err("starts with a dash".to_owned()) } else { Ok(line.to_lowercase()) };
        let lines = judge("a.test\n\n # a comment\n-oX\n  A.TEST  \nb.test", check);
        let fates: Vec<_> = lines.iter().map(|line| (line.number, &line.fate)).collect();
        assert_eq!(
            fates,
            [
                (1, &LineFate::Accepted("a.test".into())),
                (2, &LineFate::Ignored),
                (3, &LineFate::Ignored),
                (4, &LineFate::Refused("starts with a dash".into())),
                (5, &LineFate::Duplicate(1)),
                (6, &LineFate::Accepted("b.test".into())),
            ]
        );
        assert_eq!(targets("a.test\n\n#x\n b.test "), ["a.test", "b.test"]);
    }

    #[test]
    fn there_is_an_end_to_it() {
        let text: String = (0..=MOST_TARGETS).map(|n| format!("host{n}.test\n")).collect();
        let lines = judge(&text, |line| Ok(line.to_owned()));
        assert!(matches!(lines[MOST_TARGETS - 1].fate, LineFate::Accepted(_)) && matches!(lines[MOST_TARGETS].fate, LineFate::Refused(_)));
    }
}
