//! Parts of the sentences.

pub(super) fn leaving_text(leaving: usize) -> String {
    if leaving == 1 {
        "1 connected worker is draining or stopping".into()
    } else {
        format!("{leaving} connected workers are draining or stopping")
    }
}

pub(super) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Formats a number as `1st`, `2nd`, `3rd`, `4th`, `11th`, `21st`.
#[must_use]
pub fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_position_is_an_ordinal_number() {
        let all: Vec<String> = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111, 1003].into_iter().map(ordinal).collect();
        assert_eq!(all, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th", "1003rd"]);
    }
}
