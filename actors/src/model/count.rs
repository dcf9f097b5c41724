//! Bounds for counts from external data. A scanner, and so a hostile site, may report any number:
//! each count is bounded where it is read, and sums saturate.

/// The largest count that is kept. It is exact in JSON (a JavaScript number) and fits a database's
/// signed 64 bits.
pub const MAX_COUNT: u64 = (1 << 53) - 1;

/// Returns the count, limited to [`MAX_COUNT`].
#[must_use]
pub const fn bounded_count(count: u64) -> u64 {
    if count > MAX_COUNT { MAX_COUNT } else { count }
}

/// Returns the sum of counts, limited to [`MAX_COUNT`].
#[must_use]
pub fn total_count(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, |sum: u64, count| bounded_count(sum.saturating_add(count)))
}

/// Formats a count for people: `1,340`.
#[must_use]
pub fn grouped_count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_saturate_and_never_overflow() {
        for (counts, total) in [
            (vec![], 0),
            (vec![1, 2, 3], 6),
            (vec![MAX_COUNT, 1], MAX_COUNT),
            (vec![u64::MAX, u64::MAX, 1], MAX_COUNT),
            (vec![u64::MAX], MAX_COUNT),
        ] {
            assert_eq!(total_count(counts.clone()), total, "{counts:?}");
        }
        assert!(i64::try_from(MAX_COUNT).is_ok());
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "that it is exact is what is tested"
        )]
        let through_javascript = MAX_COUNT as f64 as u64;
        assert_eq!(through_javascript, MAX_COUNT);
    }

    #[test]
    fn large_counts_have_separators() {
        for (count, text) in
            [(0, "0"), (999, "999"), (1_340, "1,340"), (1_000_000, "1,000,000"), (MAX_COUNT, "9,007,199,254,740,991")]
        {
            assert_eq!(grouped_count(count), text);
        }
    }
}
