//! Which entries of the audit log to read, and a page of them.

use std::str::FromStr;

use jiff::Timestamp;

use super::{AuditEntry, DomainEvent, Principal, ScanId, UnknownName};

/// The filters of the audit log and the place where a page begins. Entries are listed newest first.
///
/// There is no filter of a project: most events, such as the submission of a scan, do not name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only entries of this scan.
    pub scan: Option<ScanId>,
    /// Only entries of this principal.
    pub principal: Option<Principal>,
    /// Only entries of this action, one of [`DomainEvent::ACTIONS`].
    pub action: Option<&'static str>,
    /// Only entries of this moment or later.
    pub from: Option<Timestamp>,
    /// Only entries before this moment.
    pub to: Option<Timestamp>,
    /// Only entries after this one in the list: older ones.
    pub before: Option<AuditCursor>,
    /// How many entries the page has at most.
    pub limit: usize,
    /// After how many entries without a match the search stops, although the page is not full.
    pub most_skipped: usize,
}

impl AuditQuery {
    /// The default of [`most_skipped`](Self::most_skipped).
    pub const MOST_SKIPPED: usize = 5_000;

    /// Returns the query of the newest entries.
    #[must_use]
    pub const fn newest(limit: usize) -> Self {
        Self {
            scan: None,
            principal: None,
            action: None,
            from: None,
            to: None,
            before: None,
            limit,
            most_skipped: Self::MOST_SKIPPED,
        }
    }

    /// Returns the query of the newest entries of a scan.
    #[must_use]
    pub fn of_scan(scan: ScanId, limit: usize) -> Self {
        Self { scan: Some(scan), ..Self::newest(limit) }
    }

    /// Returns the action with this name, for [`action`](Self::action).
    ///
    /// # Errors
    /// There is no such action.
    pub fn action_named(text: &str) -> Result<&'static str, UnknownName> {
        let named = DomainEvent::ACTIONS.into_iter().find(|action| *action == text);
        named.ok_or_else(|| UnknownName { given: text.to_owned(), expected: DomainEvent::ACTIONS.join(", ") })
    }

    /// Returns whether an entry has to be compared with the filters: neither a key range nor the
    /// index of scans finds its principal or its action.
    #[must_use]
    pub const fn is_searched(&self) -> bool {
        self.principal.is_some() || self.action.is_some()
    }

    /// Returns whether the filters admit an entry.
    #[must_use]
    pub fn matches(&self, entry: &AuditEntry) -> bool {
        self.scan.is_none_or(|scan| entry.scan == Some(scan))
            && self.principal.as_ref().is_none_or(|principal| entry.principal == *principal)
            && self.action.is_none_or(|action| entry.event.action() == action)
            && self.from.is_none_or(|from| entry.at >= from)
            && self.to.is_none_or(|to| entry.at < to)
    }
}

/// The place of an entry in the audit log. No two entries have the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditCursor {
    /// When the entry was committed.
    pub at: Timestamp,
    /// What distinguishes it from the others of that moment, which are in the order of this text.
    pub nonce: String,
}

/// The text is not the place of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a cursor from an earlier page")]
pub struct ParseAuditCursorError;

impl AuditCursor {
    /// The largest length of a nonce, in characters.
    const MAX_NONCE: usize = 64;

    /// Returns true if an entry at `at` with this nonce follows in the list.
    #[must_use]
    pub fn is_before(&self, at: Timestamp, nonce: &str) -> bool {
        at < self.at || (at == self.at && nonce > self.nonce.as_str())
    }
}

/// The moment in nanoseconds since 1970, a dot and the nonce.
impl std::fmt::Display for AuditCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at.as_nanosecond(), self.nonce)
    }
}

