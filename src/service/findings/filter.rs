//! The text form of a [`FindingFilter`]: a line of tokens and free words.
//!
//! ```text
//! line  = { token | word }, separated by blanks
//! token = name ":" value { "," value }
//! value = text without blanks, commas and quotes | quoted
//! word  = text without quotes and without a known name in front of a colon | quoted
//! quoted = '"' text '"', with \" for a quote and \\ for a backslash
//! ```
//!
//! A name may be there several times: its values are joined. `age`, `new` and `since` have one
//! value each. A word counts once, in any case. A filter has at most 20 words, and at most 50
//! values of one name.

mod error;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kastrel_actors::model::ProjectId;
use kastrel_findings::Severity;
use kastrel_findings::lifecycle::Status;

pub use self::error::FilterError;
use self::text::{Piece, pieces, quoted};
use super::query::{FindingFilter, FindingFlag, FindingSort, MOST_QUERY_VALUES, OwnerFilter, add_word};

/// The longest filter in characters.
pub const MOST_FILTER_CHARS: usize = 2_000;

impl FindingFlag {
    /// All conditions.
    pub const ALL: [Self; 3] = [Self::Regressed, Self::Overdue, Self::Unchecked];

    /// Returns the name in filters and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Overdue => "overdue",
            Self::Unchecked => "unchecked",
        }
    }
}

impl FindingSort {
    /// All orders.
    pub const ALL: [Self; 4] = [Self::Severity, Self::Newest, Self::Due, Self::Target];

    /// Returns the name in addresses and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Severity => "severity",
            Self::Newest => "newest",
            Self::Due => "due",
            Self::Target => "target",
        }
    }

    /// Reads the name of an order. `None`: it is no such name.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.name() == name)
    }
}

impl FromStr for FindingFilter {
    type Err = FilterError;

    fn from_str(line: &str) -> Result<Self, FilterError> {
        if line.chars().count() > MOST_FILTER_CHARS {
            return Err(FilterError::new(line, format!("a filter has at most {MOST_FILTER_CHARS} characters")));
        }
        let mut filter = Self::default();
        for piece in pieces(line)? {
            match piece {
                Piece::Word(word) => add_word(&mut filter.words, &word).map_err(|why| FilterError::new(&word, why))?,
                Piece::Token { text, name, values } => {
                    let read = Reader { text, name };
                    for (value, is_quoted) in values {
                        read.value(&mut filter, &value, is_quoted)?;
                    }
                    read.bounded(&filter)?;
                }
            }
        }
        Ok(filter)
    }
}

/// Reads the values of one token.
struct Reader<'a> {
    text: &'a str,
    name: &'static str,
}

impl Reader<'_> {
    fn fault(&self, message: impl Into<String>) -> FilterError {
        FilterError::new(self.text, message)
    }

    fn value(&self, filter: &mut FindingFilter, value: &str, is_quoted: bool) -> Result<(), FilterError> {
        if value.trim().is_empty() {
            return Err(self.fault(format!("a value of `{}` is missing", self.name)));
        }
        match self.name {
            "severity" => {
                let severity = Severity::read(value);
                filter.severities.insert(severity.ok_or_else(|| {
                    self.fault(format!(
                        "`{value}` is no severity: expected {}",
                        listed(Severity::ALL.map(Severity::name))
                    ))
                })?);
            }
            "status" if value.eq_ignore_ascii_case("any") => filter.statuses.extend(Status::ALL),
            "status" => {
                let status = Status::ALL.into_iter().find(|status| status.name().eq_ignore_ascii_case(value));
                filter.statuses.insert(status.ok_or_else(|| {
                    let names = Status::ALL.map(Status::name);
                    self.fault(format!("`{value}` is no state: expected {} or any", names.join(", ")))
                })?);
            }
            "plugin" => add(&mut filter.plugins, value),
            "category" => add(&mut filter.categories, value),
            "issue" => add(&mut filter.issues, value),
            "target" => add(&mut filter.targets, value),
            "project" => {
                let project = value.parse::<ProjectId>();
                filter.projects.insert(project.map_err(|_| self.fault(format!("`{value}` is no id of a project")))?);
            }
            "tag" => add(&mut filter.tags, value),
            "owner" if value == "none" && !is_quoted => {
                filter.owners.insert(OwnerFilter::Nobody);
            }
            "owner" => {
                let account = value
                    .parse()
                    .map_err(|_| self.fault(format!("`{value}` is no name of an account: expected a name, or none")))?;
                filter.owners.insert(OwnerFilter::Account(account));
            }
            "age" => self.once(&mut filter.min_age_days, self.days(value)?)?,
            "new" => self.once(&mut filter.new_within_days, self.days(value)?)?,
            "since" => self.once(&mut filter.new_since, self.time(value)?)?,
            _ => {
                let flag = FindingFlag::ALL.into_iter().find(|flag| flag.name().eq_ignore_ascii_case(value));
                filter.flags.insert(flag.ok_or_else(|| {
                    let names = listed(FindingFlag::ALL.map(FindingFlag::name));
                    self.fault(format!("`{value}` is no condition: expected {names}"))
                })?);
            }
        }
        Ok(())
    }

    /// Checks the number of the values, over all tokens of this name.
    fn bounded(&self, filter: &FindingFilter) -> Result<(), FilterError> {
        let number = match self.name {
            "plugin" => filter.plugins.len(),
            "category" => filter.categories.len(),
            "issue" => filter.issues.len(),
            "target" => filter.targets.len(),
            "project" => filter.projects.len(),
            "tag" => filter.tags.len(),
            "owner" => filter.owners.len(),
            // The others have a fixed set of values, or one.
            _ => 0,
        };
        if number > MOST_QUERY_VALUES {
            return Err(self.fault(format!("`{}` can have at most {MOST_QUERY_VALUES} values", self.name)));
        }
        Ok(())
    }

    /// Sets a condition that has one value. The same value twice is no error.
    fn once<T: PartialEq>(&self, slot: &mut Option<T>, value: T) -> Result<(), FilterError> {
        if slot.as_ref().is_some_and(|known| *known != value) {
            return Err(self.fault(format!("`{}` can have one value only", self.name)));
        }
        *slot = Some(value);
        Ok(())
    }

    fn days(&self, value: &str) -> Result<u32, FilterError> {
        let number = value.strip_suffix('d').unwrap_or(value);
        let days = number.parse::<u32>().ok().filter(|days| *days <= 36_500 && !number.starts_with('+'));
        days.ok_or_else(|| self.fault(format!("`{value}` is no number of days: expected for example 30d")))
    }

    fn time(&self, value: &str) -> Result<Timestamp, FilterError> {
        let of_date = || value.parse::<Date>().ok()?.to_zoned_datetime(TimeZone::UTC).ok().map(|at| at.timestamp());
        value.parse::<Timestamp>().ok().or_else(of_date).ok_or_else(|| {
            self.fault(format!("`{value}` is no time: expected for example 2026-11-23 or 2026-11-23T08:00:00Z"))
        })
    }
}

