//! The state of the list of targets in its URL: words, tags, a project, groups by tag, and the
//! page.

use std::collections::BTreeSet;

use kastrel_actors::model::ProjectId;
use url::form_urlencoded;

use crate::service::findings::{MOST_ON_PAGE, MOST_QUERY_WORDS, TargetQuery};
use crate::web::pages::findings::marks::TARGETS;

/// The longest text of the words, and of a tag, in characters.
pub(super) const MOST_TEXT: usize = 280;
/// The most tags of a filter.
const MOST_TAGS: usize = 20;
/// The targets of a page.
const PER_PAGE: usize = 100;
/// The largest number of matches that a page leaves out.
const MOST_SKIPPED: usize = 10_000_000;

/// The state of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ListAddress {
    /// The words, as they were typed.
    pub(super) words: String,
    pub(super) tags: BTreeSet<String>,
    pub(super) project: Option<ProjectId>,
    /// Whether the targets are grouped by tag.
    pub(super) by_tag: bool,
    pub(super) skip: usize,
}

impl ListAddress {
    /// Parses a query string. An invalid parameter is named, and its default used.
    pub(super) fn parse(raw: Option<&str>) -> (Self, Vec<String>) {
        let (mut list, mut wrong) = (Self::default(), Vec::new());
        for (name, value) in form_urlencoded::parse(raw.unwrap_or_default().as_bytes()) {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            match &*name {
                "q" => {
                    list.words = value.chars().take(MOST_TEXT).collect();
                    if TargetQuery::words_of(&list.words).is_err() {
                        wrong.push(format!("q: only the first {MOST_QUERY_WORDS} words count"));
                    }
                }
                "tag" if list.tags.len() < MOST_TAGS => {
                    list.tags.insert(value.chars().take(MOST_TEXT).collect());
                }
                "tag" => wrong.push(format!("tag: at most {MOST_TAGS} tags count")),
                "project" => match value.parse() {
                    Ok(project) => list.project = Some(project),
                    Err(_) => wrong.push("project: expected the id of a project".to_owned()),
                },
                "skip" => match value.parse() {
                    Ok(skip) if skip <= MOST_SKIPPED => list.skip = skip,
                    _ => wrong.push(format!("skip: expected a number from 0 to {MOST_SKIPPED}")),
                },
                "group" => {
                    list.by_tag = value == "tag";
                    if !list.by_tag {
                        wrong.push("group: expected tag".to_owned());
                    }
                }
                // Unknown parameters, such as those of trackers, are ignored.
                _ => {}
            }
        }
        (list, wrong)
    }

    /// Returns the link to the list.
    pub(super) fn link(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.words.is_empty() {
            query.append_pair("q", &self.words);
        }
        for tag in &self.tags {
            query.append_pair("tag", tag);
        }
        if let Some(project) = &self.project {
            query.append_pair("project", project.as_str());
        }
        if self.by_tag {
            query.append_pair("group", "tag");
        }
        if self.skip > 0 {
            query.append_pair("skip", &self.skip.to_string());
        }
        let query = query.finish();
        if query.is_empty() { TARGETS.to_owned() } else { format!("{TARGETS}?{query}") }
    }

    /// Returns the query for the service.
    pub(super) fn query(&self) -> TargetQuery {
        let first = || self.words.split_whitespace().take(MOST_QUERY_WORDS).map(str::to_owned).collect();
        TargetQuery {
            words: TargetQuery::words_of(&self.words).unwrap_or_else(|_| first()),
            tags: self.tags.clone(),
            projects: self.project.iter().cloned().collect(),
            ids: BTreeSet::new(),
            skip: self.skip,
            limit: self.per_page(),
        }
    }

    /// Returns the targets of a page. Groups are of the targets of one page, so it has more.
    pub(super) const fn per_page(&self) -> usize {
        if self.by_tag { MOST_ON_PAGE } else { PER_PAGE }
    }

    /// Returns the list from another match on.
    pub(super) fn at(&self, skip: usize) -> Self {
        Self { skip, ..self.clone() }
    }

    /// Returns the list with a tag added to its filter, or removed if it is there, from its first
    /// page.
    pub(super) fn toggled(&self, tag: &str) -> Self {
        let mut list = self.at(0);
        if !list.tags.remove(tag) {
            list.tags.insert(tag.to_owned());
        }
        list
    }

    /// Returns whether the list has filters.
    pub(super) fn is_narrowed(&self) -> bool {
        !self.words.is_empty() || !self.tags.is_empty() || self.project.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_parses_back_to_its_list() {
        let list = ListAddress {
            words: "shop & co".into(),
            tags: ["prod".to_owned(), "eu/west".to_owned()].into(),
            project: Some("team".parse().unwrap()),
            by_tag: true,
            skip: 100,
        };
        let link = list.link();
        assert_eq!(ListAddress::parse(link.split_once('?').map(|(_, query)| query)), (list.clone(), Vec::new()));
        assert_eq!(ListAddress::default().link(), "/targets");
        assert_eq!(list.query().words, ["shop", "&", "co"]);
        let toggled = list.toggled("prod");
        assert!(!toggled.tags.contains("prod") && toggled.skip == 0);
        assert_eq!(toggled.toggled("prod").tags, list.tags);
    }

    #[test]
    fn wrong_parameters_are_named_and_the_others_count() {
        let (list, wrong) = ListAddress::parse(Some("q=a&project=No+Project&skip=x&group=host&tag=&utm=1"));
        assert_eq!(list, ListAddress { words: "a".into(), ..ListAddress::default() });
        let fields: Vec<&str> = wrong.iter().filter_map(|text| text.split(':').next()).collect();
        assert_eq!(fields, ["project", "skip", "group"]);
        let many: String = (0..=MOST_TAGS).map(|n| format!("tag=t{n}&")).collect();
        assert_eq!(ListAddress::parse(Some(&many)).0.tags.len(), MOST_TAGS);
        let words: Vec<String> = (0..=MOST_QUERY_WORDS).map(|n| n.to_string()).collect();
        let (list, wrong) = ListAddress::parse(Some(&format!("q={}", words.join("+"))));
        assert_eq!(list.query().words, words[..MOST_QUERY_WORDS]);
        assert_eq!((list.words, wrong), (words.join(" "), vec!["q: only the first 20 words count".to_owned()]));
    }
}
