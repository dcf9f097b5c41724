//! Reads the imports of a style sheet. The functions are pure.

/// The limit for the imports of one style sheet.
const MAX_IMPORTS: usize = 100;

/// Returns the addresses that a style sheet imports. Imports come before all rules but `@charset`
/// and `@layer` (CSS Cascading and Inheritance, 2); browsers ignore later ones. Escapes are not
/// resolved.
#[must_use]
pub fn imports(sheet: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = blank(sheet);
    while found.len() < MAX_IMPORTS {
        if let Some(after) = keyword(rest, "@import") {
            let Some((address, after)) = address(blank(after)) else { break };
            found.push(address.to_owned());
            rest = blank(statement(after).unwrap_or_default());
        } else if let Some(after) = keyword(rest, "@charset").or_else(|| keyword(rest, "@layer"))
            && let Some(after) = statement(after)
        {
            rest = blank(after);
        } else {
            break;
        }
    }
    found
}

/// Skips white space, comments, and the HTML comment marks that a style sheet in a page may have.
fn blank(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let after = if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, after)| after)
        } else if let Some(after) = ["<!--", "-->", "<![CDATA["].iter().find_map(|mark| rest.strip_prefix(mark)) {
            after
        } else {
            return rest;
        };
        rest = after.trim_start();
    }
}

/// Returns the text after a keyword, which is matched in any case. Returns `None` if the word is
/// longer than the keyword.
fn keyword<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (start, after) = text.split_at_checked(word.len())?;
    let goes_on = after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '\\'));
    (start.eq_ignore_ascii_case(word) && !goes_on).then_some(after)
}

/// Returns the text after the semicolon that ends a statement, or `None` if a block begins first.
fn statement(text: &str) -> Option<&str> {
    let end = text.find([';', '{'])?;
    text[end..].strip_prefix(';')
}

/// Parses an address, as a string or as `url()`. Returns the address and the text after it.
fn address(text: &str) -> Option<(&str, &str)> {
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        return text[1..].split_once(quote);
    }
    let (start, inner) = text.split_at_checked(4)?;
    if !start.eq_ignore_ascii_case("url(") {
        return None;
    }
    let inner = inner.trim_start();
    match inner.chars().next()? {
        quote @ ('"' | '\'') => {
            let (address, after) = inner[1..].split_once(quote)?;
            Some((address, after.trim_start().strip_prefix(')')?))
        }
        _ => inner.split_once(')').map(|(address, after)| (address.trim_end(), after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_read_before_the_first_rule_only() {
        for (sheet, expected) in [
            ("", &[][..]),
            ("@import url(a.css);", &["a.css"]),
            (
                "@import url( a.css ) screen;@import url(\"b.css\");@IMPORT URL('c;.css');",
                &["a.css", "b.css", "c;.css"],
            ),
            ("@import 'a.css'; @import \"b.css\" layer(x) supports(display: grid);", &["a.css", "b.css"]),
            ("@import'a.css'", &["a.css"]),
            ("/* @import 'x'; */ <!-- @import/**/'a.css'; -->", &["a.css"]),
            ("<![CDATA[ @import 'a.css'; ]]>", &["a.css"]),
            ("@charset \"utf-8\"; @layer a, b; @import 'a.css';", &["a.css"]),
            ("@layer a { } @import 'a.css';", &[]),
            ("p { } @import 'a.css';", &[]),
            ("@imports 'a.css';", &[]),
            ("@import-x 'a.css';", &[]),
            ("@import a.css;", &[]),
            ("@import 'a.css", &[]),
            ("@import url(a.css", &[]),
            ("@import url(\"a.css\" x);", &[]),
            ("/* @import 'a.css';", &[]),
            ("@impört 'a.css';", &[]),
            ("@import ä;", &[]),
        ] {
            assert_eq!(imports(sheet), expected, "{sheet}");
        }
        assert_eq!(imports(&"@import 'a';".repeat(1000)).len(), MAX_IMPORTS);
    }
}
