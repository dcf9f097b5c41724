//! The controllers of a cgroup.

/// The limits that a cgroup hands down to its children.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Controllers {
    pub(in super::super) memory: bool,
    pub(in super::super) pids: bool,
    pub(in super::super) cpu: bool,
}

impl Controllers {
    /// Parses a list such as `cpu io memory pids`.
    pub(super) fn parse(text: &str) -> Self {
        let has = |name: &str| text.split_ascii_whitespace().any(|one| one == name);
        Self { memory: has("memory"), pids: has("pids"), cpu: has("cpu") }
    }

    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        [(self.memory, "memory"), (self.pids, "pids"), (self.cpu, "cpu")]
            .into_iter()
            .filter_map(|(has, name)| has.then_some(name))
    }

    /// The controllers that `self` has and `other` does not.
    pub(super) const fn without(self, other: Self) -> Self {
        Self { memory: self.memory && !other.memory, pids: self.pids && !other.pids, cpu: self.cpu && !other.cpu }
    }

    pub(super) const fn is_empty(self) -> bool {
        !self.memory && !self.pids && !self.cpu
    }

    /// The controllers as text for people.
    pub(super) fn list(self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_are_parsed_and_compared() {
        let all = Controllers::parse("cpuset cpu io memory hugetlb pids\n");
        assert_eq!(all, Controllers { memory: true, pids: true, cpu: true });
        assert_eq!(Controllers::parse("hugetlb\n"), Controllers::default());
        assert_eq!(all.without(Controllers::parse("memory")).list(), "pids, cpu");
        assert!(all.without(all).is_empty());
    }
}
