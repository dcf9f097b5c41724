//! The query of a scan list, for the API, the page and the export. The URL contains the complete
//! state of a list.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use kastrel_actors::model::{Cursor, FieldError, ListQuery, ScanId, ScanMode, ScanOrder, ScanStatus, Severity};
use kastrel_actors::policy::listing::search_text;
use url::form_urlencoded;

use super::zone::Zone;

const MAX_PER_PAGE: usize = 100;
const MAX_PAGE: usize = 10_000_000;
const MAX_TEXT: usize = 280;

/// The filters, the order and the page of a scan list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScanListQuery {
    pub(crate) page: usize,
    pub(crate) per_page: usize,
    pub(crate) statuses: Vec<ScanStatus>,
    pub(crate) target: Option<String>,
    pub(crate) mode: Option<ScanMode>,
    pub(crate) plugin: Option<String>,
    pub(crate) min_severity: Option<Severity>,
    /// The first day, as written in the query.
    pub(crate) from: Option<Day>,
    /// The last day, as written in the query.
    pub(crate) to: Option<Day>,
    /// The time zone of those days.
    pub(crate) zone: Zone,
    pub(crate) order: ScanOrder,
    pub(crate) before: Option<ScanId>,
    pub(crate) after: Option<ScanId>,
    /// Whether the page ends at `before` or `after` instead of beginning there.
    pub(crate) back: bool,
    /// The cursor at which the page begins, in an order that is not by number.
    pub(crate) at: Option<Cursor>,
}

/// A day or a moment, as written and as a time range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Day {
    pub(crate) text: String,
    begins: Timestamp,
    ends: Timestamp,
}

impl Default for ScanListQuery {
    fn default() -> Self {
        Self {
            page: 1,
            per_page: 20,
            statuses: Vec::new(),
            target: None,
            mode: None,
            plugin: None,
            min_severity: None,
            from: None,
            to: None,
            zone: Zone::default(),
            order: ScanOrder::Newest,
            before: None,
            after: None,
            back: false,
            at: None,
        }
    }
}

