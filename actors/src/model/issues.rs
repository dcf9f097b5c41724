//! Issues by severity: exact counts of all issues, and a bounded list of the worst.

use serde::{Deserialize, Serialize};

use super::count::{bounded_count, total_count};

/// The maximum number of issues of one plugin that a row lists. The others are only counted.
pub const MOST_LISTED_ISSUES: usize = 200;

named_enum! {
    /// The severity of an issue, from KAST's registry of issues. Declared worst first.
    pub enum Severity {
        /// Worst.
        Critical = "critical",
        /// High.
        High = "high",
        /// Medium.
        Medium = "medium",
        /// Low.
        Low = "low",
        /// Worth knowing.
        Informational = "informational",
        /// Not in the registry.
        Unknown = "unknown",
    }
}

impl Severity {
    /// Returns true if this severity is `least` or worse.
    #[must_use]
    pub fn is_at_least(self, least: Self) -> bool {
        self <= least
    }
}

/// A named issue that a plugin reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Issue))]
pub struct IssueRef {
    /// The id as the plugin wrote it.
    pub id: String,
    /// The severity from the registry, or unknown.
    pub severity: Severity,
    /// The registry's display name, or the id.
    pub title: String,
}

/// The number of issues of each severity. Sums saturate at [`MAX_COUNT`](super::MAX_COUNT).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeverityCounts {
    /// Critical issues.
    pub critical: u64,
    /// High issues.
    pub high: u64,
    /// Medium issues.
    pub medium: u64,
    /// Low issues.
    pub low: u64,
    /// Informational issues.
    pub informational: u64,
    /// Issues that the registry does not know.
    pub unknown: u64,
}

// By hand, because a derived schema would make each field optional: `serde(default)` is for what
// earlier versions stored.
#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for SeverityCounts {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        let object = ObjectBuilder::new().description(Some("The number of issues of each severity."));
        Severity::ALL
            .iter()
            .fold(object, |object, severity| {
                let count = ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .minimum(Some(0_u64))
                    .description(Some(format!("Issues of the severity `{severity}`.")));
                object.property(severity.as_str(), count).required(severity.as_str())
            })
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for SeverityCounts {
    fn name() -> std::borrow::Cow<'static, str> {
        "Severities".into()
    }
}

impl SeverityCounts {
    /// Counts the issues of a list.
    #[must_use]
    pub fn listed(issues: &[IssueRef]) -> Self {
        let mut counts = Self::default();
        for issue in issues {
            counts.add(issue.severity, 1);
        }
        counts
    }

    /// Returns the number of issues of one severity.
    #[must_use]
    pub const fn number(&self, severity: Severity) -> u64 {
        match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
            Severity::Informational => self.informational,
            Severity::Unknown => self.unknown,
        }
    }

    const fn number_mut(&mut self, severity: Severity) -> &mut u64 {
        match severity {
            Severity::Critical => &mut self.critical,
            Severity::High => &mut self.high,
            Severity::Medium => &mut self.medium,
            Severity::Low => &mut self.low,
            Severity::Informational => &mut self.informational,
            Severity::Unknown => &mut self.unknown,
        }
    }

    /// Adds `more` issues of one severity.
    pub const fn add(&mut self, severity: Severity, more: u64) {
        let number = self.number_mut(severity);
        *number = bounded_count(number.saturating_add(more));
    }

    /// Returns the sum of both counts.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        for severity in Severity::ALL {
            self.add(*severity, other.number(*severity));
        }
        self
    }

    /// Returns the larger number of each severity, bounded.
    #[must_use]
    pub fn at_least(mut self, other: Self) -> Self {
        for severity in Severity::ALL {
            let number = self.number_mut(*severity);
            *number = bounded_count((*number).max(other.number(*severity)));
        }
        self
    }

    /// Returns the number of all issues.
    #[must_use]
    pub fn total(&self) -> u64 {
        total_count(Severity::ALL.iter().map(|severity| self.number(*severity)))
    }

    /// Returns the number of issues of severity `least` or worse.
    #[must_use]
    pub fn total_from(&self, least: Severity) -> u64 {
        total_count(
            Severity::ALL.iter().filter(|severity| severity.is_at_least(least)).map(|severity| self.number(*severity)),
        )
    }

    /// Returns the worst severity that has an issue.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        Severity::ALL.iter().copied().find(|severity| self.number(*severity) > 0)
    }

    /// Returns true if there is no issue.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.worst().is_none()
    }
}

/// Collects the issues of one plugin: counts all, keeps the worst. Among issues of one severity it
/// keeps the first ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IssueCollector {
    counts: SeverityCounts,
    worst: Vec<IssueRef>,
}

