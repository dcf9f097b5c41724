//! The second key of a scan: the clearance of its target. The first key is the role of the
//! principal ([`access`](super::access)). Required only where accounts are on; elsewhere the one
//! person who confirms active plugins decides.
//!
//! - The longest pattern that covers the host decides; the host itself is longer than any wildcard.
//! - A host without clearance may be scanned passively.
//! - The level `active` counts as `passive` from its end on. The clearance still decides in place
//!   of shorter patterns.
//! - The other levels have no end.

use jiff::Timestamp;

use super::permission;
use crate::model::{Clearance, ClearanceLevel, Host, HostPattern, ScanMode};

/// Whether scans need the clearance of their target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClearanceRule {
    /// They need it: the server has accounts.
    Required,
    /// They do not: every client of the server has all rights.
    #[default]
    NotRequired,
}

/// The clearance that a scan lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotCleared {
    /// The level that the scan needs.
    pub needed: ClearanceLevel,
    /// The host of its target.
    pub host: String,
    /// When the level `active` of the host ended, if it had it.
    pub ended: Option<Timestamp>,
}

impl std::fmt::Display for NotCleared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { needed, host, ended } = self;
        write!(
            f,
            "this scan needs the clearance `{needed}` for {host} in this project, which an owner of the project gives"
        )?;
        match ended {
            Some(ended) => write!(f, "; the earlier one ended at {ended}"),
            None => Ok(()),
        }
    }
}

/// Returns the level that a scan of this mode needs.
#[must_use]
pub const fn needed(mode: ScanMode) -> ClearanceLevel {
    if permission::is_required(mode) { ClearanceLevel::Active } else { ClearanceLevel::Passive }
}

/// Returns the level of a clearance at the time `now`.
#[must_use]
pub fn level_at(clearance: &Clearance, now: Timestamp) -> ClearanceLevel {
    let has_ended = clearance.until.is_some_and(|until| until <= now);
    if has_ended { clearance.level.min(ClearanceLevel::Passive) } else { clearance.level }
}

/// Returns the clearance that decides about a host: the one with the longest pattern that covers
/// it.
#[must_use]
pub fn deciding<'a>(host: &Host, given: &'a [Clearance]) -> Option<&'a Clearance> {
    HostPattern::covering(host)
        .into_iter()
        .find_map(|pattern| given.iter().find(|clearance| clearance.pattern == pattern))
}

