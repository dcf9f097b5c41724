//! The assets of a target, by kind. Each list is bounded, and says how much of it is shown.

use jiff::Timestamp;
use kastrel_actors::model::{SeenAsset, grouped_count};
use kastrel_findings::AssetKind;

use crate::web::text::{MomentText, clean, counted};
use crate::web::zone::WallClock;

/// How many assets of a kind are shown.
const MOST_SHOWN: usize = 100;
/// A certificate that ends within this number of days has a warning.
const FEW_DAYS: i64 = 30;

/// The assets of a kind.
pub(super) struct AssetGroup {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// The number of assets: `12`, or `100 of 4,211 shown`.
    pub(super) count: String,
    pub(super) rows: Vec<AssetRow>,
}

/// An asset.
pub(super) struct AssetRow {
    pub(super) name: String,
    /// Further facts: `version 1.22.1, issuer R3`.
    pub(super) facts: String,
    pub(super) plugin: String,
    /// The days that a certificate is valid for.
    pub(super) days: Option<DaysLeft>,
    pub(super) last_seen: MomentText,
}

/// How long a certificate is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DaysLeft {
    pub(super) words: String,
    /// The CSS class: `bad` if it has ended, `warned` if it ends soon, else empty.
    pub(super) class: &'static str,
}

/// The kinds in the order of the page, with their names and titles.
const KINDS: [(&str, &str); 7] = [
    ("certificate", "Certificates"),
    ("technology", "Technologies"),
    ("waf", "Web application firewalls"),
    ("service", "Services"),
    ("host", "Hosts"),
    ("script", "Scripts"),
    ("url", "URLs"),
];

const fn name_of(kind: &AssetKind) -> &'static str {
    match kind {
        AssetKind::Url { .. } => "url",
        AssetKind::Technology { .. } => "technology",
        AssetKind::Host { .. } => "host",
        AssetKind::Certificate { .. } => "certificate",
        AssetKind::Waf { .. } => "waf",
        AssetKind::Script { .. } => "script",
        AssetKind::Service { .. } => "service",
    }
}

/// Returns the assets by kind, without empty kinds. Certificates that end first are first.
pub(super) fn assets(assets: &[SeenAsset], clock: &WallClock) -> Vec<AssetGroup> {
    let group = |(name, title): (&'static str, &'static str)| {
        let mut own: Vec<&SeenAsset> = assets.iter().filter(|seen| name_of(&seen.asset.kind) == name).collect();
        // Certificates alone have an end; the others keep their order.
        own.sort_by_key(|seen| seen.asset.valid_until);
        (!own.is_empty()).then(|| AssetGroup {
            name,
            title,
            count: count(own.len()),
            rows: own.iter().take(MOST_SHOWN).map(|seen| row(seen, clock)).collect(),
        })
    };
    KINDS.into_iter().filter_map(group).collect()
}

fn count(all: usize) -> String {
    if all > MOST_SHOWN { format!("{MOST_SHOWN} of {} shown", grouped_count(all as u64)) } else { all.to_string() }
}

fn row(seen: &SeenAsset, clock: &WallClock) -> AssetRow {
    let asset = &seen.asset;
    let name = match &asset.kind {
        AssetKind::Url { address } => address.to_string(),
        AssetKind::Technology { name, .. } | AssetKind::Waf { name, .. } => name.to_string(),
        AssetKind::Host { host } => host.to_string(),
        AssetKind::Certificate { endpoint, number: 1 } => endpoint.to_string(),
        AssetKind::Certificate { endpoint, number } => format!("{endpoint}, number {number}"),
        AssetKind::Script { script, .. } => script.to_string(),
        AssetKind::Service { endpoint } => endpoint.to_string(),
    };
    let facts: Vec<String> = asset.attributes.iter().map(|(name, value)| format!("{name} {value}")).collect();
    AssetRow {
        name: clean(&name),
        facts: clean(&facts.join(", ")),
        plugin: clean(&asset.plugin),
        days: asset.days_left(clock.now).map(|days| days_left(days, asset.valid_until, clock)),
        last_seen: clock.moment(seen.last_seen),
    }
}

fn days_left(days: i64, until: Option<Timestamp>, clock: &WallClock) -> DaysLeft {
    let day = until.map(|until| clock.moment(until).full).unwrap_or_default();
    let number = counted(days.unsigned_abs(), "day", "days");
    match days {
        ..0 => DaysLeft { words: format!("ended {number} ago, {day}"), class: "bad" },
        0 => DaysLeft { words: format!("ends within a day, {day}"), class: "bad" },
        _ if days < FEW_DAYS => DaysLeft { words: format!("{number} left, until {day}"), class: "warned" },
        _ => DaysLeft { words: format!("{number} left, until {day}"), class: "" },
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;
    use kastrel_actors::model::ScanId;
    use kastrel_findings::Asset;
    use kastrel_findings::place::{Endpoint, Label, Origin, WebAddress};

    use super::*;
    use crate::web::pages::layout::HOSTILE;

    fn seen(asset: Asset) -> SeenAsset {
        let at = Timestamp::UNIX_EPOCH;
        SeenAsset { asset, first_seen: at, last_seen: at, scan: ScanId(1) }
    }

    fn certificate(days: i64) -> SeenAsset {
        let kind = AssetKind::Certificate { endpoint: Endpoint::parse("a.example:443").unwrap(), number: 1 };
        let until = Timestamp::UNIX_EPOCH.checked_add((24 * days).hours()).unwrap();
        seen(Asset { valid_until: Some(until), ..Asset::new("testssl", kind) })
    }

    #[test]
    fn certificate_that_ends_soon_has_a_warning_and_is_first() {
        let all = [certificate(30), certificate(-3), certificate(29), certificate(0), certificate(1)];
        let groups = assets(&all, &WallClock::sample());
        let days: Vec<(&str, &str)> = groups[0]
            .rows
            .iter()
            .filter_map(|row| row.days.as_ref())
            .map(|days| (days.words.split(',').next().unwrap(), days.class))
            .collect();
        assert_eq!(
            days,
            [
                ("ended 3 days ago", "bad"),
                ("ends within a day", "bad"),
                ("1 day left", "warned"),
                ("29 days left", "warned"),
                ("30 days left", ""),
            ]
        );
    }

    #[test]
    fn long_list_says_how_much_of_it_is_shown() {
        let url = |n: usize| {
            let address = WebAddress::parse(&format!("https://a.example/page-{}", "x".repeat(n % 50))).unwrap();
            seen(Asset::new("katana", AssetKind::Url { address }))
        };
        let origin = Origin::parse("https://a.example").unwrap();
        let technology = AssetKind::Technology { origin, name: Label::parse(HOSTILE).unwrap() };
        let mut all: Vec<SeenAsset> = (0..1_234).map(url).collect();
        all.push(seen(Asset::new("whatweb", technology).attribute("version", Some(HOSTILE))));
        let groups = assets(&all, &WallClock::sample());
        let shown: Vec<_> = groups.iter().map(|group| (group.name, group.count.as_str(), group.rows.len())).collect();
        assert_eq!(shown, [("technology", "1", 1), ("url", "100 of 1,234 shown", 100)]);
        let row = &groups[0].rows[0];
        assert!(![&row.name, &row.facts].iter().any(|text| text.contains(['\u{1b}', '\u{202e}'])));
    }
}