impl IssueCollector {
    /// Counts an issue, and lists it if it is among the worst.
    pub fn push(&mut self, issue: IssueRef) {
        self.counts.add(issue.severity, 1);
        self.list(issue);
    }

    /// Adds the counts and the list of another collector.
    pub fn append(&mut self, other: Self) {
        self.counts = self.counts.plus(other.counts);
        other.worst.into_iter().for_each(|issue| self.list(issue));
    }

    /// Returns true if no issue was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    fn list(&mut self, issue: IssueRef) {
        let at = self.worst.partition_point(|listed| listed.severity <= issue.severity);
        if at < MOST_LISTED_ISSUES {
            self.worst.insert(at, issue);
            self.worst.truncate(MOST_LISTED_ISSUES);
        }
    }

    /// Counts issues that cannot be listed.
    pub const fn count(&mut self, severity: Severity, more: u64) {
        self.counts.add(severity, more);
    }

    /// Returns the same list with the larger of these counts and the list's own counts.
    #[must_use]
    pub fn with_counts_of(self, counts: SeverityCounts) -> Self {
        Self { counts: counts.at_least(SeverityCounts::listed(&self.worst)), ..self }
    }

    /// Returns the counts of all issues and the list of the worst.
    #[must_use]
    pub fn into_parts(self) -> (SeverityCounts, Vec<IssueRef>) {
        (self.counts, self.worst)
    }
}

impl Extend<IssueRef> for IssueCollector {
    fn extend<I: IntoIterator<Item = IssueRef>>(&mut self, issues: I) {
        issues.into_iter().for_each(|issue| self.push(issue));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MAX_COUNT, PluginResult, PluginStatus};

    fn issue(id: usize, severity: Severity) -> IssueRef {
        IssueRef { id: id.to_string(), severity, title: String::new() }
    }

    #[test]
    fn an_issue_beyond_the_bound_is_counted_and_a_worse_one_is_listed() {
        let mut collector = IssueCollector::default();
        collector.extend((0..1_339).map(|id| issue(id, Severity::Low)));
        collector.push(issue(1_339, Severity::High));
        let (counts, listed) = collector.into_parts();
        assert_eq!((counts.low, counts.high, counts.total()), (1_339, 1, 1_340));
        assert_eq!(
            (listed.len(), listed[0].id.as_str(), listed[1].id.as_str(), listed[199].id.as_str()),
            (200, "1339", "0", "198")
        );
    }

    #[test]
    fn appended_collector_is_counted_and_the_worst_of_both_are_listed() {
        let (mut one, mut other) = (IssueCollector::default(), IssueCollector::default());
        assert!(one.is_empty());
        one.extend((0..300).map(|id| issue(id, Severity::Low)));
        other.extend((300..600).map(|id| issue(id, Severity::Low)));
        other.push(issue(600, Severity::High));
        one.append(other);
        let (counts, listed) = one.into_parts();
        assert_eq!(
            (counts.low, counts.high, listed.len(), listed[0].id.as_str(), listed[199].id.as_str()),
            (600, 1, 200, "600", "198")
        );
    }

    #[test]
    fn counts_are_those_of_the_file_or_else_of_the_list() {
        let listed = vec![issue(0, Severity::High), issue(1, Severity::Low)];
        let old = PluginResult { issues: listed.clone(), ..PluginResult::new("a", PluginStatus::Completed) };
        let new = PluginResult { severities: SeverityCounts { low: 9, ..SeverityCounts::default() }, ..old.clone() };
        let absurd = PluginResult {
            severities: SeverityCounts { critical: u64::MAX, high: u64::MAX, ..SeverityCounts::default() },
            ..PluginResult::new("b", PluginStatus::Failed)
        };
        for (plugins, high, low, total, worst) in [
            (vec![], 0, 0, 0, None),
            (vec![old.clone()], 1, 1, 2, Some(Severity::High)),
            (vec![new.clone()], 1, 9, 10, Some(Severity::High)),
            (vec![old, new], 2, 10, 12, Some(Severity::High)),
            (vec![absurd.clone(), absurd], MAX_COUNT, 0, MAX_COUNT, Some(Severity::Critical)),
        ] {
            let counts = SeverityCounts::of(&plugins);
            assert_eq!(
                (counts.high, counts.low, counts.total(), counts.worst()),
                (high, low, total, worst),
                "{plugins:?}"
            );
        }
    }

    #[test]
    fn severities_compare_from_worst_to_unknown() {
        let counts = SeverityCounts { critical: 1, high: 2, medium: 4, low: 8, informational: 16, unknown: 32 };
        for (least, total) in [
            (Severity::Critical, 1),
            (Severity::High, 3),
            (Severity::Medium, 7),
            (Severity::Low, 15),
            (Severity::Unknown, 63),
        ] {
            assert_eq!(counts.total_from(least), total, "{least}");
        }
    }
}
