//! How tags are typed into a form.

/// Reads tags, which are separated by commas or blanks.
pub(crate) fn tags(text: &str) -> Vec<String> {
    text.split([',', ' ', '\n', '\t']).map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::tags;

    #[test]
    fn tags_are_separated_by_commas_and_blanks() {
        assert_eq!(tags(" prod, eu/west\n,,web "), ["prod", "eu/west", "web"]);
        assert!(tags(" , ").is_empty());
    }
}
