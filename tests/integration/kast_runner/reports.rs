//! Tests of regenerated reports, by a scanner that runs under a keeper.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kastrel::adapters::kast_runner::{KastReportRenderer, RenderError, ScannerCommand};
use kastrel::ports::AttemptPaths;
use kastrel_actors::model::{AttemptNumber, ReportFiles, ReportFormat, ScanRecord};
use kastrel_actors::testing::fixtures;

use super::stage::Stage;

/// Creates a renderer whose scanner is a script.
async fn renderer(script: &str) -> (Stage, KastReportRenderer, ScanRecord, PathBuf) {
    let stage = Stage::without_catalogue(|config| {
        let program = config.results_dir.with_file_name("kast");
        std::fs::write(&program, format!("#!/bin/sh\n[ \"$1\" = --report-only ] || exit 0\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        config.scanner = ScannerCommand::kast(program);
    });
    let record = fixtures::record(7, jiff::Timestamp::UNIX_EPOCH);
    let results = stage.root.path().join("results");
    let folder =
        AttemptPaths::new(&results, &record.request.target, record.created_at, record.id, AttemptNumber(1)).attempt_dir;
    std::fs::create_dir_all(&folder).unwrap();
    let renderer = stage.runner.report_renderer();
    (stage, renderer, record, folder)
}

/// Returns all files of the scan with their content.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_file()).collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    files
        .into_iter()
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn regenerated_reports_are_taken_from_a_copy() {
    let script = "cat \"$2/whatweb_processed.json\" > \"$2/kast_report.html\"; echo \"$3 $4 $5 $6 $7 $8\" >> \"$2/kast_report.html\"; echo style > \"$2/kast_style.css\"; echo x > \"$2/other.txt\"";
    let (_stage, renderer, record, folder) = renderer(script).await;
    let render = |format| renderer.render(&record, AttemptNumber(1), format);
    assert!(matches!(render(ReportFormat::Html).await, Err(RenderError::NoResults)));
    std::fs::write(folder.join("kast_info.json"), "{}").unwrap();
    std::fs::write(folder.join("whatweb_processed.json"), "found\n").unwrap();
    std::fs::write(folder.join("kast_report.html"), "old").unwrap();
    std::fs::write(folder.join("katana.txt"), "large").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.join("zap_processed.json")).unwrap();
    render(ReportFormat::Html).await.unwrap();
    let report = "found\n--format html -m active --run-only whatweb\n";
    let expected = [
        ("kast_info.json", "{}"),
        ("kast_report.html", report),
        ("kast_style.css", "style\n"),
        ("katana.txt", "large"),
        ("whatweb_processed.json", "found\n"),
    ];
    let own: Vec<_> = files(&folder).into_iter().filter(|(name, _)| name != "zap_processed.json").collect();
    assert_eq!(own, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    let beside: Vec<_> =
        std::fs::read_dir(folder.parent().unwrap()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(beside, ["attempt-1"], "the copy is gone");
    assert_eq!(render(ReportFormat::Both).await.unwrap(), ReportFiles { html: true, pdf: false });
    std::fs::write(folder.join("kast_report.html"), "as it was").unwrap();
    assert_eq!(
        render(ReportFormat::Pdf).await.unwrap_err().to_string(),
        "the scanner wrote no PDF report; the files are as they were"
    );
    assert_eq!(std::fs::read_to_string(folder.join("kast_report.html")).unwrap(), "as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn scanner_that_runs_plugins_while_rendering_changes_no_result() {
    for (script, expected) in [
        (
            "echo worse > \"$2/whatweb_processed.json\"; echo new > \"$2/kast_report.html\"",
            "changed whatweb_processed.json of the results",
        ),
        (
            "echo '{}' > \"$2/ftap_processed.json\"; echo new > \"$2/kast_report.html\"",
            "changed ftap_processed.json of the results",
        ),
        (
            "rm \"$2/whatweb_processed.json\"; echo new > \"$2/kast_report.html\"",
            "changed whatweb_processed.json of the results",
        ),
        (
            "echo '{\"plugins\":[]}' > \"$2/kast_info.json\"; echo new > \"$2/kast_report.html\"",
            "changed kast_info.json of the results",
        ),
        ("exit 0", "wrote no HTML report"),
        ("ln -s /etc/passwd \"$2/kast_report.html\"", "wrote no HTML report"),
        ("echo Traceback >&2; echo 'no report here' >&2; exit 1", "did not render the report: no report here"),
    ] {
        let (_stage, renderer, record, folder) = renderer(script).await;
        for (name, text) in [("kast_info.json", "{}"), ("whatweb_processed.json", "found"), ("kast_report.html", "old")]
        {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let before = files(&folder);
        let error = renderer.render(&record, AttemptNumber(1), ReportFormat::Html).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{script}: {error}");
        assert_eq!(files(&folder), before, "{script}");
        assert_eq!(std::fs::read_dir(folder.parent().unwrap()).unwrap().count(), 1, "{script}");
    }
}