impl FromStr for AuditCursor {
    type Err = ParseAuditCursorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (at, nonce) = text.split_once('.').ok_or(ParseAuditCursorError)?;
        let is_number = !at.is_empty() && at.bytes().all(|byte| byte.is_ascii_digit());
        let is_nonce = (1..=Self::MAX_NONCE).contains(&nonce.len())
            && nonce.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_number || !is_nonce {
            return Err(ParseAuditCursorError);
        }
        let at: i64 = at.parse().map_err(|_| ParseAuditCursorError)?;
        let at = Timestamp::from_nanosecond(i128::from(at)).map_err(|_| ParseAuditCursorError)?;
        Ok(Self { at, nonce: nonce.to_owned() })
    }
}

/// A page of the audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries, newest first.
    pub entries: Vec<AuditEntry>,
    /// The place at which the next page begins; `None` at the end of the log. The next page may
    /// turn out to be empty.
    pub next: Option<AuditCursor>,
    /// Whether the search stopped before the page was full. It can be continued at `next`.
    pub is_partial: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn each_filter_admits_its_entries_alone() {
        let entry = AuditEntry {
            at: at(10),
            principal: "user:ana".parse().unwrap(),
            scan: Some(ScanId(7)),
            event: DomainEvent::FilesDownloaded,
        };
        let all = AuditQuery::newest(1);
        let principal = |text: &str| Some(text.parse::<Principal>().unwrap());
        for (query, is_admitted) in [
            (all.clone(), true),
            (AuditQuery::of_scan(ScanId(7), 1), true),
            (AuditQuery::of_scan(ScanId(8), 1), false),
            (AuditQuery { principal: principal("user:ana"), ..all.clone() }, true),
            (AuditQuery { principal: principal("service:ana"), ..all.clone() }, false),
            (AuditQuery { principal: principal("system"), ..all.clone() }, false),
            (AuditQuery { action: Some("files_downloaded"), ..all.clone() }, true),
            (AuditQuery { action: Some("scans_exported"), ..all.clone() }, false),
            (AuditQuery { from: Some(at(10)), ..all.clone() }, true),
            (AuditQuery { from: Some(at(11)), ..all.clone() }, false),
            (AuditQuery { to: Some(at(11)), ..all.clone() }, true),
            (AuditQuery { to: Some(at(10)), ..all.clone() }, false),
            (AuditQuery { principal: principal("user:ana"), action: Some("signed_in"), ..all.clone() }, false),
        ] {
            assert_eq!(query.matches(&entry), is_admitted, "{query:?}");
        }
        assert!(!AuditQuery::matches(&AuditQuery::of_scan(ScanId(7), 1), &AuditEntry { scan: None, ..entry }));
        assert!(!all.is_searched() && AuditQuery { action: Some("signed_in"), ..all }.is_searched());
    }

    #[test]
    fn actions_are_found_by_their_names() {
        for action in DomainEvent::ACTIONS {
            assert_eq!(AuditQuery::action_named(action), Ok(action));
        }
        for wrong in ["", "Signed_in", "signed in"] {
            assert!(AuditQuery::action_named(wrong).unwrap_err().expected.contains("signed_in"), "{wrong}");
        }
    }

    #[test]
    fn cursor_is_read_as_it_is_shown_and_orders_entries() {
        let cursor = AuditCursor { at: at(10), nonce: "4f-2a".into() };
        assert_eq!(
            (cursor.to_string().as_str(), "10000000000.4f-2a".parse()),
            ("10000000000.4f-2a", Ok(cursor.clone()))
        );
        let long = "a".repeat(65);
        for wrong in ["", ".", "10", "10.", ".a", "-10.a", "+10.a", "10.a b", "10.a'", "9223372036854775808.a", "x.a"] {
            assert!(wrong.parse::<AuditCursor>().is_err(), "{wrong}");
        }
        assert!(format!("10.{long}").parse::<AuditCursor>().is_err());
        for (second, nonce, follows) in
            [(9, "a", true), (11, "a", false), (10, "4f-2a", false), (10, "4f-2b", true), (10, "3", false)]
        {
            assert_eq!(cursor.is_before(at(second), nonce), follows, "{second} {nonce}");
        }
    }
}
