//! When a plugin ran. KAST writes local times without a zone; each plugin's own file has one time
//! with a zone, mostly that of its end. The one with the zone decides how the others are read.
//!
//! A local time is wrong by hours where the clocks go back, or where KAST was started in another
//! zone than Kastrel (a launcher with a `TZ` of its own). So it is read in this machine's zone only
//! where that fits what is known: the plugin's own time, and the moment at which `kast_info.json`
//! was written. Where another offset fits instead, that one is used; where several meanings are
//! left, the time is dropped.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// Two clocks' readings of one moment: the plugin's own time is taken a little before or after
/// KAST's.
const SLACK: SignedDuration = SignedDuration::from_secs(5);
/// So much later than the last plugin's end `kast_info.json` is written at most, and so long a
/// plugin may take to write its file.
const WRITING: SignedDuration = SignedDuration::from_secs(120);
/// All offsets in use are multiples of this.
const QUARTER: i32 = 15 * 60;
/// The largest offsets in use are 14 hours east and 12 hours west.
const MOST_QUARTERS: std::ops::RangeInclusive<i32> = -48..=56;

/// When a plugin ran, as far as it is known for sure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
}

/// A time as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    At(Timestamp),
    Local(DateTime),
}

impl Said {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        text.parse().map(Self::At).or_else(|_| text.parse().map(Self::Local)).ok()
    }

    /// What it may mean in a zone: nothing in the hour that the clocks leave out, two moments in
    /// the one that comes twice.
    fn meanings(self, zone: &TimeZone) -> Vec<Timestamp> {
        match self {
            Self::At(at) => vec![at],
            Self::Local(local) => match zone.to_ambiguous_timestamp(local).offset() {
                AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).into_iter().collect(),
                AmbiguousOffset::Gap { .. } => Vec::new(),
                AmbiguousOffset::Fold { before, after } => {
                    [before, after].into_iter().filter_map(|offset| offset.to_timestamp(local).ok()).collect()
                }
            },
        }
    }

    fn with(self, offset: Offset) -> Option<Timestamp> {
        match self {
            Self::At(at) => Some(at),
            Self::Local(local) => offset.to_timestamp(local).ok(),
        }
    }
}

/// How KAST's times of one run are read.
#[derive(Debug)]
pub(super) struct Clock<'a> {
    zone: &'a TimeZone,
    /// The offset of the clock that KAST had, where this machine's zone does not fit.
    other: Option<Offset>,
}

type Run<'t> = (Option<&'t str>, Option<&'t str>, Option<Timestamp>);

