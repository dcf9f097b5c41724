//! Recognizes texts with which a plugin reports that it checked nothing, for plugins without a
//! disposition.
//!
//! Some of KAST's plugins write a file without a disposition, with a sentence such as "Plugin
//! failed: no subdomains". Only the start of a text counts, because the rest may come from the
//! scanned site.

/// The openings of such a text.
const OPENINGS: &[&str] =
    &["unable to ", "could not ", "cannot ", "failed to ", "error:", "error reading ", "plugin failed", "scan failed"];
/// The phrases in the first sentence of such a text.
const SENTENCES: &[&str] = &["could not be completed", "could not complete", "did not complete", "unable to complete"];
/// The number of characters at the start of a text that are searched.
const MOST_CHARS: usize = 120;

/// Returns true if the text reports a failure.
pub(super) fn says_failure(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(MOST_CHARS).collect::<String>().to_lowercase();
    let sentence = start.split(['.', ':', '\n']).next().unwrap_or_default();
    let is_plain = sentence.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '/' | '(' | ')'));
    // "testssl scan failed: …", "mozilla_observatory run failed: …".
    let has_failed = is_plain && start[sentence.len()..].starts_with(':') && sentence.ends_with(" failed");
    has_failed
        || OPENINGS.iter().any(|opening| start.starts_with(opening))
        || (is_plain && SENTENCES.iter().any(|part| sentence.contains(part)))
}

/// Returns true if the text has a reason: it does not end with a colon.
pub(super) fn has_reason(text: &str) -> bool {
    !text.trim_end().ends_with(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_text_is_recognized_by_its_start() {
        for text in [
            "Plugin failed: No subdomains discovered for a.test",
            "Plugin execution failed: no route",
            "testssl scan failed: ",
            "Script detection failed: HTTPSConnectionPool(host='a.test')",
            "mozilla_observatory run failed: No output",
            "Unable to complete TLS scan.",
            "Scan could not be completed. See details above for more information.",
            "SSL/TLS scan could not be completed. Can't connect",
            "CORS analysis could not complete: No existing results",
            "Organization domain discovery did not complete.",
            "Error: [Errno 2] No such file",
            "Error reading results: x",
        ] {
            assert!(says_failure(text), "{text}");
        }
        for text in [
            "",
            "ok",
            "No WAF detected",
            "Found 2 issues: 1 High",
            "Grade: F, Score: 0, Tests Passed: 1, Tests Failed: 9",
            "http://a.test — HTTP 500: Title [Error: login failed: try again]",
            "a.test failed: is the site's title",
            "3 of 4 logins failed",
            "Detected 3 hosts. One could not be completed: x",
            "Erroneous",
        ] {
            assert!(!says_failure(text), "{text}");
        }
        assert!(has_reason("a scan failed: x") && !has_reason("a scan failed: "));
    }
}
