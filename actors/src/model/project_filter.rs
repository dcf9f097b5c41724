//! Which projects a query reads.

use std::collections::BTreeSet;

use super::ProjectId;

/// Which projects a query reads. The scans of other projects are left out, also from counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProjectFilter {
    /// All projects.
    #[default]
    All,
    /// Only these projects. An empty set matches no scan.
    Only(BTreeSet<ProjectId>),
}

impl ProjectFilter {
    /// Returns the filter of one project.
    #[must_use]
    pub fn of(project: ProjectId) -> Self {
        Self::Only(BTreeSet::from([project]))
    }

    /// Returns true if the filter admits the scans of a project.
    #[must_use]
    pub fn holds(&self, project: &ProjectId) -> bool {
        match self {
            Self::All => true,
            Self::Only(projects) => projects.contains(project),
        }
    }

    /// Returns the filter of the projects that both filters admit.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, filter) | (filter, Self::All) => filter.clone(),
            (Self::Only(one), Self::Only(two)) => Self::Only(one & two),
        }
    }

    /// Returns true if the filter matches no scan, so that a query need not read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Only(projects) if projects.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str) -> ProjectId {
        name.parse().unwrap()
    }

    fn only(names: &[&str]) -> ProjectFilter {
        ProjectFilter::Only(names.iter().map(|name| project(name)).collect())
    }

    #[test]
    fn two_filters_admit_what_both_admit() {
        let filters = [ProjectFilter::All, only(&[]), only(&["a"]), only(&["a", "b"]), only(&["b", "c"])];
        for one in &filters {
            for two in &filters {
                let both = one.and(two);
                for name in ["a", "b", "c", "default"] {
                    let (name, both) = (project(name), &both);
                    assert_eq!(both.holds(&name), one.holds(&name) && two.holds(&name), "{one:?} {two:?} {name}");
                }
            }
        }
        assert_eq!(ProjectFilter::default(), ProjectFilter::All);
        assert_eq!(ProjectFilter::of(project("a")), only(&["a"]));
        assert_eq!(filters.map(|filter| filter.is_empty()), [false, true, false, false, false]);
    }
}