impl<'a> Clock<'a> {
    /// `end` is when the run ended by KAST's clock, `written` when its file was written; `plugins`
    /// have their start, their end, and their own time.
    pub(super) fn new<'t>(
        zone: &'a TimeZone,
        end: Option<&str>,
        written: Option<Timestamp>,
        plugins: impl Iterator<Item = Run<'t>>,
    ) -> Self {
        let mut own = Vec::new();
        let mut last: Option<DateTime> = None;
        for (start, end, at) in plugins {
            let (start, end) = (start.and_then(Said::parse), end.and_then(Said::parse));
            if let Some(Said::Local(end)) = end {
                last = last.max(Some(end));
            }
            if let Some(at) = at
                && (start.is_some() || end.is_some())
            {
                own.push(Self::by_own_time(zone, start, end, at));
            }
        }
        if own.iter().any(|found| matches!(found, Found::Zone(_))) {
            return Self { zone, other: None };
        }
        let mut offsets =
            own.iter().filter_map(|found| if let Found::Other(offset, _) = found { Some(*offset) } else { None });
        if let Some(first) = offsets.next() {
            return Self { zone, other: offsets.all(|offset| offset == first).then_some(first) };
        }
        let end = end.and_then(Said::parse).or(last.map(Said::Local));
        let other = end.zip(written).and_then(|(end, written)| {
            let fits = |at: Timestamp| {
                at <= written.saturating_add(SLACK).unwrap_or(written) && written.duration_since(at) <= WRITING
            };
            if end.meanings(zone).into_iter().any(fits) {
                None
            } else {
                offsets_in_use().find(|offset| end.with(*offset).is_some_and(fits))
            }
        });
        Self { zone, other }
    }

    /// When a plugin ran; `own` is its own time.
    pub(super) fn times(&self, start: Option<&str>, end: Option<&str>, own: Option<Timestamp>) -> Times {
        let (start, end) = (start.and_then(Said::parse), end.and_then(Said::parse));
        let Some(own) = own else { return self.without_own_time(start, end) };
        let (Found::Zone(times) | Found::Other(_, times)) = Self::by_own_time(self.zone, start, end, own) else {
            // Nothing that KAST says fits: the time with the zone is what is left.
            return Times { started_at: None, ended_at: Some(own) };
        };
        // The plugin's own time is that of its end, or for some that failed that of their start.
        let is_end = match (times.started_at, times.ended_at) {
            (Some(start), Some(end)) => own.duration_since(end).abs() <= own.duration_since(start).abs(),
            (_, ended) => ended.is_none_or(|end| own.duration_since(end).abs() <= SLACK),
        };
        if is_end {
            Times { started_at: times.started_at.filter(|start| *start <= own), ended_at: Some(own) }
        } else {
            times
        }
    }

    fn without_own_time(&self, start: Option<Said>, end: Option<Said>) -> Times {
        if let Some(offset) = self.other {
            return in_order(start.and_then(|said| said.with(offset)), end.and_then(|said| said.with(offset)));
        }
        let pairs = pairs(start.map(|said| said.meanings(self.zone)), end.map(|said| said.meanings(self.zone)));
        agreed(&pairs)
    }

    fn by_own_time(zone: &TimeZone, start: Option<Said>, end: Option<Said>, own: Timestamp) -> Found {
        let fits = |(start, end): &(Option<Timestamp>, Option<Timestamp>)| {
            start.is_none_or(|start| start.duration_since(own) <= SLACK)
                && end.is_none_or(|end| own.duration_since(end) <= SLACK)
        };
        let distance = |(start, end): &(Option<Timestamp>, Option<Timestamp>)| {
            let from = |at: &Option<Timestamp>| at.map_or(SignedDuration::MAX, |at| own.duration_since(at).abs());
            from(start).min(from(end))
        };
        let mut fitting = pairs(start.map(|said| said.meanings(zone)), end.map(|said| said.meanings(zone)));
        fitting.retain(fits);
        let nearest = fitting.iter().map(distance).min();
        fitting.retain(|pair| Some(distance(pair)) == nearest);
        if nearest.is_some_and(|nearest| nearest <= WRITING) {
            return Found::Zone(agreed(&fitting));
        }
        let with = |offset: Offset| {
            let pair = (start.and_then(|said| said.with(offset)), end.and_then(|said| said.with(offset)));
            let ordered = pair.0.zip(pair.1).is_none_or(|(start, end)| start <= end);
            // Of two that fit as well, the one in which the plugin's own time is that of its end.
            let from_end = pair.1.map_or(SignedDuration::MAX, |end| own.duration_since(end).abs());
            (ordered && fits(&pair) && distance(&pair) <= WRITING).then(|| ((distance(&pair), from_end), offset, pair))
        };
        match offsets_in_use().filter_map(with).min_by_key(|(distance, ..)| *distance) {
            Some((_, offset, (started_at, ended_at))) => Found::Other(offset, Times { started_at, ended_at }),
            // A plugin that took long may write its own time somewhere in between.
            None if nearest.is_some() => Found::Zone(agreed(&fitting)),
            None => Found::Nothing,
        }
    }
}

/// What the plugin's own time says of KAST's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// They are of this machine's zone.
    Zone(Times),
    /// They are of another offset.
    Other(Offset, Times),
    /// They are of no offset in use.
    Nothing,
}

fn offsets_in_use() -> impl Iterator<Item = Offset> {
    let quarters = MOST_QUARTERS;
    quarters.filter_map(|quarters| Offset::from_seconds(quarters * QUARTER).ok())
}

