//! The state of the list of findings in its URL: the filter as tokens, the order, the page, and
//! whether the findings are grouped by issue.

use url::form_urlencoded;

use super::marks::FINDINGS;
use crate::service::findings::FindingSort;

/// The longest line of tokens in characters.
pub(super) const MOST_TOKENS: usize = 2_000;
/// The largest number of matches that a page leaves out.
const MOST_SKIPPED: usize = 10_000_000;

/// The orders with their names in the URL and their labels.
pub(super) const SORTS: [(FindingSort, &str, &str); 4] = [
    (FindingSort::Severity, "severity", "Worst first"),
    (FindingSort::Newest, "newest", "Newest first"),
    (FindingSort::Due, "due", "Due first"),
    (FindingSort::Target, "target", "By target"),
];

/// The state of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ListAddress {
    /// The filter, as it was typed.
    pub(super) tokens: String,
    pub(super) sort: FindingSort,
    pub(super) skip: usize,
    /// Whether the findings are grouped by issue.
    pub(super) by_issue: bool,
}

impl ListAddress {
    /// Parses a query string. An invalid parameter is named, and its default used.
    pub(super) fn parse(raw: Option<&str>) -> (Self, Vec<String>) {
        let (mut list, mut wrong) = (Self::default(), Vec::new());
        for (name, value) in form_urlencoded::parse(raw.unwrap_or_default().as_bytes()) {
            let value = value.trim();
            match &*name {
                "q" => {
                    list.tokens = value.chars().take(MOST_TOKENS).collect();
                    if list.tokens.len() < value.len() {
                        wrong.push(format!("q: only the first {MOST_TOKENS} characters count"));
                    }
                }
                "sort" if !value.is_empty() => match SORTS.iter().find(|(_, name, _)| *name == value) {
                    Some((sort, ..)) => list.sort = *sort,
                    None => wrong.push("sort: expected severity, newest, due or target".to_owned()),
                },
                "skip" if !value.is_empty() => match value.parse() {
                    Ok(skip) if skip <= MOST_SKIPPED => list.skip = skip,
                    _ => wrong.push(format!("skip: expected a number from 0 to {MOST_SKIPPED}")),
                },
                "group" if !value.is_empty() => {
                    list.by_issue = value == "issue";
                    if !list.by_issue {
                        wrong.push("group: expected issue".to_owned());
                    }
                }
                // Unknown parameters, such as those of trackers, are ignored.
                _ => {}
            }
        }
        (list, wrong)
    }

    /// Parses the link to a list that a form sends; only its query counts, so that it cannot lead
    /// to another page.
    pub(super) fn of_link(link: &str) -> Self {
        match link.split_once('?') {
            Some((FINDINGS, query)) => Self::parse(Some(query)).0,
            _ => Self::default(),
        }
    }

    /// Returns the link to the list.
    pub(super) fn link(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.tokens.is_empty() {
            query.append_pair("q", &self.tokens);
        }
        if self.by_issue {
            query.append_pair("group", "issue");
        }
        if let Some((_, name, _)) = SORTS.iter().find(|(sort, ..)| *sort == self.sort && *sort != FindingSort::Severity)
        {
            query.append_pair("sort", name);
        }
        if self.skip > 0 {
            query.append_pair("skip", &self.skip.to_string());
        }
        let query = query.finish();
        if query.is_empty() { FINDINGS.to_owned() } else { format!("{FINDINGS}?{query}") }
    }

    /// Returns the list with another filter, from its first page.
    pub(super) fn with_tokens(&self, tokens: String) -> Self {
        Self { tokens, skip: 0, ..self.clone() }
    }

    /// Returns the list from another match on.
    pub(super) fn at(&self, skip: usize) -> Self {
        Self { skip, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_parses_back_to_its_list() {
        for list in [
            ListAddress::default(),
            ListAddress { tokens: "severity:high \"a&b\"".into(), sort: FindingSort::Due, skip: 50, by_issue: false },
            ListAddress { tokens: String::new(), sort: FindingSort::Severity, skip: 0, by_issue: true },
        ] {
            let link = list.link();
            assert_eq!(ListAddress::parse(link.split_once('?').map(|(_, query)| query)), (list.clone(), Vec::new()));
            assert_eq!(ListAddress::of_link(&link), list, "{link}");
        }
        assert_eq!(ListAddress::default().link(), "/findings");
    }

    #[test]
    fn wrong_parameters_are_named_and_the_others_count() {
        let (list, wrong) = ListAddress::parse(Some("q=tls&sort=random&skip=-1&group=host&utm=1"));
        assert_eq!(list, ListAddress { tokens: "tls".into(), ..ListAddress::default() });
        let fields: Vec<&str> = wrong.iter().filter_map(|text| text.split(':').next()).collect();
        assert_eq!(fields, ["sort", "skip", "group"]);
        let (list, wrong) = ListAddress::parse(Some(&format!("q={}", "a".repeat(MOST_TOKENS + 1))));
        assert_eq!((list.tokens.len(), wrong.len()), (MOST_TOKENS, 1));
    }

    #[test]
    fn form_cannot_lead_to_another_page() {
        for link in ["https://evil.example/findings?q=a", "//evil.example?q=a", "/scans?q=a", "", "/findings/../x?q=a"]
        {
            assert_eq!(ListAddress::of_link(link).link(), "/findings", "{link}");
        }
    }
}
