//! Messages as people read them. The texts of errors begin in lower case, because they also follow
//! a colon; where one begins a line of a page, of a terminal or of a problem's `detail`, it begins
//! with a capital letter.

/// The text with a capital letter at its beginning. A text that begins with a code word stays as it
/// is: a key, a flag, a path, an address, the name of a file, a quoted value.
pub(crate) fn sentence(text: &str) -> String {
    let first = text.split(char::is_whitespace).next().unwrap_or_default();
    let word = first.trim_end_matches([',', ';', ':', '.', '!', '?', '…', ')']);
    let is_word = word.starts_with(char::is_alphabetic)
        && word.chars().all(|c| c.is_alphabetic() || matches!(c, '-' | '\'' | '’'));
    if !is_word {
        return text.to_owned();
    }
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_begins_with_a_capital_unless_it_begins_with_a_code_word() {
        for (given, expected) in [
            ("the target is empty", "The target is empty"),
            ("lost: store not responding", "Lost: store not responding"),
            ("built-in scanner 0.1.0", "Built-in scanner 0.1.0"),
            ("confirm.", "Confirm."),
            ("Target: empty", "Target: empty"),
            ("`x` is wrong", "`x` is wrong"),
            ("--server: an address is needed", "--server: an address is needed"),
            ("kast_info.json cannot be read", "kast_info.json cannot be read"),
            ("redis.url cannot be used", "redis.url cannot be used"),
            ("https://a.test/ is out of scope", "https://a.test/ is out of scope"),
            ("/srv/data is writable", "/srv/data is writable"),
            ("127.0.0.1:5000 is free", "127.0.0.1:5000 is free"),
            ("", ""),
        ] {
            assert_eq!(sentence(given), expected, "{given:?}");
        }
    }
}
