//! The values of single parameters of a list's query. Each error completes the name of the
//! parameter.

use std::str::FromStr;

use kastrel_actors::model::{Cursor, Principal, ProjectId, ScanId, ScanStatus, UnknownName};

use crate::web::zone::Zone;

const MAX_TEXT: usize = 280;

pub(super) fn place(text: &str) -> Result<Option<Cursor>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || "expected a cursor from an earlier page".to_owned();
    let (rank, id) = text.rsplit_once('~').ok_or_else(wrong)?;
    let id = digits(id).map(ScanId).ok_or_else(wrong)?;
    if rank.len() > MAX_TEXT { Err(wrong()) } else { Ok(Some(Cursor { rank: rank.to_owned(), id })) }
}

/// Parses a number of digits only, without a sign.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

pub(super) fn number(text: &str, most: usize) -> Result<usize, String> {
    digits(text)
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| format!("expected a number from 1 to {most}"))
}

pub(super) fn statuses(text: &str) -> Result<Vec<ScanStatus>, String> {
    let words = text.split(',').map(unspaced).filter(|word| !word.is_empty());
    words
        .map(|word| word.parse::<ScanStatus>().map_err(|error| format!("expected one or more of {}", error.expected)))
        .collect()
}

/// Trims spaces around a word, as the API description allows.
pub(super) fn unspaced(text: &str) -> &str {
    text.trim_matches(' ')
}

pub(super) fn name_of<T: FromStr<Err = UnknownName>>(text: &str) -> Result<Option<T>, String> {
    let text = unspaced(text);
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: UnknownName| format!("expected one of {}", error.expected))
}

/// Parses the id of a project. A text that is no id is the id of no project.
pub(super) fn project(text: &str) -> Result<Option<ProjectId>, String> {
    let text = unspaced(text);
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| ProjectId::UNKNOWN.to_owned())
}

/// Parses a principal, such as `user:ana`.
pub(super) fn principal(text: &str) -> Result<Option<Principal>, String> {
    name_of(text)
}

pub(super) fn text(text: &str) -> Result<Option<String>, String> {
    let text = text.trim();
    if text.chars().count() > MAX_TEXT {
        return Err(format!("longer than {MAX_TEXT} characters"));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

pub(super) fn id(text: &str) -> Result<Option<ScanId>, String> {
    // No scan has a larger number, and many programs support no larger integer.
    let number = digits(text).filter(|number: &u64| i64::try_from(*number).is_ok());
    number.map(|number| Some(ScanId(number))).ok_or_else(|| "expected a scan number".to_owned())
}

/// Parses a time zone of the time zone database; empty means UTC.
pub(super) fn zone(text: &str) -> Result<Zone, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Zone::default());
    }
    Zone::named(text).ok_or_else(|| "expected a time zone such as Europe/Berlin".to_owned())
}
