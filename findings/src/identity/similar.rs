//! Paths that look like one page that moved.

/// The least number of letters in a name that is compared.
const LEAST_LETTERS: usize = 3;

/// Returns true if two paths end in the same name: numbers, versions and markers do not count. So
/// `/js/jquery-3.4.1.min.js` is similar to `/js/jquery-3.5.0.min.js`, and `/old/login` to
/// `/new/login`.
pub(super) fn is_similar(one: &str, other: &str) -> bool {
    let (one, other) = (name(one), name(other));
    one.len() >= LEAST_LETTERS && one == other
}

/// The letters of the last segment, without its markers, its parameters and its extension
/// `.min.js`.
fn name(path: &str) -> String {
    let segment = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let segment = segment.split(';').next().unwrap_or_default();
    let mut letters = String::new();
    let mut in_marker = false;
    for c in segment.chars() {
        match c {
            '{' => in_marker = true,
            '}' => in_marker = false,
            c if c.is_ascii_alphabetic() && !in_marker => letters.push(c.to_ascii_lowercase()),
            _ => {}
        }
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_with_the_same_last_name_are_similar() {
        let cases = [
            ("/js/jquery-3.4.1.min.js", "/js/jquery-3.5.0.min.js", true),
            ("/old/login", "/new/login/", true),
            ("/static/app.{hex}.js", "/assets/app.js", true),
            ("/login;v", "/sso/login", true),
            ("/shop/cart", "/shop/item", false),
            ("/{n}", "/{uuid}", false),
            ("/", "/", false),
            ("/a", "/b/a", false),
        ];
        for (one, other, expected) in cases {
            assert_eq!(is_similar(one, other), expected, "{one} {other}");
        }
    }
}
