//! The normal form of queries: their names.

use std::collections::BTreeSet;

use super::path::{percent, template};
use super::steps::Steps;

/// The limit for the names of a query. The rest is `{more}`.
const MOST_NAMES: usize = 24;
/// The limit for one name in bytes. A longer one is `{long}`.
const MOST_NAME_BYTES: usize = 100;

/// Returns the names of a query, sorted, once each.
pub(super) fn names(query: &str, steps: &mut Steps) -> Vec<String> {
    let mut names = BTreeSet::new();
    let (mut has_values, mut is_cut) = (false, false);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        has_values |= !value.is_empty();
        let name = percent(&name.replace('+', "%20"));
        let name = if name.len() > MOST_NAME_BYTES { "{long}".to_owned() } else { template(&name) };
        if name == "{more}" {
            is_cut = true;
        } else if !name.is_empty() {
            names.insert(name);
        }
        // The smallest names stay, so that the order of the query does not matter.
        if names.len() > MOST_NAMES {
            names.pop_last();
            is_cut = true;
        }
    }
    if has_values {
        steps.push("query: values do not count".to_owned());
    }
    let mut names: Vec<String> = names.into_iter().collect();
    if is_cut {
        names.push("{more}".to_owned());
        steps.push(format!("query: only {MOST_NAMES} names count"));
    }
    names
}
