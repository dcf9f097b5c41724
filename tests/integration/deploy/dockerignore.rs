//! Evaluates `.dockerignore`, as far as this repository uses it: the last line that matches a path
//! or a parent folder decides.

use std::path::Path;

use super::repository;

/// The parsed `.dockerignore`.
pub(super) struct DockerIgnore {
    /// Each pattern, and true if it admits the path.
    rules: Vec<(String, bool)>,
}

impl DockerIgnore {
    pub(super) fn read() -> Self {
        Self::parse(&std::fs::read_to_string(repository(".dockerignore")).unwrap())
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let rule = |line: &str| {
            let (pattern, admits) = line.strip_prefix('!').map_or((line, false), |pattern| (pattern, true));
            assert!(pattern == "*" || !pattern.contains(['*', '?', '[']), "{line}: this does not know such a pattern");
            (pattern.to_owned(), admits)
        };
        Self { rules: lines.map(rule).collect() }
    }

    pub(super) fn admits(&self, path: &str) -> bool {
        let is_at_or_below = |pattern: &str| {
            pattern == "*" || path == pattern || path.strip_prefix(pattern).is_some_and(|rest| rest.starts_with('/'))
        };
        self.rules.iter().rfind(|(pattern, _)| is_at_or_below(pattern)).is_none_or(|(_, admits)| *admits)
    }

    /// Copies the admitted files of the repository. Returns their paths.
    pub(super) fn copy_admitted(&self, into: &Path) -> Vec<String> {
        let mut copied = Vec::new();
        self.copy(Path::new(""), into, &mut copied);
        copied
    }

    fn copy(&self, folder: &Path, into: &Path, copied: &mut Vec<String>) {
        for entry in std::fs::read_dir(repository("").join(folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            let name = path.to_str().unwrap().to_owned();
            if !self.admits(&name) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                std::fs::create_dir(into.join(&path)).unwrap();
                self.copy(&path, into, copied);
            } else {
                std::fs::copy(entry.path(), into.join(&path)).unwrap();
                copied.push(name);
            }
        }
    }
}

#[test]
fn last_matching_dockerignore_line_decides() {
    let rules = DockerIgnore::parse("# x\n*\n!src\nsrc/target\n");
    for (path, admitted) in [
        ("src", true),
        ("src/a/b.rs", true),
        ("src/target", false),
        ("src/target/x", false),
        ("srcs", false),
        ("docs/a", false),
    ] {
        assert_eq!(rules.admits(path), admitted, "{path}");
    }
}
