//! The results of earlier attempts of a scan: whether their files are still complete and on this
//! machine.

use std::path::Path;

use kastrel_actors::model::PluginResult;
use kastrel_actors::policy::resume::EarlierResult;
use kastrel_actors::ports::AttemptJob;

use super::catalogue::Catalogue;
use super::observer::MOST_BYTES;
use super::progress::processed_file;
use super::remains::Wanted;
use super::verdict::{Sureness, processed};
use super::{folder, result_file};
use crate::ports::AttemptPaths;

/// Returns the results whose files are at hand. The folder must have the mark of exactly the
/// attempt that wrote the result, on this data folder: a folder of another life of the scan, or of
/// another program, does not count. The plugin's own file must be readable and must not say that
/// the plugin failed. Blocks.
pub(super) fn at_hand(
    results: &Path,
    data_dir_id: &str,
    job: &AttemptJob,
    earlier: Vec<EarlierResult>,
    catalogue: Option<&Catalogue>,
) -> Vec<PluginResult> {
    let is_at_hand = |earlier: &EarlierResult| -> bool {
        let Some(attempt) = earlier.plugin.attempt else { return false };
        let paths = AttemptPaths::new(results, &job.request.target, job.created_at, job.scan, attempt);
        let Ok(dir) = folder::open(results, &paths) else { return false };
        let wanted = Wanted { data_dir_id: data_dir_id.to_owned(), scan: job.scan, attempt, token: earlier.token };
        if !wanted.has_marked(&dir) {
            return false;
        }
        let name = &earlier.plugin.name;
        let Ok(opened) = result_file::open(&dir, &processed_file(name), MOST_BYTES) else { return false };
        let own = processed::read(name, opened.bytes, catalogue);
        own.sureness != Sureness::Unreadable && !own.result.status.has_failed()
    };
    earlier.into_iter().filter(is_at_hand).map(|earlier| earlier.plugin).collect()
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{AttemptNumber, FencingToken, PluginStatus, ScanId};
    use kastrel_actors::testing::fixtures;

    use super::super::remains::mark;
    use super::super::run::Run;
    use super::*;
    use crate::ports::MARK_NAME;

    #[test]
    fn only_a_readable_result_in_the_marked_folder_of_its_attempt_is_at_hand() {
        let good = r#"{"findings_count":3,"disposition":"success"}"#;
        let own = || mark(AttemptNumber(1), &Run::new("d1").marker(ScanId(7), FencingToken(4)));
        for (what, marked, file, token, expected) in [
            ("as it was written", Some(own()), Some(good), 4, true),
            ("no file", Some(own()), None, 4, false),
            ("truncated", Some(own()), Some(r#"{"findings_count":3,"iss"#), 4, false),
            ("it failed", Some(own()), Some(r#"{"findings_count":0,"disposition":"fail"}"#), 4, false),
            ("another token", Some(own()), Some(good), 5, false),
            ("no mark", None, Some(good), 4, false),
            (
                "another data folder",
                Some(mark(AttemptNumber(1), &Run::new("d2").marker(ScanId(7), FencingToken(4)))),
                Some(good),
                4,
                false,
            ),
        ] {
            let results = tempfile::tempdir().unwrap();
            let job = AttemptJob::of(&fixtures::record(7, jiff::Timestamp::UNIX_EPOCH));
            let paths =
                AttemptPaths::new(results.path(), &job.request.target, job.created_at, job.scan, AttemptNumber(1));
            std::fs::create_dir_all(&paths.attempt_dir).unwrap();
            if let Some(mark) = &marked {
                std::fs::write(paths.attempt_dir.join(MARK_NAME), mark).unwrap();
            }
            if let Some(file) = file {
                std::fs::write(paths.attempt_dir.join("whatweb_processed.json"), file).unwrap();
            }
            let plugin = PluginResult {
                attempt: Some(AttemptNumber(1)),
                ..PluginResult::new("whatweb", PluginStatus::Completed)
            };
            let earlier = |plugin: PluginResult| vec![EarlierResult { plugin, token: FencingToken(token) }];
            let found = at_hand(results.path(), "d1", &job, earlier(plugin.clone()), None);
            assert_eq!(found == [plugin.clone()], expected, "{what}");
            let elsewhere = PluginResult { attempt: Some(AttemptNumber(2)), ..plugin.clone() };
            let without = PluginResult { attempt: None, ..plugin };
            for odd in [elsewhere, without] {
                assert!(at_hand(results.path(), "d1", &job, earlier(odd), None).is_empty(), "{what}");
            }
        }
    }
}
