//! The query of a list of scans, for the API and for the first page.

use kastrel_actors::model::{FieldError, ScanId, ScanStatus};
use kastrel_actors::ports::ListQuery;
use url::form_urlencoded;

const MAX_PER_PAGE: usize = 100;
const MAX_PAGE: usize = 10_000_000;
const MAX_TARGET: usize = 280;

/// Which scans to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScanListQuery {
    pub(crate) page: usize,
    pub(crate) per_page: usize,
    pub(crate) statuses: Vec<ScanStatus>,
    pub(crate) target: Option<String>,
    pub(crate) before: Option<ScanId>,
}

impl Default for ScanListQuery {
    fn default() -> Self {
        Self { page: 1, per_page: 20, statuses: Vec::new(), target: None, before: None }
    }
}

impl ScanListQuery {
    /// Reads a query string; every wrong parameter is named, and the right ones are kept.
    pub(crate) fn parse(query: Option<&str>) -> (Self, Vec<FieldError>) {
        let (mut list, mut errors) = (Self::default(), Vec::new());
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let read = match &*name {
                "page" => number(&value, MAX_PAGE).map(|page| list.page = page),
                "per_page" => number(&value, MAX_PER_PAGE).map(|count| list.per_page = count),
                "status" => statuses(&value).map(|mut more| list.statuses.append(&mut more)),
                "target" => target(&value).map(|text| list.target = text),
                "before" => before(&value).map(|id| list.before = id),
                // Unknown parameters, such as those of trackers, change nothing.
                _ => Ok(()),
            };
            if let Err(message) = read {
                errors.push(FieldError::new(name, message));
            }
        }
        list.statuses.sort();
        list.statuses.dedup();
        (list, errors)
    }

    /// The same for the store.
    pub(crate) fn for_store(&self) -> ListQuery {
        ListQuery {
            statuses: self.statuses.clone(),
            target: self.target.clone(),
            before: self.before,
            offset: (self.page - 1) * self.per_page,
            limit: self.per_page,
            count: true,
        }
    }

    /// The same as a link, with another page.
    pub(crate) fn link(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::for_suffix(String::from("/?"), 2);
        let mut any = |name: &str, value: &str| {
            query.append_pair(name, value);
        };
        if page > 1 {
            any("page", &page.to_string());
        }
        if self.per_page != Self::default().per_page {
            any("per_page", &self.per_page.to_string());
        }
        for status in &self.statuses {
            any("status", status.as_str());
        }
        if let Some(target) = &self.target {
            any("target", target);
        }
        query.finish().trim_end_matches('?').to_owned()
    }

    /// How many pages `total` scans fill; one, even when there is nothing.
    pub(crate) fn pages(&self, total: u64) -> u64 {
        total.div_ceil(self.per_page as u64).max(1)
    }
}

fn number(text: &str, most: usize) -> Result<usize, String> {
    text.parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(|| format!("expected a number from 1 to {most}"))
}

fn statuses(text: &str) -> Result<Vec<ScanStatus>, String> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words.map(|word| word.parse::<ScanStatus>().map_err(|error| format!("expected one or more of {}", error.expected))).collect()
}

fn target(text: &str) -> Result<Option<String>, String> {
    let text = text.trim().to_lowercase();
    if text.chars().count() > MAX_TARGET {
        return Err(format!("longer than {MAX_TARGET} characters"));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn before(text: &str) -> Result<Option<ScanId>, String> {
    text.parse().map(Some).map_err(|_| "expected a scan's number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_everything_that_can_be_asked() {
        let (list, errors) = ScanListQuery::parse(Some("page=3&per_page=50&status=failed,running&status=pending&target=Example&before=77&utm=1"));
        assert_eq!(errors, []);
        assert_eq!((list.page, list.per_page, list.before), (3, 50, Some(ScanId(77))));
        assert_eq!(list.statuses, [ScanStatus::Pending, ScanStatus::Running, ScanStatus::Failed]);
        assert_eq!((list.target.as_deref(), list.for_store().offset), (Some("example"), 100));
    }

    #[test]
    fn names_every_wrong_parameter_and_keeps_the_rest() {
        let (list, errors) = ScanListQuery::parse(Some("page=0&per_page=101&status=done&before=x&target=ok"));
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["page", "per_page", "status", "before"]);
        assert_eq!(list, ScanListQuery { target: Some("ok".into()), ..ScanListQuery::default() });
    }

    #[test]
    fn a_link_asks_for_what_it_was_made_of() {
        let (list, _) = ScanListQuery::parse(Some("status=failed,running&target=a%26b&per_page=50"));
        let link = list.link(2);
        assert_eq!(link, "/?page=2&per_page=50&status=running&status=failed&target=a%26b");
        assert_eq!(ScanListQuery::parse(link.split_once('?').map(|(_, query)| query)).0, ScanListQuery { page: 2, ..list });
        assert_eq!(ScanListQuery::default().link(1), "/");
    }

    #[test]
    fn pages_are_counted_from_one() {
        let list = ScanListQuery::default();
        for (total, pages) in [(0, 1), (1, 1), (20, 1), (21, 2), (100_000, 5_000)] {
            assert_eq!(list.pages(total), pages);
        }
    }
}