fn add(values: &mut BTreeSet<String>, value: &str) {
    values.insert(value.to_owned());
}

fn listed<const N: usize>(names: [&str; N]) -> String {
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Writes the tokens in a fixed order, then the words. Reading the text again gives the
/// same filter.
impl fmt::Display for FindingFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Line { f, is_first: true };
        line.token("severity", self.severities.iter().map(|severity| severity.name().to_owned()))?;
        if self.statuses.len() == Status::ALL.len() {
            line.token("status", ["any".to_owned()])?;
        } else {
            line.token("status", self.statuses.iter().map(|status| status.name().to_owned()))?;
        }
        line.token("plugin", self.plugins.iter().map(|text| quoted(text)))?;
        line.token("category", self.categories.iter().map(|text| quoted(text)))?;
        line.token("issue", self.issues.iter().map(|text| quoted(text)))?;
        line.token("target", self.targets.iter().map(|text| quoted(text)))?;
        line.token("project", self.projects.iter().map(ToString::to_string))?;
        line.token("tag", self.tags.iter().map(|text| quoted(text)))?;
        line.token("owner", self.owners.iter().map(owner_text))?;
        line.token("age", self.min_age_days.map(|days| format!("{days}d")))?;
        line.token("new", self.new_within_days.map(|days| format!("{days}d")))?;
        line.token("since", self.new_since.map(time_text))?;
        line.token("is", self.flags.iter().map(|flag| flag.name().to_owned()))?;
        self.words.iter().try_for_each(|word| line.item(&text::word(word)))
    }
}

/// An account with the name `none` is quoted.
fn owner_text(owner: &OwnerFilter) -> String {
    match owner {
        OwnerFilter::Nobody => "none".to_owned(),
        OwnerFilter::Account(name) if name.to_string() == "none" => "\"none\"".to_owned(),
        OwnerFilter::Account(name) => name.to_string(),
    }
}

/// A day in UTC, or the time where it is no start of a day.
fn time_text(at: Timestamp) -> String {
    let zoned = at.to_zoned_datetime(TimeZone::UTC);
    let day = zoned.date();
    match day.to_zoned_datetime(TimeZone::UTC) {
        Ok(start) if start.timestamp() == at => day.to_string(),
        _ => at.to_string(),
    }
}

/// A line to which items are added.
struct Line<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    is_first: bool,
}

impl Line<'_, '_> {
    fn token(&mut self, name: &str, values: impl IntoIterator<Item = String>) -> fmt::Result {
        let values: Vec<String> = values.into_iter().collect();
        if values.is_empty() { Ok(()) } else { self.item(&format!("{name}:{}", values.join(","))) }
    }

    fn item(&mut self, text: &str) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.f.write_str(" ")?;
        }
        self.f.write_str(text)
    }
}
