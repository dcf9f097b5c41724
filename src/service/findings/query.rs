//! The queries for lists of findings and targets.

use std::collections::BTreeSet;

use kastrel_actors::model::{AccountName, ProjectId};
use kastrel_findings::Severity;
use kastrel_findings::identity::TargetId;
use kastrel_findings::lifecycle::Status;

/// Which findings a list has. All conditions must hold; an empty set is no condition. The text form
/// is a line of tokens such as `severity:high,critical status:open plugin:testssl is:regressed`
/// and free words (`parse`, `Display`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingFilter {
    /// `severity:high,critical`.
    pub severities: BTreeSet<Severity>,
    /// `status:open,confirmed`. Empty: open and confirmed. `status:any`: all.
    pub statuses: BTreeSet<Status>,
    /// `plugin:testssl`.
    pub plugins: BTreeSet<String>,
    /// `category:certificate`, in any case.
    pub categories: BTreeSet<String>,
    /// `issue:tls1`, by issue keys.
    pub issues: BTreeSet<String>,
    /// `target:shop.example`: a part of the origin, or a target's id.
    pub targets: BTreeSet<String>,
    /// `project:team`.
    pub projects: BTreeSet<ProjectId>,
    /// `tag:prod`: a tag of the target.
    pub tags: BTreeSet<String>,
    /// `owner:ana`, `owner:none`.
    pub owners: BTreeSet<OwnerFilter>,
    /// `age:30d`: open for at least this many days.
    pub min_age_days: Option<u32>,
    /// `new:7d`: first seen within this many days, or opened again.
    pub new_within_days: Option<u32>,
    /// `since:2026-11-23`: first seen, or opened again, at or after this time.
    pub new_since: Option<jiff::Timestamp>,
    /// `is:regressed`, `is:overdue`, `is:unchecked`.
    pub flags: BTreeSet<FindingFlag>,
    /// Words that title, issue, place or origin must have.
    pub words: Vec<String>,
}

/// A condition on the owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnerFilter {
    /// Nobody takes care of it.
    Nobody,
    /// This account does.
    Account(AccountName),
}

/// A condition that a finding has or has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingFlag {
    /// It came back after it had been fixed.
    Regressed,
    /// Its time to fix is over.
    Overdue,
    /// The newest scan of its target did not check it.
    Unchecked,
}

/// How a list of findings is ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FindingSort {
    /// Worst severity first, then the newest.
    #[default]
    Severity,
    /// The newest first.
    Newest,
    /// The one due first.
    Due,
    /// By target.
    Target,
}

/// A query for a page of findings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingQuery {
    /// Which findings.
    pub filter: FindingFilter,
    /// In which order.
    pub sort: FindingSort,
    /// The number of matches to leave out.
    pub skip: usize,
    /// The most findings of the page; at most [`MOST_ON_PAGE`].
    pub limit: usize,
}

/// The most rows of one page.
pub const MOST_ON_PAGE: usize = 500;
/// The most words of a query: each is compared with the texts of all rows.
pub const MOST_QUERY_WORDS: usize = 20;
/// The most values of one token or parameter of a query.
pub const MOST_QUERY_VALUES: usize = 50;

/// Adds a word to those of a query, unless it is there in any case.
///
/// # Errors
/// There are too many words: what is wrong.
pub(super) fn add_word(words: &mut Vec<String>, word: &str) -> Result<(), String> {
    let lower = word.to_lowercase();
    if words.iter().any(|known| known.to_lowercase() == lower) {
        return Ok(());
    }
    if words.len() == MOST_QUERY_WORDS {
        return Err(format!("expected at most {MOST_QUERY_WORDS} words"));
    }
    words.push(word.to_owned());
    Ok(())
}

/// A query for a page of targets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetQuery {
    /// Words that the origin must have.
    pub words: Vec<String>,
    /// Tags that the target must have.
    pub tags: BTreeSet<String>,
    /// The projects; empty: all that the principal may read.
    pub projects: BTreeSet<ProjectId>,
    /// Only these targets; empty: all.
    pub ids: BTreeSet<TargetId>,
    /// The number of matches to leave out.
    pub skip: usize,
    /// The most targets of the page; at most [`MOST_ON_PAGE`].
    pub limit: usize,
}

impl TargetQuery {
    /// Reads the words of a query, which blanks separate, each once.
    ///
    /// # Errors
    /// There are more than [`MOST_QUERY_WORDS`]: what is wrong.
    pub fn words_of(text: &str) -> Result<Vec<String>, String> {
        let mut words = Vec::new();
        text.split_whitespace().try_for_each(|word| add_word(&mut words, word))?;
        Ok(words)
    }

    /// Reads the tags of a query, each once and without the blanks around it. Empty ones do not
    /// count.
    ///
    /// # Errors
    /// There are more than [`MOST_QUERY_VALUES`]: what is wrong.
    pub fn tags_of<'a>(tags: impl IntoIterator<Item = &'a str>) -> Result<BTreeSet<String>, String> {
        let mut read = BTreeSet::new();
        for tag in tags.into_iter().map(str::trim).filter(|tag| !tag.is_empty()) {
            read.insert(tag.to_owned());
            if read.len() > MOST_QUERY_VALUES {
                return Err(format!("expected at most {MOST_QUERY_VALUES} tags"));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_of_targets_has_each_word_and_tag_once_and_a_bounded_number() {
        assert_eq!(TargetQuery::words_of(" shop Shop\texample shop ").unwrap(), ["shop", "example"]);
        let many: Vec<String> = (0..=MOST_QUERY_WORDS).map(|number| format!("w{number}")).collect();
        assert_eq!(TargetQuery::words_of(&many[1..].join(" ")).unwrap().len(), MOST_QUERY_WORDS);
        assert_eq!(TargetQuery::words_of(&many.join(" ")).unwrap_err(), "expected at most 20 words");
        let tags = |text: &str| TargetQuery::tags_of(text.split(','));
        assert_eq!(tags("prod, eu,,prod ").unwrap(), BTreeSet::from(["eu".to_owned(), "prod".to_owned()]));
        let many: Vec<String> = (0..=MOST_QUERY_VALUES).map(|number| format!("t{number}")).collect();
        assert_eq!(tags(&many[1..].join(",")).unwrap().len(), MOST_QUERY_VALUES);
        assert_eq!(tags(&many.join(",")).unwrap_err(), "expected at most 50 tags");
    }
}
