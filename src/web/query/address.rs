//! Parses the query of a scan list from a URL, and writes it as one.

use kastrel_actors::model::{Cursor, FieldError, ScanOrder};
use url::form_urlencoded;

use super::day::day;
use super::list::ScanListQuery;
use super::parameter::{id, name_of, number, place, project, statuses, text, zone};

const MAX_PER_PAGE: usize = 100;
const MAX_PAGE: usize = 10_000_000;

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
                "project" => project(&value).map(|project| list.project = project),
                "target" => text(&value).map(|text| list.target = text.map(|text| text.to_lowercase())),
                "mode" => name_of(&value).map(|mode| list.mode = mode),
                "plugin" => text(&value).map(|text| list.plugin = text),
                "min_severity" => name_of(&value).map(|least| list.min_severity = least),
                "tag" => text(&value).map(|text| list.tag = text),
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
        if let Some(project) = &self.project {
            any("project", project.as_str());
        }
        for (name, value) in [("target", &self.target), ("plugin", &self.plugin), ("tag", &self.tag)] {
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
}

/// Returns a cursor as it is written in a URL.
pub(crate) fn place_text(place: &Cursor) -> String {
    format!("{}~{}", place.rank, place.id)
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{ScanId, ScanMode, ScanStatus};

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
            ("project", "team-a", true),
            ("project", " team-a ", true),
            ("project", "", true),
            ("project", "Team A", false),
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
            "page=3&per_page=50&status=failed,running&status=pending&target=Example&before=77&utm=1&mode=both&plugin=zap&tag=+release/2+&from=2026-11-01&to=2026-11-02&sort=oldest",
        ));
        assert_eq!(errors, []);
        assert_eq!((list.page, list.per_page, list.before), (3, 50, Some(ScanId(77))));
        assert_eq!(list.statuses, [ScanStatus::Pending, ScanStatus::Running, ScanStatus::Failed]);
        let store = list.for_store();
        assert_eq!(
            (store.target.as_deref(), store.offset, store.mode, store.plugin.as_deref()),
            (Some("example"), 100, Some(ScanMode::Both), Some("zap"))
        );
        assert_eq!(store.tag.as_deref(), Some("release/2"));
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
    fn link_parses_back_to_its_query() {
        let asked = "status=failed,running&target=a%26b&per_page=50&plugin=x%20y&tag=eu&mode=active&from=2026-11-01&sort=target&at=a~b~7";
        let (list, errors) = ScanListQuery::parse(Some(asked));
        assert_eq!(errors, []);
        let link = list.link("/scans");
        assert_eq!(
            link,
            "/scans?per_page=50&status=running&status=failed&target=a%26b&plugin=x+y&tag=eu&mode=active&from=2026-11-01&sort=target&at=a%7Eb%7E7"
        );
        assert_eq!(ScanListQuery::parse(link.split_once('?').map(|(_, query)| query)).0, list);
        assert_eq!(ScanListQuery::default().link("/scans"), "/scans");
        assert!(
            list.is_narrowed() && !ScanListQuery { order: ScanOrder::Oldest, ..ScanListQuery::default() }.is_narrowed()
        );
    }
}