/// All combinations in which the end is not before the start. A time that is not said is in each;
/// one that can mean nothing is dropped.
fn pairs(starts: Option<Vec<Timestamp>>, ends: Option<Vec<Timestamp>>) -> Vec<(Option<Timestamp>, Option<Timestamp>)> {
    let all = |said: Option<Vec<Timestamp>>| match said {
        Some(meanings) if !meanings.is_empty() => meanings.into_iter().map(Some).collect(),
        _ => vec![None],
    };
    let (starts, ends) = (all(starts), all(ends));
    let combined = starts.iter().flat_map(|start| ends.iter().map(move |end| (*start, *end)));
    combined.filter(|(start, end)| start.zip(*end).is_none_or(|(start, end)| start <= end)).collect()
}

/// What all of them say.
fn agreed(pairs: &[(Option<Timestamp>, Option<Timestamp>)]) -> Times {
    let Some(&(start, end)) = pairs.first() else { return Times::default() };
    Times {
        started_at: start.filter(|_| pairs.iter().all(|(other, _)| *other == start)),
        ended_at: end.filter(|_| pairs.iter().all(|(_, other)| *other == end)),
    }
}

/// An end before the start is as wrong as the start: neither is shown.
fn in_order(started_at: Option<Timestamp>, ended_at: Option<Timestamp>) -> Times {
    if started_at.zip(ended_at).is_some_and(|(start, end)| end < start) {
        Times::default()
    } else {
        Times { started_at, ended_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<Timestamp> {
        (!text.is_empty()).then(|| text.parse().unwrap())
    }

    fn said(text: &str) -> Option<&str> {
        (!text.is_empty()).then_some(text)
    }

    /// One plugin alone in its run.
    fn alone(
        zone: &TimeZone,
        start: &str,
        end: &str,
        own: &str,
        written: &str,
    ) -> (Option<Timestamp>, Option<Timestamp>) {
        let run = (said(start), said(end), at(own));
        let Times { started_at, ended_at } =
            Clock::new(zone, None, at(written), std::iter::once(run)).times(run.0, run.1, run.2);
        assert!(started_at.zip(ended_at).is_none_or(|(start, end)| start <= end));
        (started_at, ended_at)
    }

    #[test]
    fn the_time_with_a_zone_decides_what_local_ones_mean() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (start, end, own, written, expected) in [
            // The night in which the clocks go back: 02:50 in summer, 02:10 in winter.
            (
                "2026-10-25T02:50:00",
                "2026-10-25T02:10:00",
                "2026-10-25T01:10:00.000+00:00",
                "",
                ("2026-10-25T00:50:00Z", "2026-10-25T01:10:00Z"),
            ),
            ("2026-10-25T02:50:00", "2026-10-25T02:10:00", "", "", ("2026-10-25T00:50:00Z", "2026-10-25T01:10:00Z")),
            (
                "2026-10-25T02:10:00",
                "2026-10-25T02:50:00",
                "2026-10-25T00:50:00Z",
                "",
                ("2026-10-25T00:10:00Z", "2026-10-25T00:50:00Z"),
            ),
            // Both in the hour that comes twice, and nothing shows which it was; or only the end is
            // known.
            ("2026-10-25T02:10:00", "2026-10-25T02:50:00", "", "", ("", "")),
            ("2026-10-25T02:10:00", "2026-10-25T02:50:00", "2026-10-25T01:50:00Z", "", ("", "2026-10-25T01:50:00Z")),
            ("2026-10-25T02:30:00", "", "", "", ("", "")),
            ("2026-10-25T01:30:00", "2026-10-25T02:30:00", "", "", ("2026-10-24T23:30:00Z", "")),
            ("2026-10-25T02:30:00", "2026-10-25T03:30:00", "", "", ("", "2026-10-25T02:30:00Z")),
            // The night in which they go forward: there is no 02:30.
            (
                "2026-03-29T01:50:00",
                "2026-03-29T03:10:00",
                "2026-03-29T01:10:00Z",
                "",
                ("2026-03-29T00:50:00Z", "2026-03-29T01:10:00Z"),
            ),
            ("2026-03-29T02:30:00", "2026-03-29T03:10:00", "", "", ("", "2026-03-29T01:10:00Z")),
            // An ordinary day; the end is the plugin's own time, unless that is when it started.
            (
                "2026-11-23T19:06:59.7",
                "2026-11-23T19:07:02.523",
                "2026-11-23T18:07:02.522Z",
                "",
                ("2026-11-23T18:06:59.7Z", "2026-11-23T18:07:02.522Z"),
            ),
            (
                "2026-11-23T19:07:00.392",
                "2026-11-23T19:07:04",
                "2026-11-23T18:07:00.392Z",
                "",
                ("2026-11-23T18:07:00.392Z", "2026-11-23T18:07:04Z"),
            ),
            ("2026-11-23T19:06:59", "2026-11-23T19:07:02", "", "", ("2026-11-23T18:06:59Z", "2026-11-23T18:07:02Z")),
            // A launcher in Tokyo, in Kathmandu, in UTC; known by the plugin's own time, or by when
            // the file was written.
            (
                "2026-11-24T03:06:59",
                "2026-11-24T03:07:02",
                "2026-11-23T18:07:02Z",
                "",
                ("2026-11-23T18:06:59Z", "2026-11-23T18:07:02Z"),
            ),
            (
                "2026-11-23T23:51:59",
                "2026-11-23T23:52:02",
                "2026-11-23T18:07:02Z",
                "",
                ("2026-11-23T18:06:59Z", "2026-11-23T18:07:02Z"),
            ),
            (
                "2026-11-23T18:06:59",
                "2026-11-23T18:07:02",
                "",
                "2026-11-23T18:07:03Z",
                ("2026-11-23T18:06:59Z", "2026-11-23T18:07:02Z"),
            ),
            (
                "2026-11-23T19:06:59",
                "2026-11-23T19:07:02",
                "",
                "2026-11-23T18:07:03Z",
                ("2026-11-23T18:06:59Z", "2026-11-23T18:07:02Z"),
            ),
            // A long plugin: many offsets would do, and this machine's does.
            (
                "2026-11-23T10:00:00",
                "2026-11-23T19:00:00",
                "2026-11-23T18:00:00Z",
                "",
                ("2026-11-23T09:00:00Z", "2026-11-23T18:00:00Z"),
            ),
            (
                "2026-11-23T19:00:00",
                "2026-11-24T04:00:00",
                "2026-11-23T19:00:00Z",
                "",
                ("2026-11-23T10:00:00Z", "2026-11-23T19:00:00Z"),
            ),
            // Times with a zone need no help.
            (
                "2026-11-23T19:06:59+09:00",
                "2026-11-23T10:07:02Z",
                "",
                "",
                ("2026-11-23T10:06:59Z", "2026-11-23T10:07:02Z"),
            ),
            // What fits nothing is dropped.
            ("2020-01-01T00:00:00", "2020-01-01T00:00:05", "2026-11-23T18:07:02Z", "", ("", "2026-11-23T18:07:02Z")),
            ("2026-11-23T19:09:00", "2026-11-23T19:07:02", "", "", ("", "")),
            ("yesterday", "later", "2026-11-23T18:07:02Z", "", ("", "2026-11-23T18:07:02Z")),
            ("", "", "", "", ("", "")),
        ] {
            assert_eq!(
                alone(&berlin, start, end, own, written),
                (at(expected.0), at(expected.1)),
                "{start} {end} {own} {written}"
            );
        }
    }

    #[test]
    fn a_plugin_without_a_time_of_its_own_is_read_as_the_others_are() {
        let runs = [
            (Some("2026-11-24T03:06:59"), Some("2026-11-24T03:07:02"), at("2026-11-23T18:07:02Z")),
            (Some("2026-11-24T03:07:02"), Some("2026-11-24T03:07:09"), None),
        ];
        let zone = TimeZone::UTC;
        let clock = Clock::new(&zone, None, None, runs.into_iter());
        assert_eq!(
            clock.times(runs[1].0, runs[1].1, None),
            Times { started_at: at("2026-11-23T18:07:02Z"), ended_at: at("2026-11-23T18:07:09Z") }
        );
    }
}