impl ScanListQuery {
    /// Parses a query string. Every invalid parameter is named, and the valid ones are kept.
    pub(crate) fn parse(query: Option<&str>) -> (Self, Vec<FieldError>) {
        let (mut list, mut errors) = (Self::default(), Vec::new());
        // Days are parsed last, because their time zone may follow them.
        let (mut from, mut to) = (String::new(), String::new());
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let read = match &*name {
                "page" => number(&value, MAX_PAGE).map(|page| list.page = page),
                "per_page" => number(&value, MAX_PER_PAGE).map(|count| list.per_page = count),
                "status" => statuses(&value).map(|mut more| list.statuses.append(&mut more)),
                "target" => text(&value).map(|text| list.target = text.map(|text| text.to_lowercase())),
                "mode" => name_of(&value).map(|mode| list.mode = mode),
                "plugin" => text(&value).map(|text| list.plugin = text),
                "min_severity" => name_of(&value).map(|least| list.min_severity = least),
                "from" => {
                    from = value.into_owned();
                    Ok(())
                }
                "to" => {
                    to = value.into_owned();
                    Ok(())
                }
                "zone" => zone(&value).map(|zone| list.zone = zone),
                "sort" => name_of(&value).map(|order| list.order = order.unwrap_or(ScanOrder::Newest)),
                "before" => id(&value).map(|id| list.before = id),
                "after" => id(&value).map(|id| list.after = id),
                "back" => {
                    list.back = value == "1";
                    Ok(())
                }
                "at" => place(&value).map(|place| list.at = place),
                // Unknown parameters, such as those of trackers, are ignored.
                _ => Ok(()),
            };
            if let Err(message) = read {
                errors.push(FieldError::new(name, message));
            }
        }
        for (name, text, place) in [("from", from, &mut list.from), ("to", to, &mut list.to)] {
            match day(&text, &list.zone) {
                Ok(day) => *place = day,
                Err(message) => errors.push(FieldError::new(name, message)),
            }
        }
        list.statuses.sort();
        list.statuses.dedup();
        if list.at.as_ref().is_some_and(|at| list.order.is_of_ended() && at.rank.parse::<i64>().is_err()) {
            list.at = None;
            errors.push(FieldError::new("at", "expected a cursor from an earlier page"));
        }
        (list, errors)
    }

    /// Converts the query for the store.
    pub(crate) fn for_store(&self) -> ListQuery {
        ListQuery {
            project: None,
            statuses: self.statuses.clone(),
            target: self.target.as_deref().map(search_text),
            mode: self.mode,
            created_from: self.from.as_ref().map(|day| day.begins),
            created_until: self.to.as_ref().map(|day| day.ends),
            plugin: self.plugin.clone(),
            min_severity: self.min_severity,
            order: self.order,
            before: self.before,
            after: self.after,
            from: self.at.clone(),
            from_the_end: self.back,
            offset: (self.page - 1) * self.per_page,
            limit: self.per_page,
            count: true,
        }
    }

    /// Returns whether the query has a filter.
    pub(crate) fn is_narrowed(&self) -> bool {
        self.without_place()
            != Self { per_page: self.per_page, order: self.order, zone: self.zone.clone(), ..Self::default() }
    }

    /// Returns the first page of the same filters and order.
    pub(crate) fn without_place(&self) -> Self {
        Self { page: 1, before: None, after: None, back: false, at: None, ..self.clone() }
    }

    /// Returns the page after a cursor.
    pub(crate) fn next_page(&self, place: &Cursor) -> Self {
        let start = self.without_place();
        match self.order {
            ScanOrder::Newest => Self { before: Some(place.id), ..start },
            ScanOrder::Oldest => Self { after: Some(place.id), ..start },
            ScanOrder::Target | ScanOrder::Longest | ScanOrder::Findings | ScanOrder::Worst => {
                Self { at: Some(place.clone()), ..start }
            }
        }
    }

    /// Returns the page before a scan; `None` in orders that are not by number, which have no
    /// previous page.
    pub(crate) fn backward(&self, first: ScanId) -> Option<Self> {
        let start = Self { back: true, ..self.without_place() };
        match self.order {
            ScanOrder::Newest => Some(Self { after: Some(first), ..start }),
            ScanOrder::Oldest => Some(Self { before: Some(first), ..start }),
            ScanOrder::Target | ScanOrder::Longest | ScanOrder::Findings | ScanOrder::Worst => None,
        }
    }

    /// Returns the page on the other side of the begin of this page; `None` at the beginning of the
    /// list, and in orders that are not by number.
    pub(crate) fn reversed(&self) -> Option<Self> {
        let reversed = Self { back: !self.back, ..self.without_place() };
        // `before` and `after` exclude the given scan: shift the number by one, so that the other
        // page includes it.
        match ((self.order == ScanOrder::Newest) != self.back, self.before, self.after) {
            _ if !self.order.is_by_number() => None,
            (true, Some(before), _) => Some(Self { after: Some(ScanId(before.0.saturating_sub(1))), ..reversed }),
            (false, _, Some(after)) => Some(Self { before: Some(ScanId(after.0.saturating_add(1))), ..reversed }),
            (true, None, _) | (false, _, None) => None,
        }
    }

    /// Returns whether the order lists only scans that have ended.
    pub(crate) const fn is_of_ended(&self) -> bool {
        self.order.is_of_ended()
    }

    /// Returns whether the filter admits scans that have ended.
    pub(crate) fn admits_ended(&self) -> bool {
        self.statuses.is_empty() || self.statuses.iter().any(|status| status.is_terminal())
    }

    /// Returns the query in an order that can list its scans: newest first, if the order lists only
    /// ended scans and the filter admits none of them.
    pub(crate) fn in_fitting_order(self) -> Self {
        if self.is_of_ended() && !self.admits_ended() { self.newest_first() } else { self }
    }

    /// Returns the query in an order that lists every scan.
    pub(crate) fn in_complete_order(self) -> Self {
        if self.is_of_ended() { self.newest_first() } else { self }
    }

    /// Returns the same filters, newest first. A cursor of another order is invalid in this one.
    pub(crate) fn newest_first(self) -> Self {
        Self { order: ScanOrder::Newest, at: None, ..self }
    }

    /// Returns a link to `path` with this query.
    pub(crate) fn link(&self, path: &str) -> String {
        let usual = Self::default();
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut any = |name: &str, value: &str| {
            query.append_pair(name, value);
        };
        if self.page > 1 {
            any("page", &self.page.to_string());
        }
        if self.per_page != usual.per_page {
            any("per_page", &self.per_page.to_string());
        }
        for status in &self.statuses {
            any("status", status.as_str());
        }
        for (name, value) in [("target", &self.target), ("plugin", &self.plugin)] {
            if let Some(value) = value {
                any(name, value);
            }
        }
        if let Some(mode) = self.mode {
            any("mode", mode.as_str());
        }
        if let Some(least) = self.min_severity {
            any("min_severity", least.as_str());
        }
        for (name, day) in [("from", &self.from), ("to", &self.to)] {
            if let Some(day) = day {
                any(name, &day.text);
            }
        }
        if (self.from.is_some() || self.to.is_some()) && !self.zone.is_utc() {
            any("zone", self.zone.name());
        }
        if self.order != usual.order {
            any("sort", self.order.as_str());
        }
        for (name, id) in [("before", self.before), ("after", self.after)] {
            if let Some(id) = id {
                any(name, &id.to_string());
            }
        }
        if self.back {
            any("back", "1");
        }
        if let Some(at) = &self.at {
            any("at", &place_text(at));
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// Returns how many pages `total` scans fill; at least one.
    pub(crate) fn pages(&self, total: u64) -> u64 {
        total.div_ceil(self.per_page as u64).max(1)
    }
}

/// Returns a cursor as it is written in a URL.
pub(crate) fn place_text(place: &Cursor) -> String {
    format!("{}~{}", place.rank, place.id)
}

fn place(text: &str) -> Result<Option<Cursor>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || "expected a cursor from an earlier page".to_owned();
    let (rank, id) = text.rsplit_once('~').ok_or_else(wrong)?;
    let id = digits(id).map(ScanId).ok_or_else(wrong)?;
    if rank.len() > MAX_TEXT { Err(wrong()) } else { Ok(Some(Cursor { rank: rank.to_owned(), id })) }
}

