//! The parameters of a query. The response to an invalid query names every wrong parameter.

use std::borrow::Cow;

use kastrel_actors::model::FieldError;
use url::form_urlencoded;

use crate::web::error::{Problem, ProblemKind};

/// The longest number in characters.
const MOST_DIGITS: usize = 40;

/// The parameters of a query, while they are read.
pub(super) struct Reader<'a> {
    parameters: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    errors: Vec<FieldError>,
}

impl<'a> Reader<'a> {
    /// Splits a query. Only the parameters in `known` exist.
    pub(super) fn new(query: Option<&'a str>, known: &[&str]) -> Self {
        let parameters: Vec<_> = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect();
        let unknown = parameters.iter().filter(|(name, _)| !known.contains(&&**name));
        let errors = unknown.map(|(name, _)| FieldError::new(&**name, "there is no such parameter")).collect();
        Self { parameters, errors }
    }

    /// Adds what is wrong with a parameter.
    pub(super) fn wrong(&mut self, name: &str, message: impl Into<String>) {
        self.errors.push(FieldError::new(name, message));
    }

    /// Returns the values of a parameter without the spaces around them, but for the empty ones.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.sent(name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// Returns the values of a parameter as they were sent.
    fn sent(&self, name: &str) -> impl Iterator<Item = &str> {
        self.parameters.iter().filter(move |(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// Returns a parameter that is there at most once and has at most `most` characters, with the
    /// spaces around it.
    pub(super) fn text(&mut self, name: &str, most: usize) -> Option<String> {
        let is_long = self.sent(name).any(|value| value.chars().count() > most);
        let values: Vec<String> = self.all(name).map(str::to_owned).collect();
        if values.len() > 1 {
            self.wrong(name, "expected it once");
        }
        if is_long {
            self.wrong(name, format!("expected at most {most} characters"));
            return None;
        }
        values.into_iter().next()
    }

    /// Returns a number.
    pub(super) fn number(&mut self, name: &str, least: usize, most: usize, default: usize) -> usize {
        let Some(text) = self.text(name, MOST_DIGITS) else { return default };
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => number,
            Ok(_) | Err(_) => {
                self.wrong(name, format!("expected a number from {least} to {most}"));
                default
            }
        }
    }

    /// Returns the number of a scan that is at least `least`.
    pub(super) fn scan(&mut self, name: &str, least: u64) -> Option<u64> {
        let text = self.text(name, MOST_DIGITS)?;
        // No scan has a larger number, and many programs support no larger integer.
        let scan = text.parse().ok().filter(|scan: &u64| *scan >= least && i64::try_from(*scan).is_ok());
        if scan.is_none() {
            self.wrong(name, "expected the number of a scan");
        }
        scan
    }

    /// Returns whether nothing is wrong so far.
    pub(super) const fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    /// Returns what was read, or a problem with all that is wrong.
    pub(super) fn done<T>(self, read: T) -> Result<T, Problem> {
        if self.is_valid() { Ok(read) } else { Err(self.problem()) }
    }

    /// Returns the problem with all that is wrong.
    pub(super) fn problem(self) -> Problem {
        Problem::fields(ProblemKind::InvalidQuery, self.errors)
    }
}
