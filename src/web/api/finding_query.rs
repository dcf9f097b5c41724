//! Reads the queries of the lists of findings and targets. The response to an invalid query names
//! every wrong parameter.

use std::collections::BTreeSet;

use kastrel_actors::model::{ProjectId, ScanId};

use super::query::Reader;
use crate::exports::Format;
use crate::service::findings::{
    FilterError, FindingFilter, FindingQuery, FindingSort, MOST_FILTER_CHARS, MOST_ON_PAGE, TargetQuery,
};
use crate::web::error::Problem;

/// The rows of a page without a `limit`.
const DEFAULT_LIMIT: usize = 50;
/// The findings of a scan without a `limit`.
const DEFAULT_OF_SCAN: usize = 200;
/// The most rows that a query leaves out.
const MOST_SKIPPED: usize = 10_000_000;
/// The longest words for targets in characters.
const MOST_WORDS: usize = 500;
/// The longest list of tags in characters.
const MOST_TAGS_TEXT: usize = 1_000;

impl Reader<'_> {
    /// Returns how many rows to leave out, and how many to return.
    fn page(&mut self, default: usize) -> (usize, usize) {
        (self.number("skip", 0, MOST_SKIPPED, 0), self.number("limit", 1, MOST_ON_PAGE, default))
    }

    fn filter(&mut self) -> FindingFilter {
        let text = self.text("q", MOST_FILTER_CHARS).unwrap_or_default();
        text.parse().unwrap_or_else(|error: FilterError| {
            self.wrong("q", error.to_string());
            FindingFilter::default()
        })
    }
}

/// Reads the query of a list of findings.
pub(crate) fn findings(query: Option<&str>) -> Result<FindingQuery, Problem> {
    let mut reader = Reader::new(query, &["q", "sort", "skip", "limit"]);
    let filter = reader.filter();
    let sort = match reader.text("sort", 40).as_deref() {
        None => FindingSort::default(),
        Some(text) => FindingSort::read(text).unwrap_or_else(|| {
            reader.wrong("sort", "expected one of severity, newest, due, target");
            FindingSort::default()
        }),
    };
    let (skip, limit) = reader.page(DEFAULT_LIMIT);
    reader.done(FindingQuery { filter, sort, skip, limit })
}

/// Reads the query of a list of issues: the filter, and how many groups to leave out and to return.
pub(crate) fn groups(query: Option<&str>) -> Result<(FindingFilter, usize, usize), Problem> {
    let mut reader = Reader::new(query, &["q", "skip", "limit"]);
    let filter = reader.filter();
    let (skip, limit) = reader.page(DEFAULT_LIMIT);
    reader.done((filter, skip, limit))
}

/// Reads the query of a list of targets.
pub(crate) fn targets(query: Option<&str>) -> Result<TargetQuery, Problem> {
    let mut reader = Reader::new(query, &["q", "tag", "project", "skip", "limit"]);
    let words = reader.text("q", MOST_WORDS).unwrap_or_default();
    let words = TargetQuery::words_of(&words).unwrap_or_else(|why| {
        reader.wrong("q", why);
        Vec::new()
    });
    let tags = TargetQuery::tags_of(reader.all("tag").flat_map(|tags| tags.split(',')));
    let tags = tags.unwrap_or_else(|why| {
        reader.wrong("tag", why);
        BTreeSet::new()
    });
    if tags.iter().map(|tag| tag.chars().count()).sum::<usize>() > MOST_TAGS_TEXT {
        reader.wrong("tag", format!("expected at most {MOST_TAGS_TEXT} characters"));
    }
    let project = reader.text("project", 100).map(|text| text.parse::<ProjectId>());
    let projects = match project {
        None => BTreeSet::new(),
        Some(Ok(project)) => BTreeSet::from([project]),
        Some(Err(error)) => {
            reader.wrong("project", error.to_string());
            BTreeSet::new()
        }
    };
    let (skip, limit) = reader.page(DEFAULT_LIMIT);
    reader.done(TargetQuery { words, tags, projects, ids: BTreeSet::new(), skip, limit })
}

/// Reads the page of what a scan saw: how many findings to leave out and to return.
pub(crate) fn of_scan(query: Option<&str>) -> Result<(u32, usize), Problem> {
    let mut reader = Reader::new(query, &["skip", "limit"]);
    let (skip, limit) = reader.page(DEFAULT_OF_SCAN);
    reader.done((u32::try_from(skip).unwrap_or(u32::MAX), limit))
}

/// Reads the format and the filter of an export; only those in `formats` are there.
pub(crate) fn export(
    query: Option<&str>,
    formats: &[Format],
    has_filter: bool,
) -> Result<(Format, FindingFilter), Problem> {
    let known: &[&str] = if has_filter { &["format", "q"] } else { &["format"] };
    let mut reader = Reader::new(query, known);
    let wanted = reader.text("format", 40);
    let format = wanted.as_ref().and_then(|text| text.parse().ok()).filter(|format| formats.contains(format));
    let expected = || {
        let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
        format!("expected one of {}", names.join(", "))
    };
    if wanted.is_some() && format.is_none() {
        reader.wrong("format", expected());
    }
    let filter = if has_filter { reader.filter() } else { FindingFilter::default() };
    match format {
        Some(format) => reader.done((format, filter)),
        None => {
            if reader.is_valid() {
                reader.wrong("format", expected());
            }
            Err(reader.problem())
        }
    }
}

