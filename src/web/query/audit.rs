//! The query of the audit log, for the API and the page. The URL contains the complete state of a
//! page.

use kastrel_actors::model::{AuditCursor, AuditQuery, FieldError, ParseAuditCursorError, Principal, ScanId};
use url::form_urlencoded;

use super::day::{Day, day};
use super::parameter::{id, number, principal, unspaced, zone};
use crate::web::zone::Zone;

/// The largest number of entries of a page.
const MAX_LIMIT: usize = 1000;

/// The filters of the audit log, and where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditLogQuery {
    pub(crate) scan: Option<ScanId>,
    pub(crate) principal: Option<Principal>,
    pub(crate) action: Option<&'static str>,
    /// The first day, as written in the query.
    pub(crate) from: Option<Day>,
    /// The last day, as written in the query.
    pub(crate) to: Option<Day>,
    /// The time zone of those days.
    pub(crate) zone: Zone,
    pub(crate) before: Option<AuditCursor>,
    pub(crate) limit: Option<usize>,
}

impl AuditLogQuery {
    /// The query without filters.
    pub(crate) fn all() -> Self {
        Self {
            scan: None,
            principal: None,
            action: None,
            from: None,
            to: None,
            zone: Zone::default(),
            before: None,
            limit: None,
        }
    }

    /// Parses a query string. Every invalid parameter is named, and the valid ones are kept.
    pub(crate) fn parse(query: Option<&str>) -> (Self, Vec<FieldError>) {
        Self::read(query, |_| true)
    }

    /// Parses the query of a form, which sends its empty fields as well.
    pub(crate) fn parse_form(query: Option<&str>) -> (Self, Vec<FieldError>) {
        Self::read(query, |value| !unspaced(value).is_empty())
    }

    fn read(query: Option<&str>, is_given: impl Fn(&str) -> bool) -> (Self, Vec<FieldError>) {
        let (mut log, mut errors) = (Self::all(), Vec::new());
        // Days are parsed last, because their time zone may follow them.
        let (mut from, mut to) = (String::new(), String::new());
        let parameters = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        for (name, value) in parameters.filter(|(_, value)| is_given(value)) {
            let read = match &*name {
                "scan" => id(&value).map(|scan| log.scan = scan),
                "principal" => principal(&value).map(|principal| log.principal = principal),
                "action" => action(&value).map(|action| log.action = action),
                "from" => {
                    from = value.into_owned();
                    Ok(())
                }
                "to" => {
                    to = value.into_owned();
                    Ok(())
                }
                "zone" => zone(&value).map(|zone| log.zone = zone),
                "before" => place(&value).map(|place| log.before = place),
                "limit" => number(&value, MAX_LIMIT).map(|limit| log.limit = Some(limit)),
                // Unknown parameters, such as those of trackers, are ignored.
                _ => Ok(()),
            };
            if let Err(message) = read {
                errors.push(FieldError::new(name, message));
            }
        }
        for (name, text, place) in [("from", from, &mut log.from), ("to", to, &mut log.to)] {
            match day(&text, &log.zone) {
                Ok(day) => *place = day,
                Err(message) => errors.push(FieldError::new(name, message)),
            }
        }
        (log, errors)
    }

