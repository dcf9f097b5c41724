//! Finds the most similar name, for "did you mean".

/// Returns the candidate that is most similar to `given`, if it is similar enough to be a typing
/// error.
pub(super) fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (given.chars().count() / 3).max(2);
    let candidates: Vec<&str> = candidates.into_iter().collect();
    // A user may remember `server.body_limit` instead of `server.body_limit_bytes`.
    if given.len() > 4
        && let Some(longer) = candidates.iter().find(|candidate| candidate.starts_with(given))
    {
        return Some(longer);
    }
    candidates
        .into_iter()
        .map(|candidate| (distance(given, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns the Levenshtein distance: the number of inserted, deleted or replaced characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "", 3),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("flaw", "lawn", 2),
            ("same", "same", 0),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn suggestion_must_be_similar() {
        let names = ["server.listen", "scans.concurrency", "scope.allow"];
        assert_eq!(nearest("server.lisen", names), Some("server.listen"));
        assert_eq!(nearest("scan.concurency", names), Some("scans.concurrency"));
        assert_eq!(nearest("scans.con", names), Some("scans.concurrency"));
        assert_eq!(nearest("telemetry.endpoint", names), None);
    }
}
