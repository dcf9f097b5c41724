//! Computes when a plugin ran. KAST writes local times without a zone. Each plugin's own file has
//! one time with a zone, usually that of its end. This time decides how the others are interpreted.
//!
//! A local time is off by hours when the clocks go back, or if KAST was started in another zone
//! than Kastrel (a launcher with its own `TZ`). So this module uses this machine's zone only if the
//! result is consistent with the known times: the plugin's own time, and the time at which
//! `kast_info.json` was written. If another offset is consistent instead, that one is used. If
//! several interpretations remain, the time is dropped.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// The tolerance between two clock readings of the same event: the plugin's own time is taken
/// slightly before or after KAST's.
const SLACK: SignedDuration = SignedDuration::from_secs(5);
/// The maximum delay between the end of the last plugin and the write of `kast_info.json`, and
/// between a plugin's end and the write of its file.
const WRITING: SignedDuration = SignedDuration::from_secs(120);
/// All offsets in use are multiples of this number of seconds.
const QUARTER: i32 = 15 * 60;
/// The offsets in use, in quarters of an hour: from 12 hours west to 14 hours east.
const MOST_QUARTERS: std::ops::RangeInclusive<i32> = -48..=56;

/// When a plugin ran; only times that are certain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
}

/// A time as written.
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

    /// The possible meanings in a zone: none in the hour that the clocks skip, two in the hour that
    /// occurs twice.
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

/// The interpretation of KAST's times of one run.
#[derive(Debug)]
pub(super) struct Clock<'a> {
    zone: &'a TimeZone,
    /// The offset of KAST's clock, if this machine's zone is not consistent.
    other: Option<Offset>,
}

type Run<'t> = (Option<&'t str>, Option<&'t str>, Option<Timestamp>);

impl<'a> Clock<'a> {
    /// Determines the interpretation. `end` is the end of the run by KAST's clock, and `written`
    /// the time at which the file was written. `plugins` have their start, their end, and their own
    /// time.
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

    /// Returns when a plugin ran; `own` is its own time.
    pub(super) fn times(&self, start: Option<&str>, end: Option<&str>, own: Option<Timestamp>) -> Times {
        let (start, end) = (start.and_then(Said::parse), end.and_then(Said::parse));
        let Some(own) = own else { return self.without_own_time(start, end) };
        let (Found::Zone(times) | Found::Other(_, times)) = Self::by_own_time(self.zone, start, end, own) else {
            // None of KAST's times is consistent, so only the time with a zone remains.
            return Times { started_at: None, ended_at: Some(own) };
        };
        // The plugin's own time is that of its end; for some failed plugins, it is that of their
        // start.
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
            // Of two equally good offsets, prefer the one in which the plugin's own time is that of
            // its end.
            let from_end = pair.1.map_or(SignedDuration::MAX, |end| own.duration_since(end).abs());
            (ordered && fits(&pair) && distance(&pair) <= WRITING).then(|| ((distance(&pair), from_end), offset, pair))
        };
        match offsets_in_use().filter_map(with).min_by_key(|(distance, ..)| *distance) {
            Some((_, offset, (started_at, ended_at))) => Found::Other(offset, Times { started_at, ended_at }),
            // A long-running plugin may write its own time in the middle.
            None if nearest.is_some() => Found::Zone(agreed(&fitting)),
            None => Found::Nothing,
        }
    }
}

/// The interpretation of KAST's times by the plugin's own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// They are in this machine's zone.
    Zone(Times),
    /// They have another offset.
    Other(Offset, Times),
    /// They are consistent with no offset in use.
    Nothing,
}

fn offsets_in_use() -> impl Iterator<Item = Offset> {
    let quarters = MOST_QUARTERS;
    quarters.filter_map(|quarters| Offset::from_seconds(quarters * QUARTER).ok())
}

/// All combinations in which the end is not before the start. A missing time, or one without a
/// meaning, is `None`.
fn pairs(starts: Option<Vec<Timestamp>>, ends: Option<Vec<Timestamp>>) -> Vec<(Option<Timestamp>, Option<Timestamp>)> {
    let all = |said: Option<Vec<Timestamp>>| match said {
        Some(meanings) if !meanings.is_empty() => meanings.into_iter().map(Some).collect(),
        _ => vec![None],
    };
    let (starts, ends) = (all(starts), all(ends));
    let combined = starts.iter().flat_map(|start| ends.iter().map(move |end| (*start, *end)));
    combined.filter(|(start, end)| start.zip(*end).is_none_or(|(start, end)| start <= end)).collect()
}

/// The values that all pairs have in common.
fn agreed(pairs: &[(Option<Timestamp>, Option<Timestamp>)]) -> Times {
    let Some(&(start, end)) = pairs.first() else { return Times::default() };
    Times {
        started_at: start.filter(|_| pairs.iter().all(|(other, _)| *other == start)),
        ended_at: end.filter(|_| pairs.iter().all(|(_, other)| *other == end)),
    }
}

/// Drops both times if the end is before the start.
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

    /// The times of a run with one plugin.
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
    fn time_with_a_zone_decides_the_meaning_of_local_times() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (start, end, own, written, expected) in [
            // The night when the clocks go back: 02:50 in summer time, 02:10 in winter time.
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
            // Both times are in the hour that occurs twice, without further evidence; or only the
            // end is known.
            ("2026-10-25T02:10:00", "2026-10-25T02:50:00", "", "", ("", "")),
            ("2026-10-25T02:10:00", "2026-10-25T02:50:00", "2026-10-25T01:50:00Z", "", ("", "2026-10-25T01:50:00Z")),
            ("2026-10-25T02:30:00", "", "", "", ("", "")),
            ("2026-10-25T01:30:00", "2026-10-25T02:30:00", "", "", ("2026-10-24T23:30:00Z", "")),
            ("2026-10-25T02:30:00", "2026-10-25T03:30:00", "", "", ("", "2026-10-25T02:30:00Z")),
            // The night when the clocks go forward: 02:30 does not exist.
            (
                "2026-03-29T01:50:00",
                "2026-03-29T03:10:00",
                "2026-03-29T01:10:00Z",
                "",
                ("2026-03-29T00:50:00Z", "2026-03-29T01:10:00Z"),
            ),
            ("2026-03-29T02:30:00", "2026-03-29T03:10:00", "", "", ("", "2026-03-29T01:10:00Z")),
            // An ordinary day. The end is the plugin's own time, unless that is the time of its
            // start.
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
            // A launcher in Tokyo, in Kathmandu, in UTC. The plugin's own time shows it, or the
            // time at which the file was written.
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
            // A long-running plugin: many offsets are consistent, and so is this machine's zone.
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
            // Times with a zone need no interpretation.
            (
                "2026-11-23T19:06:59+09:00",
                "2026-11-23T10:07:02Z",
                "",
                "",
                ("2026-11-23T10:06:59Z", "2026-11-23T10:07:02Z"),
            ),
            // Inconsistent times are dropped.
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
    fn plugin_without_its_own_time_uses_the_offset_of_the_others() {
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