    /// Returns a link to `path` with this query.
    pub(crate) fn link(&self, path: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut any = |name: &str, value: &str| {
            query.append_pair(name, value);
        };
        if let Some(principal) = &self.principal {
            any("principal", &principal.to_string());
        }
        if let Some(action) = self.action {
            any("action", action);
        }
        if let Some(scan) = self.scan {
            any("scan", &scan.to_string());
        }
        for (name, day) in [("from", &self.from), ("to", &self.to)] {
            if let Some(day) = day {
                any(name, &day.text);
            }
        }
        if (self.from.is_some() || self.to.is_some()) && !self.zone.is_utc() {
            any("zone", self.zone.name());
        }
        if let Some(limit) = self.limit {
            any("limit", &limit.to_string());
        }
        if let Some(before) = &self.before {
            any("before", &before.to_string());
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// Converts the query for the store; `limit` is the number of entries if the query has none.
    pub(crate) fn for_store(&self, limit: usize) -> AuditQuery {
        AuditQuery {
            scan: self.scan,
            principal: self.principal.clone(),
            action: self.action,
            from: self.from.as_ref().map(|day| day.begins),
            to: self.to.as_ref().map(|day| day.ends),
            before: self.before.clone(),
            ..AuditQuery::newest(self.limit.unwrap_or(limit))
        }
    }

    /// Returns the page that begins at a place; without one, the first page.
    pub(crate) fn page_at(&self, before: Option<AuditCursor>) -> Self {
        Self { before, ..self.clone() }
    }

    /// Returns whether the query has a filter.
    pub(crate) fn is_narrowed(&self) -> bool {
        let unfiltered =
            Self { zone: self.zone.clone(), before: self.before.clone(), limit: self.limit, ..Self::all() };
        *self != unfiltered
    }
}

fn action(text: &str) -> Result<Option<&'static str>, String> {
    let text = unspaced(text);
    if text.is_empty() {
        return Ok(None);
    }
    AuditQuery::action_named(text).map(Some).map_err(|error| format!("expected one of {}", error.expected))
}

fn place(text: &str) -> Result<Option<AuditCursor>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: ParseAuditCursorError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_parses_every_parameter_and_links_back_to_itself() {
        let asked = "principal=user%3Aana&action=signed_in&scan=7&from=2026-11-01&to=2026-11-02&zone=Pacific%2FAuckland&limit=5&before=10.4f-2a";
        let (log, errors) = AuditLogQuery::parse(Some(&format!("utm=1&{asked}")));
        assert_eq!(errors, []);
        let before: AuditCursor = "10.4f-2a".parse().unwrap();
        let expected = AuditQuery {
            scan: Some(ScanId(7)),
            principal: Some("user:ana".parse().unwrap()),
            action: Some("signed_in"),
            from: "2026-10-31T11:00:00Z".parse().ok(),
            to: "2026-11-02T11:00:00Z".parse().ok(),
            before: Some(before.clone()),
            ..AuditQuery::newest(5)
        };
        assert_eq!(log.for_store(50), expected);
        assert_eq!(log.link("/audit"), format!("/audit?{asked}"));
        assert_eq!(log.page_at(None).for_store(50), AuditQuery { before: None, ..expected });
        assert!(log.is_narrowed());
        let (first, errors) = AuditLogQuery::parse(Some("zone=Pacific%2FAuckland&before=10.4f-2a&limit=9"));
        assert_eq!((first.is_narrowed(), errors, first.for_store(50).before), (false, vec![], Some(before)));
        assert_eq!(AuditLogQuery::all().link("/audit"), "/audit");
        assert_eq!(AuditLogQuery::all().for_store(50), AuditQuery::newest(50));
    }

    #[test]
    fn query_names_every_wrong_parameter() {
        for (name, value) in [
            ("scan", "x"),
            ("scan", "-1"),
            ("scan", "9223372036854775808"),
            ("principal", "ana"),
            ("principal", "user:Ana"),
            ("principal", "group:ana"),
            ("action", "signed in"),
            ("action", "Signed_in"),
            ("from", "yesterday"),
            ("to", "2026-02-30"),
            ("zone", "../etc"),
            ("before", "10"),
            ("before", "10.<b>"),
            ("limit", "0"),
            ("limit", "1001"),
            ("limit", "+1"),
        ] {
            let query = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
            let (log, errors) = AuditLogQuery::parse(Some(&query));
            assert_eq!(errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(), [name], "{value}");
            assert_eq!(log, AuditLogQuery::all(), "{name}={value}");
        }
        let (log, errors) = AuditLogQuery::parse(Some("scan=x&principal=system&action=y"));
        assert_eq!((errors.len(), log.principal), (2, Some(Principal::System)));
    }

    #[test]
    fn empty_fields_of_a_form_are_no_filters() {
        let form = "principal=&action=&scan=&from=&to=+&zone=UTC&before=&limit=";
        assert_eq!(AuditLogQuery::parse_form(Some(form)), (AuditLogQuery::all(), vec![]));
        let strict = AuditLogQuery::parse(Some(form)).1;
        assert_eq!(strict.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(), ["scan", "limit"]);
    }
}