/// Reads the scan with which to compare.
pub(crate) fn compared_with(query: Option<&str>) -> Result<Option<ScanId>, Problem> {
    let mut reader = Reader::new(query, &["with"]);
    let with = reader.scan("with", 1).map(ScanId);
    reader.done(with)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::findings::{MOST_QUERY_VALUES, MOST_QUERY_WORDS};

    fn fields<T>(read: Result<T, Problem>) -> Vec<String> {
        let Err(problem) = read else { return Vec::new() };
        problem.errors.iter().map(|error| error.field.clone()).collect()
    }

    #[test]
    fn query_of_findings_is_read_with_its_defaults_and_bounds() {
        let query = findings(None).unwrap();
        assert_eq!((query.skip, query.limit, query.sort), (0, 50, FindingSort::Severity));
        let query = findings(Some("q=severity%3Ahigh&sort=due&skip=100&limit=500")).unwrap();
        assert_eq!((query.skip, query.limit, query.sort), (100, 500, FindingSort::Due));
        assert_eq!(query.filter, "severity:high".parse().unwrap());
        let empty = findings(Some("q=&sort=&skip=&limit=")).unwrap();
        assert_eq!(empty, findings(None).unwrap());
        let wrong = "q=colour%3Ared&sort=colour&skip=-1&limit=501&page=2";
        assert_eq!(fields(findings(Some(wrong))), ["page", "q", "sort", "skip", "limit"]);
        for wrong in ["limit=0", "limit=x", "limit=99999999999999999999999"] {
            assert_eq!(fields(findings(Some(wrong))), ["limit"], "{wrong}");
        }
        assert_eq!(fields(findings(Some("skip=10000001"))), ["skip"]);
        assert_eq!(fields(findings(Some("q=a&q=b"))), ["q"]);
        assert_eq!(fields(groups(Some("sort=due"))), ["sort"]);
    }

    #[test]
    fn query_of_an_export_names_each_wrong_parameter() {
        let wrong = |query: &str, has_filter| {
            let read = export(Some(query), &Format::OF_SCANS, has_filter);
            assert!(read.is_err(), "{query}");
            fields(read)
        };
        assert_eq!(wrong("", false), ["format"]);
        assert_eq!(wrong("format=openvex", false), ["format"]);
        assert_eq!(wrong("format=SARIF", false), ["format"]);
        assert_eq!(wrong("format=csv&format=csv", false), ["format"]);
        assert_eq!(wrong("format=csv&q=x", false), ["q"]);
        assert_eq!(wrong("format=csv&other=1", true), ["other"]);
        assert_eq!(wrong(&format!("format=csv&q={}", "x".repeat(MOST_FILTER_CHARS + 1)), true), ["q"]);
        assert_eq!(wrong("format=pdf&q=severity:worst", true), ["format", "q"]);
        let (format, filter) = export(Some("format=sarif&q=plugin:testssl"), &Format::OF_FINDINGS, true).unwrap();
        assert_eq!((format, filter.to_string()), (Format::Sarif, "plugin:testssl".into()));
    }

    #[test]
    fn query_of_targets_has_words_tags_and_a_project() {
        let query = targets(Some("q=shop+example&tag=prod,eu&tag=web&project=team&limit=7")).unwrap();
        assert_eq!(query.words, ["shop", "example"]);
        assert_eq!(query.tags.iter().collect::<Vec<_>>(), ["eu", "prod", "web"]);
        assert_eq!((query.projects.len(), query.limit), (1, 7));
        assert_eq!(fields(targets(Some("project=No+Id"))), ["project"]);
        let long = format!("q={}&tag={}", "a".repeat(501), "b".repeat(1001));
        assert_eq!(fields(targets(Some(&long))), ["q", "tag"]);
        let numbers = |most: usize, between: &str| (0..=most).map(|n| n.to_string()).collect::<Vec<_>>().join(between);
        let many = format!("q={}&tag={}", numbers(MOST_QUERY_WORDS, "+"), numbers(MOST_QUERY_VALUES, ","));
        assert_eq!(fields(targets(Some(&many))), ["q", "tag"]);
    }

    #[test]
    fn scan_to_compare_with_is_a_number() {
        assert_eq!(compared_with(Some("with=7")).unwrap(), Some(ScanId(7)));
        assert_eq!(compared_with(Some("with=")).unwrap(), None);
        for wrong in ["with=0", "with=-1", "with=x", "with=9223372036854775808", "with=1&with=2"] {
            assert_eq!(fields(compared_with(Some(wrong))), ["with"], "{wrong}");
        }
        assert_eq!(of_scan(Some("skip=3")).unwrap(), (3, 200));
    }
}
