//! The facets of the list: each value is a link that adds its token to the filter, or removes it.

use std::collections::BTreeSet;

use super::address::ListAddress;
use crate::service::findings::{Facet, FindingFilter};
use crate::web::text::{clean, counted, sentence, words};

/// A facet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FacetView {
    pub(super) name: &'static str,
    pub(super) title: String,
    pub(super) values: Vec<FacetValue>,
}

/// A value of a facet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FacetValue {
    pub(super) label: String,
    pub(super) count: usize,
    pub(super) url: String,
    /// Whether the filter has the value, so that the link removes it.
    pub(super) is_chosen: bool,
}

/// Returns the facets of a list, without values that no token can name.
pub(super) fn facets(list: &ListAddress, filter: &FindingFilter, facets: &[Facet]) -> Vec<FacetView> {
    let view = |facet: &Facet| {
        let value = |(value, count): &(String, usize)| {
            let (toggled, is_chosen) = toggled(filter, facet.name, value)?;
            Some(FacetValue {
                label: label(facet.name, value),
                count: *count,
                url: list.with_tokens(toggled.to_string()).link(),
                is_chosen,
            })
        };
        let values: Vec<FacetValue> = facet.values.iter().filter_map(value).collect();
        (!values.is_empty()).then(|| FacetView { name: facet.name, title: title(facet.name), values })
    };
    facets.iter().filter_map(view).collect()
}

fn title(name: &str) -> String {
    match name {
        "is" => "Flags".to_owned(),
        "new" => "New within".to_owned(),
        "age" => "Open for at least".to_owned(),
        _ => sentence(name),
    }
}

fn label(name: &str, value: &str) -> String {
    match (name, value) {
        ("owner", "none") => "Nobody".to_owned(),
        ("is", "unchecked") => "Not checked".to_owned(),
        ("new" | "age", _) => match value.strip_suffix('d').and_then(|days| days.parse().ok()) {
            Some(days) => counted(days, "day", "days"),
            None => clean(value),
        },
        ("severity" | "status" | "is", _) => sentence(&words(&clean(value))),
        _ => clean(value),
    }
}

/// Returns the filter with a value added to its facet, or removed if it is there, and whether it
/// was there. `None`: the value has no token.
fn toggled(filter: &FindingFilter, name: &str, value: &str) -> Option<(FindingFilter, bool)> {
    let mut filter = filter.clone();
    let text = value.to_owned();
    let was_there = match name {
        "plugin" => toggle(&mut filter.plugins, text),
        "category" => toggle(&mut filter.categories, text),
        "issue" => toggle(&mut filter.issues, text),
        "target" => toggle(&mut filter.targets, text),
        "tag" => toggle(&mut filter.tags, text),
        "project" => toggle(&mut filter.projects, value.parse().ok()?),
        // The names of these values are those of the tokens.
        "severity" => toggle(&mut filter.severities, only(one(name, value)?.severities)?),
        "status" => toggle(&mut filter.statuses, only(one(name, value)?.statuses)?),
        "owner" => toggle(&mut filter.owners, only(one(name, value)?.owners)?),
        "is" => toggle(&mut filter.flags, only(one(name, value)?.flags)?),
        "new" => set_or_clear(&mut filter.new_within_days, one(name, value)?.new_within_days?),
        "age" => set_or_clear(&mut filter.min_age_days, one(name, value)?.min_age_days?),
        _ => return None,
    };
    Some((filter, was_there))
}

/// Returns the filter of one token.
fn one(name: &str, value: &str) -> Option<FindingFilter> {
    format!("{name}:{value}").parse().ok()
}

fn only<T: Ord>(set: BTreeSet<T>) -> Option<T> {
    let mut values = set.into_iter();
    values.next().filter(|_| values.next().is_none())
}

fn toggle<T: Ord>(set: &mut BTreeSet<T>, value: T) -> bool {
    let was_there = set.remove(&value);
    if !was_there {
        set.insert(value);
    }
    was_there
}

/// Sets a token that has one value, or clears it if it has this value.
fn set_or_clear<T: PartialEq>(slot: &mut Option<T>, value: T) -> bool {
    let was_there = slot.as_ref() == Some(&value);
    *slot = (!was_there).then_some(value);
    was_there
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(tokens: &str) -> FindingFilter {
        tokens.parse().unwrap()
    }

    #[test]
    fn value_of_a_facet_is_added_to_the_filter_or_removed_from_it() {
        let before = filter("severity:high plugin:testssl tls");
        for (name, value, expected, was_there) in [
            ("severity", "critical", "severity:high,critical plugin:testssl tls", false),
            ("severity", "high", "plugin:testssl tls", true),
            ("plugin", "testssl", "severity:high tls", true),
            ("plugin", "zap", "severity:high plugin:testssl,zap tls", false),
            ("status", "fixed", "severity:high plugin:testssl status:fixed tls", false),
            ("owner", "none", "severity:high plugin:testssl owner:none tls", false),
            ("is", "regressed", "severity:high plugin:testssl is:regressed tls", false),
            ("project", "team", "severity:high plugin:testssl project:team tls", false),
            ("tag", "prod", "severity:high plugin:testssl tag:prod tls", false),
            ("new", "7d", "severity:high plugin:testssl new:7d tls", false),
        ] {
            assert_eq!(toggled(&before, name, value), Some((filter(expected), was_there)), "{name}:{value}");
        }
        let aged = filter("new:7d age:90d");
        for (name, value, expected, was_there) in [
            ("new", "30d", "new:30d age:90d", false),
            ("new", "7d", "age:90d", true),
            ("age", "30d", "new:7d age:30d", false),
            ("age", "90d", "new:7d", true),
        ] {
            assert_eq!(toggled(&aged, name, value), Some((filter(expected), was_there)), "{name}:{value}");
        }
        for (name, value) in
            [("new", "soon"), ("severity", "loud"), ("status", ""), ("project", "No Project"), ("other", "x")]
        {
            assert_eq!(toggled(&before, name, value), None, "{name}:{value}");
        }
    }

    #[test]
    fn value_with_blanks_and_quotes_stays_one_value_in_the_link() {
        let facet = Facet { name: "category", values: vec![("TLS \"and\" <b>".into(), 3)] };
        let views = facets(&ListAddress::default(), &FindingFilter::default(), &[facet]);
        let link = &views[0].values[0].url;
        let (list, _) = ListAddress::parse(link.split_once('?').map(|(_, query)| query));
        let read = filter(&list.tokens);
        assert_eq!(read.categories.into_iter().collect::<Vec<_>>().len(), 1, "{link}");
        assert!(read.words.is_empty(), "{link}");
    }
}