/// Decides whether a scan of this mode may run against a host. `given` are clearances of the scan's
/// project, at least those that cover the host.
///
/// # Errors
/// The clearance that the scan lacks.
pub fn decide(host: &Host, mode: ScanMode, given: &[Clearance], now: Timestamp) -> Result<(), NotCleared> {
    let needed = needed(mode);
    let deciding = deciding(host, given);
    if deciding.map_or(ClearanceLevel::Passive, |clearance| level_at(clearance, now)) >= needed {
        return Ok(());
    }
    let ended = deciding.and_then(|clearance| clearance.until).filter(|until| *until <= now);
    Err(NotCleared { needed, host: host.to_string(), ended })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Principal, ProjectId, Target};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn host(text: &str) -> Host {
        text.parse::<Target>().unwrap().host().clone()
    }

    fn clearance(pattern: &str, level: ClearanceLevel, until: Option<i64>) -> Clearance {
        Clearance {
            project: ProjectId::default(),
            pattern: pattern.parse().unwrap(),
            level,
            authorised_by: Principal::System,
            at: at(0),
            until: until.map(at),
            text: "contract".into(),
        }
    }

    #[test]
    fn longest_pattern_decides_and_a_host_without_clearance_is_scanned_passively() {
        use ClearanceLevel::{Active, None as Nothing, Passive};
        let all = [
            clearance("example.com", Active, None),
            clearance("*.example.com", Passive, None),
            clearance("*.lab.example.com", Active, Some(100)),
            clearance("a.lab.example.com", Nothing, None),
            clearance("192.0.2.1", Active, None),
        ];
        for (target, passive, active) in [
            ("example.com", true, true),
            ("https://example.com:8443/a", true, true),
            ("www.example.com", true, false),
            ("b.lab.example.com", true, true),
            ("c.b.lab.example.com", true, true),
            ("a.lab.example.com", false, false),
            ("a.lab.example.com.", false, false),
            ("x.a.lab.example.com", true, true),
            ("lab.example.com", true, false),
            ("notexample.com", true, false),
            ("192.0.2.1", true, true),
            ("[::ffff:192.0.2.1]", true, true),
            ("192.0.2.2", true, false),
        ] {
            let allowed = |mode| decide(&host(target), mode, &all, at(50)).is_ok();
            assert_eq!(allowed(ScanMode::Passive), passive, "{target}");
            assert_eq!((allowed(ScanMode::Active), allowed(ScanMode::Both)), (active, active), "{target}");
        }
        assert_eq!(decide(&host("a.test"), ScanMode::Passive, &[], at(0)), Ok(()));
    }

    #[test]
    fn active_clearance_counts_as_passive_from_its_end_on() {
        let all = [
            clearance("*.example.com", ClearanceLevel::Active, None),
            clearance("a.example.com", ClearanceLevel::Active, Some(100)),
        ];
        for (now, is_active) in [(99, true), (100, false), (101, false)] {
            let a = host("a.example.com");
            assert_eq!(decide(&a, ScanMode::Active, &all, at(now)).is_ok(), is_active, "{now}: not the wildcard's");
            assert_eq!(decide(&a, ScanMode::Passive, &all, at(now)), Ok(()));
            assert_eq!(decide(&host("b.example.com"), ScanMode::Active, &all, at(now)), Ok(()));
        }
        // No such row is written. If there is one, it forbids.
        let odd = [clearance("a.example.com", ClearanceLevel::None, Some(100))];
        assert!(decide(&host("a.example.com"), ScanMode::Passive, &odd, at(200)).is_err());
    }

    #[test]
    fn refusal_names_the_missing_clearance() {
        let refused = |mode, given: &[Clearance]| {
            decide(&host("https://example.com/a"), mode, given, at(100)).unwrap_err().to_string()
        };
        let text = "this scan needs the clearance `active` for example.com in this project, which an owner of the project gives";
        assert_eq!(refused(ScanMode::Both, &[]), text);
        let ended = [clearance("example.com", ClearanceLevel::Active, Some(100))];
        assert_eq!(refused(ScanMode::Active, &ended), format!("{text}; the earlier one ended at 1970-01-01T00:01:40Z"));
        let none = [clearance("*.com", ClearanceLevel::None, None)];
        assert_eq!(refused(ScanMode::Passive, &none), text.replace("`active`", "`passive`"));
    }

    /// The same decision by trying each pattern with each part of the name.
    fn slow(name: &str, mode: ScanMode, given: &[Clearance], now: i64) -> bool {
        let labels: Vec<&str> = name.split('.').collect();
        let mut best: Option<(usize, &Clearance)> = None;
        for clearance in given {
            let parts: Vec<&str> = clearance.pattern.as_str().split('.').collect();
            let length = match parts.split_first() {
                Some((&"*", domain)) if labels.len() > domain.len() && labels.ends_with(domain) => domain.len(),
                _ if parts == labels => usize::MAX,
                _ => continue,
            };
            if best.is_none_or(|(longest, _)| length > longest) {
                best = Some((length, clearance));
            }
        }
        let is_active = |clearance: &Clearance| clearance.until.is_none_or(|until| until > at(now));
        match (mode, best) {
            (ScanMode::Passive, Some((_, clearance))) => clearance.level != ClearanceLevel::None,
            (ScanMode::Passive, None) => true,
            (ScanMode::Active | ScanMode::Both, Some((_, clearance))) => {
                clearance.level == ClearanceLevel::Active && is_active(clearance)
            }
            (ScanMode::Active | ScanMode::Both, None) => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn decision_is_that_of_the_slow_model(
            name in "([ab]\\.){0,3}(aa|b)",
            rows in prop::collection::btree_map(
                "(\\*\\.)?([ab]\\.){0,3}(aa|b)",
                (prop::sample::select(ClearanceLevel::ALL), prop::option::of(90_i64..110)),
                0..6,
            ),
            mode in prop::sample::select(ScanMode::ALL),
        ) {
            let given: Vec<Clearance> = rows
                .into_iter()
                .map(|(pattern, (level, until))| {
                    clearance(&pattern, level, until.filter(|_| level == ClearanceLevel::Active))
                })
                .collect();
            prop_assert_eq!(decide(&host(&name), mode, &given, at(100)).is_ok(), slow(&name, mode, &given, 100));
        }
    }
}