/// Parses a number of digits only, without a sign.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn number(text: &str, most: usize) -> Result<usize, String> {
    digits(text)
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| format!("expected a number from 1 to {most}"))
}

fn statuses(text: &str) -> Result<Vec<ScanStatus>, String> {
    let words = text.split(',').map(unspaced).filter(|word| !word.is_empty());
    words
        .map(|word| word.parse::<ScanStatus>().map_err(|error| format!("expected one or more of {}", error.expected)))
        .collect()
}

/// Trims spaces around a word, as the API description allows.
fn unspaced(text: &str) -> &str {
    text.trim_matches(' ')
}

fn name_of<T: std::str::FromStr<Err = kastrel_actors::model::UnknownName>>(text: &str) -> Result<Option<T>, String> {
    let text = unspaced(text);
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|error: kastrel_actors::model::UnknownName| format!("expected one of {}", error.expected))
}

fn text(text: &str) -> Result<Option<String>, String> {
    let text = text.trim();
    if text.chars().count() > MAX_TEXT {
        return Err(format!("longer than {MAX_TEXT} characters"));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

fn id(text: &str) -> Result<Option<ScanId>, String> {
    // No scan has a larger number, and many programs support no larger integer.
    let number = digits(text).filter(|number: &u64| i64::try_from(*number).is_ok());
    number.map(|number| Some(ScanId(number))).ok_or_else(|| "expected a scan number".to_owned())
}

/// Parses a time zone of the time zone database; empty means UTC.
fn zone(text: &str) -> Result<Zone, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Zone::default());
    }
    Zone::named(text).ok_or_else(|| "expected a time zone such as Europe/Berlin".to_owned())
}

