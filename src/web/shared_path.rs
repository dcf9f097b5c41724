//! The paths of public links: `/shared/SECRET` and what is below it. The secret must not get into
//! logs, traces and error pages.

/// Returns whether a path is that of a public link, or below it.
pub(crate) fn is_shared(path: &str) -> bool {
    path.trim_start_matches('/').starts_with("shared/")
}

/// Returns a path without the secret of a public link, and without what follows it.
pub(crate) fn without_secret(path: &str) -> &str {
    if is_shared(path) { "/shared" } else { path }
}

/// Returns whether a path is that of a file of a public link.
pub(crate) fn is_shared_file(path: &str) -> bool {
    let below = path.strip_prefix("/shared/").and_then(|rest| rest.split_once('/'));
    below.is_some_and(|(_, rest)| rest.starts_with("files/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_a_public_link_is_shown_without_its_secret() {
        for path in ["/shared/abc", "/shared/abc/report", "//shared/abc", "/shared/abc/files/1/a/shared/b"] {
            assert!(is_shared(path));
            assert_eq!(without_secret(path), "/shared", "{path}");
        }
        for path in ["/", "/shared", "/scans/1", "/scans/1/attempts/1/files/shared/a.txt"] {
            assert!(!is_shared(path));
            assert_eq!(without_secret(path), path);
        }
    }

    #[test]
    fn files_of_a_public_link_are_below_its_secret() {
        assert!(is_shared_file("/shared/abc/files/1/kast_report.html"));
        for path in ["/shared/files/1", "/shared/abc/report", "/shared/abc", "/files/1", "/scans/1/files/1"] {
            assert!(!is_shared_file(path), "{path}");
        }
    }
}