/// Parses `2026-11-23`, a full day in `zone`, or a moment such as `2026-11-23T08:00:00Z`.
fn day(text: &str, zone: &Zone) -> Result<Option<Day>, String> {
    let text = unspaced(text);
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || "expected a date such as 2026-11-23 or a time such as 2026-11-23T08:00:00Z".to_owned();
    if !is_day_or_moment(text) {
        return Err(wrong());
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(Some(Day { text: text.to_owned(), begins: moment, ends: moment }));
    }
    // If a clock change skips or repeats midnight, the day begins with its first moment.
    let begin = |date: Date| zone.zone().to_timestamp(date.at(0, 0, 0, 0)).map_err(|_| wrong());
    let date: Date = text.parse().map_err(|_| wrong())?;
    let next = date.checked_add(1.day()).map_err(|_| wrong())?;
    Ok(Some(Day { text: text.to_owned(), begins: begin(date)?, ends: begin(next)? }))
}

/// Returns whether a text has the form that the API description allows; the parsers accept more
/// forms. The parsers check whether the day exists.
fn is_day_or_moment(text: &str) -> bool {
    let has_form = |text: &str, form: &str| {
        text.len() == form.len()
            && text
                .bytes()
                .zip(form.bytes())
                .all(|(byte, expected)| if expected == b'0' { byte.is_ascii_digit() } else { byte == expected })
    };
    let Some((date, time)) = text.split_at_checked("0000-00-00".len()) else { return false };
    if !has_form(date, "0000-00-00") || !date.starts_with(['0', '1', '2']) {
        return false;
    }
    if time.is_empty() {
        return true;
    }
    let Some((clock, rest)) = time.strip_prefix('T').and_then(|time| time.split_at_checked("00:00:00".len())) else {
        return false;
    };
    // A leap second exists, but is not accepted in a search.
    if !has_form(clock, "00:00:00") || clock.ends_with(":60") {
        return false;
    }
    let offset = match rest.strip_prefix('.') {
        None => rest,
        Some(rest) => {
            let offset = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            if !(1..=9).contains(&(rest.len() - offset.len())) {
                return false;
            }
            offset
        }
    };
    match offset.strip_prefix(['+', '-']) {
        Some(offset) => has_form(offset, "00:00") && &offset[..2] < "24" && &offset[3..] < "60",
        None => offset == "Z",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_accepts_exactly_the_values_of_the_description() {
        for (name, value, is_right) in [
            ("from", "", true),
            ("from", "2026-11-23", true),
            ("from", " 2026-11-23 ", true),
            ("from", "2028-02-29", true),
            ("from", "2000-02-29", true),
            ("from", "2400-02-29", true),
            ("to", "2026-11-23T08:00:00Z", true),
            ("to", "2026-11-23T08:00:00.123456789Z", true),
            ("to", "2026-11-23T08:00:00+02:00", true),
            ("to", "2026-11-23T08:00:00.5-23:59", true),
            ("to", "0000-01-01", true),
            ("to", "2999-12-31T23:59:59Z", true),
            ("from", "2027-02-29", false),
            ("from", "1900-02-29", false),
            ("from", "2026-02-30", false),
            ("from", "2026-13-01", false),
            ("from", "2026-11-31", false),
            ("from", "9999-12-31", false),
            ("from", "20261123", false),
            ("from", "2026-11-23T08:00Z", false),
            ("from", "2026-11-23 08:00:00Z", false),
            ("from", "2026-11-23T08:00:00", false),
            ("from", "2026-11-23T08:00:00z", false),
            ("from", "2026-11-23T24:00:00Z", false),
            ("from", "2026-11-23T08:60:00Z", false),
            ("from", "2026-11-23T08:00:60Z", false),
            ("from", "2026-11-23T08:00:00.Z", false),
            ("from", "2026-11-23T08:00:00.1234567890Z", false),
            ("from", "2026-11-23T08:00:00,5Z", false),
            ("from", "2026-11-23T08:00:00+0200", false),
            ("from", "2026-11-23T08:00:00+24:00", false),
            ("from", "2026-11-23T08:00:00Z[Europe/Berlin]", false),
            ("from", "\t2026-11-23", false),
            ("from", "2026-11-2\u{e9}", false),
            ("status", "failed", true),
            ("status", "failed, running ,pending", true),
            ("status", " failed ,, running,", true),
            ("status", ",", true),
            ("status", "failed running", false),
            ("status", "failed,\trunning", false),
            ("status", "Failed", false),
            ("mode", " both ", true),
            ("mode", "both\t", false),
            ("sort", "", true),
            ("sort", "worst ", true),
            ("min_severity", " high", true),
            ("min_severity", "High", false),
            ("at", "a~7", true),
            ("at", "a~+7", false),
        ] {
            let query = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
            let (_, errors) = ScanListQuery::parse(Some(&query));
            assert_eq!(errors.is_empty(), is_right, "{name}={value:?}: {errors:?}");
        }
        for (name, value) in [("page", "+1"), ("per_page", "1.0"), ("before", "+7"), ("after", "")] {
            let query = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
            assert_eq!(ScanListQuery::parse(Some(&query)).1.len(), 1, "{query}");
        }
    }

    #[test]
    fn query_parses_every_parameter() {
        let (list, errors) = ScanListQuery::parse(Some(
            "page=3&per_page=50&status=failed,running&status=pending&target=Example&before=77&utm=1&mode=both&plugin=zap&from=2026-11-01&to=2026-11-02&sort=oldest",
        ));
        assert_eq!(errors, []);
        assert_eq!((list.page, list.per_page, list.before), (3, 50, Some(ScanId(77))));
        assert_eq!(list.statuses, [ScanStatus::Pending, ScanStatus::Running, ScanStatus::Failed]);
        let store = list.for_store();
        assert_eq!(
            (store.target.as_deref(), store.offset, store.mode, store.plugin.as_deref()),
            (Some("example"), 100, Some(ScanMode::Both), Some("zap"))
        );
        assert_eq!(
            (store.created_from, store.created_until),
            ("2026-11-01T00:00:00Z".parse().ok(), "2026-11-03T00:00:00Z".parse().ok())
        );
        assert_eq!(store.order, ScanOrder::Oldest);
    }

    #[test]
    fn query_names_every_wrong_parameter_and_keeps_the_rest() {
        let (list, errors) = ScanListQuery::parse(Some(
            "page=0&per_page=101&status=done&before=x&target=ok&mode=loud&from=yesterday&to=2026-13-01&sort=random&after=-1&at=x&at=~&zone=..%2Fetc&sort=longest&at=x~3",
        ));
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(
            fields,
            ["page", "per_page", "status", "before", "mode", "sort", "after", "at", "at", "zone", "from", "to", "at"]
        );
        assert_eq!(
            list,
            ScanListQuery { target: Some("ok".into()), order: ScanOrder::Longest, ..ScanListQuery::default() }
        );
    }

    #[test]
    fn days_are_those_of_the_zone() {
        for (query, from, until) in [
            ("from=2026-11-01&to=2026-11-01", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
            ("from=2026-11-01&to=2026-11-01&zone=Pacific%2FAuckland", "2026-10-31T11:00:00Z", "2026-11-01T11:00:00Z"),
            // The day on which clocks are set back has 25 hours.
            ("zone=Europe%2FBerlin&from=2026-10-25&to=2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            // In Beirut, that day begins at 1 o'clock: it has no midnight.
            ("zone=Asia%2FBeirut&from=2026-03-29&to=2026-03-29", "2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z"),
            (
                "from=2026-11-01T08:00:00Z&to=2026-11-01T09:00:00Z&zone=Pacific%2FAuckland",
                "2026-11-01T08:00:00Z",
                "2026-11-01T09:00:00Z",
            ),
        ] {
            let (list, errors) = ScanListQuery::parse(Some(query));
            assert_eq!(errors, [], "{query}");
            let store = list.for_store();
            assert_eq!((store.created_from, store.created_until), (from.parse().ok(), until.parse().ok()), "{query}");
            assert_eq!(ScanListQuery::parse(list.link("/").split_once('?').map(|(_, query)| query)).0, list, "{query}");
        }
        let alone = ScanListQuery::parse(Some("zone=Pacific%2FAuckland")).0;
        assert!(!alone.is_narrowed() && alone.link("/scans") == "/scans", "a zone without days asks for nothing");
    }

    #[test]
    fn link_parses_back_to_its_query() {
        let asked = "status=failed,running&target=a%26b&per_page=50&plugin=x%20y&mode=active&from=2026-11-01&sort=target&at=a~b~7";
        let (list, errors) = ScanListQuery::parse(Some(asked));
        assert_eq!(errors, []);
        let link = list.link("/scans");
        assert_eq!(
            link,
            "/scans?per_page=50&status=running&status=failed&target=a%26b&plugin=x+y&mode=active&from=2026-11-01&sort=target&at=a%7Eb%7E7"
        );
        assert_eq!(ScanListQuery::parse(link.split_once('?').map(|(_, query)| query)).0, list);
        assert_eq!(ScanListQuery::default().link("/scans"), "/scans");
        assert!(
            list.is_narrowed() && !ScanListQuery { order: ScanOrder::Oldest, ..ScanListQuery::default() }.is_narrowed()
        );
    }

    #[test]
    fn the_next_page_begins_where_this_one_ends_in_any_order() {
        let place = Cursor { rank: "9".into(), id: ScanId(4) };
        let list = |order| ScanListQuery { order, page: 3, ..ScanListQuery::default() };
        for (order, next_page, backward) in [
            (ScanOrder::Newest, "/?before=4", Some("/?after=4&back=1")),
            (ScanOrder::Oldest, "/?sort=oldest&after=4", Some("/?sort=oldest&before=4&back=1")),
            (ScanOrder::Longest, "/?sort=longest&at=9%7E4", None),
        ] {
            assert_eq!(list(order).next_page(&place).link("/"), next_page);
            assert_eq!(list(order).backward(ScanId(4)).map(|list| list.link("/")).as_deref(), backward);
        }
    }

    #[test]
    fn reversed_page_ends_where_the_page_begins() {
        for (query, reversed) in [
            ("before=4", Some("/?after=3&back=1")),
            ("after=4&back=1", Some("/?before=5")),
            ("sort=oldest&after=4", Some("/?sort=oldest&before=5&back=1")),
            ("sort=oldest&before=4&back=1&target=a", Some("/?target=a&sort=oldest&after=3")),
            ("target=a", None),
            ("back=1", None),
            ("sort=target&at=a~4", None),
        ] {
            let (list, errors) = ScanListQuery::parse(Some(query));
            assert_eq!(errors, []);
            assert_eq!(list.reversed().map(|list| list.link("/")).as_deref(), reversed, "{query}");
        }
    }

    #[test]
    fn order_of_ended_scans_is_dropped_if_the_filter_admits_none() {
        for (query, fitting, complete) in [
            ("status=running&sort=longest&at=9~4", "/?status=running", "/?status=running"),
            (
                "status=pending,running&sort=findings",
                "/?status=pending&status=running",
                "/?status=pending&status=running",
            ),
            (
                "status=running,failed&sort=longest",
                "/?status=running&status=failed&sort=longest",
                "/?status=running&status=failed",
            ),
            ("sort=findings", "/?sort=findings", "/"),
            ("status=running&sort=target", "/?status=running&sort=target", "/?status=running&sort=target"),
        ] {
            let (list, _) = ScanListQuery::parse(Some(query));
            assert_eq!(
                (list.clone().in_fitting_order().link("/"), list.in_complete_order().link("/")),
                (fitting.to_owned(), complete.to_owned())
            );
        }
    }

    #[test]
    fn pages_are_counted_from_one() {
        let list = ScanListQuery::default();
        for (total, pages) in [(0, 1), (1, 1), (20, 1), (21, 2), (100_000, 5_000)] {
            assert_eq!(list.pages(total), pages);
        }
    }
}
