//! The report `kast_report.html`: one static page, built from the files of an output folder, for
//! reading and printing.
//!
//! The report is built from the files and not from memory, so `--report-only` produces the same
//! page again. It contains no script.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::files;
use crate::html::Html;
use crate::info::{self, Info};
use crate::issues::{self, Severity};
use crate::output::{Processed, write_whole};

/// The report's file name.
pub const FILE_NAME: &str = "kast_report.html";

/// The style sheet's file name.
pub const STYLE_NAME: &str = "kast_style.css";

const STYLE: &str = include_str!("report.css");

/// The largest logo, in bytes.
const LOGO_LIMIT: u64 = 1024 * 1024;

/// A picture for the report header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo(String);

impl Logo {
    /// Reads a PNG or JPEG file. The content decides the type, not the name.
    ///
    /// # Errors
    /// Returns a readable reason if the file cannot be read, is larger than 1 MiB, or has another
    /// format.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes =
            files::read(path, LOGO_LIMIT).map_err(|error| format!("logo {}: the file {error}", path.display()))?;
        let kind = match bytes.as_slice() {
            [0x89, b'P', b'N', b'G', ..] => "png",
            [0xff, 0xd8, 0xff, ..] => "jpeg",
            _ => return Err(format!("logo {}: neither PNG nor JPEG", path.display())),
        };
        Ok(Self(format!("data:image/{kind};base64,{}", STANDARD.encode(bytes))))
    }
}

/// One finding, ready for display.
struct Row {
    severity: Option<Severity>,
    title: String,
    plugin: String,
    location: String,
    evidence: String,
    description: &'static str,
    remediation: &'static str,
}

/// Renders the report of the files in `folder` and returns its path. `target` is needed if
/// `kast_info.json` is missing.
///
/// # Errors
/// Returns the error of the file system.
pub fn write(folder: &Path, target: Option<&str>, logo: Option<&Logo>) -> io::Result<PathBuf> {
    let info = read_info(folder);
    let mut plugins = read_plugins(folder)?;
    if let Some(info) = &info {
        // A reused folder may hold files of plugins that did not run this time.
        plugins.retain(|file| info.plugins.iter().any(|run| run.plugin_name == file.name));
    }
    let page = render(info.as_ref(), &plugins, target, logo);
    write_whole(folder, STYLE_NAME, STYLE.as_bytes())?;
    write_whole(folder, FILE_NAME, page.as_bytes())?;
    Ok(folder.join(FILE_NAME))
}

/// Reads `kast_info.json` of a folder. Returns `None` if it is missing or invalid.
#[must_use]
pub fn read_info(folder: &Path) -> Option<Info> {
    serde_json::from_slice(&fs::read(folder.join(info::FILE_NAME)).ok()?).ok()
}

fn read_plugins(folder: &Path) -> io::Result<Vec<Processed>> {
    let mut plugins = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("_processed.json"))
            && let Ok(file) = serde_json::from_slice::<Processed>(&fs::read(&path)?)
        {
            plugins.push(file);
        }
    }
    plugins.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(plugins)
}

fn rows(plugins: &[Processed]) -> Vec<Row> {
    let mut rows = Vec::new();
    for plugin in plugins {
        let results = plugin.findings["results"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut told = Vec::new();
        for result in results {
            let Some(id) = result["issue"].as_str() else { continue };
            told.push(id.to_owned());
            rows.push(row(id, plugin, text_of(&result["location"]), text_of(&result["evidence"])));
        }
        // KAST's own files list issues whose results have another format.
        for issue in &plugin.issues {
            let id = issue.as_str().or_else(|| issue["id"].as_str()).unwrap_or("unknown issue");
            if !told.iter().any(|known| known == id) {
                rows.push(row(id, plugin, String::new(), String::new()));
            }
        }
    }
    rows.sort_by(|a, b| {
        (a.severity.is_none(), a.severity, &a.title).cmp(&(b.severity.is_none(), b.severity, &b.title))
    });
    rows
}

fn row(id: &str, plugin: &Processed, location: String, evidence: String) -> Row {
    let issue = issues::find(id);
    Row {
        severity: issue.map(|issue| issue.severity),
        title: issue.map_or_else(|| id.to_owned(), |issue| issue.title.to_owned()),
        plugin: plugin.display_name.clone(),
        location,
        evidence,
        description: issue.map_or("", |issue| issue.description),
        remediation: issue.map_or("", |issue| issue.remediation),
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(String::new, str::to_owned)
}

fn render(info: Option<&Info>, plugins: &[Processed], target: Option<&str>, logo: Option<&Logo>) -> String {
    let recorded = info.and_then(|info| info.cli_arguments["target"].as_str());
    let target = target.or(recorded).unwrap_or("unknown target");
    let rows = rows(plugins);
    let mut page = Html::default();
    page.raw(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    );
    page.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<title>Scan of ")
        .text(target)
        .raw("</title>\n<style>\n");
    // The style sheet is also embedded, so that the page can be mailed as a single file.
    page.raw(STYLE).raw("</style>\n</head>\n<body>\n<header>\n");
    if let Some(Logo(data)) = logo {
        page.raw("<img class=\"logo\" alt=\"\" src=\"").text(data).raw("\">\n");
    }
    let scanner = match info {
        Some(info) if info.scanner == crate::NAME => "Kastrel built-in scanner",
        Some(_) => "Kastrel built-in scanner, from files of another scanner",
        None => "Kastrel built-in scanner",
    };
    page.raw("<p class=\"maker\">").raw(scanner).raw("</p>\n<h1>").text(target).raw("</h1>\n<p class=\"when\">");
    match info {
        Some(info) => {
            let version = if info.scanner == crate::NAME {
                format!("version {}", crate::VERSION)
            } else {
                format!("KAST {}", info.kast_version)
            };
            page.text(&format!(
                "{} local time · {} s · {version}",
                info.start_timestamp.get(..19).unwrap_or(&info.start_timestamp).replace('T', " "),
                info.duration_seconds
            ));
        }
        None => {
            page.raw(
                "This scan has no kast_info.json: it was interrupted, and the report shows what was done until then.",
            );
        }
    }
    page.raw("</p>\n</header>\n<main>\n");
    counts(&mut page, &rows);
    for note in info.map(|info| info.notes.as_slice()).unwrap_or_default() {
        page.raw("<p class=\"note\">").text(note).raw("</p>\n");
    }
    unchecked(&mut page, info);
    findings(&mut page, &rows, info);
    plugin_table(&mut page, info, plugins);
    details(&mut page, plugins);
    page.raw("</main>\n<footer>A passive scan sees what a visitor sees. It cannot prove that a site is safe.</footer>\n</body>\n</html>\n");
    page.finish()
}

fn label(severity: Option<Severity>) -> &'static str {
    severity.map_or("Unknown", Severity::name)
}

fn class(severity: Option<Severity>) -> &'static str {
    match severity {
        Some(Severity::Critical) => "critical",
        Some(Severity::High) => "high",
        Some(Severity::Medium) => "medium",
        Some(Severity::Low) => "low",
        Some(Severity::Informational) => "info",
        None => "unknown",
    }
}

fn counts(page: &mut Html, rows: &[Row]) {
    page.raw("<ul class=\"counts\">\n");
    for severity in Severity::ALL {
        let count = rows.iter().filter(|row| row.severity == Some(severity)).count();
        page.raw("<li class=\"")
            .raw(class(Some(severity)))
            .raw(if count == 0 { " none" } else { "" })
            .raw("\"><b>")
            .text(&count.to_string())
            .raw("</b> ")
            .raw(severity.name())
            .raw("</li>\n");
    }
    page.raw("</ul>\n");
}

/// Lists the failed checks at the top, so that a reader does not take a missing result for a good
/// one.
fn unchecked(page: &mut Html, info: Option<&Info>) {
    let failed: Vec<_> = info
        .map(|info| info.plugins.as_slice())
        .unwrap_or_default()
        .iter()
        .filter(|run| !matches!(run.status.as_str(), "success" | "skipped"))
        .collect();
    if !failed.is_empty() {
        let names: Vec<_> = failed.iter().map(|run| run.plugin_name.as_str()).collect();
        page.raw("<p class=\"note\">Not everything was checked. These plugins could not do all of their work: ")
            .text(&names.join(", "))
            .raw(". The table below says why.</p>\n");
    }
}

fn findings(page: &mut Html, rows: &[Row], info: Option<&Info>) {
    page.raw("<h2>Findings</h2>\n");
    if rows.is_empty() {
        let checked = info.is_some_and(|info| info.plugins.iter().any(|run| run.status == "success"));
        page.raw(if checked {
            "<p>No findings in what was checked.</p>\n"
        } else {
            "<p>No check was made, so there is nothing to tell about this target.</p>\n"
        });
    }
    let mut at = 0;
    while at < rows.len() {
        let severity = rows[at].severity;
        let group: Vec<&Row> = rows[at..].iter().take_while(|row| row.severity == severity).collect();
        at += group.len();
        page.raw("<section class=\"")
            .raw(class(severity))
            .raw("\">\n<h3><span class=\"badge\">")
            .raw(label(severity))
            .raw("</span> ")
            .text(&group.len().to_string())
            .raw("</h3>\n");
        // Several findings of one issue share its explanation.
        for same in group.chunk_by(|a, b| a.title == b.title && a.plugin == b.plugin) {
            let first = same[0];
            page.raw("<article>\n<h4>")
                .text(&first.title)
                .raw("</h4>\n<p class=\"from\">")
                .text(&first.plugin)
                .raw("</p>\n");
            if !first.description.is_empty() {
                page.raw("<p>").prose(first.description).raw("</p>\n");
            }
            if same.iter().any(|row| !row.location.is_empty() || !row.evidence.is_empty()) {
                page.raw("<ul class=\"evidence\">\n");
                for row in same {
                    page.raw("<li><code>")
                        .text(&row.location)
                        .raw("</code><span>")
                        .text(&row.evidence)
                        .raw("</span></li>\n");
                }
                page.raw("</ul>\n");
            }
            if !first.remediation.is_empty() {
                page.raw("<p class=\"cure\"><b>What to do</b> ").prose(first.remediation).raw("</p>\n");
            }
            page.raw("</article>\n");
        }
        page.raw("</section>\n");
    }
}

fn plugin_table(page: &mut Html, info: Option<&Info>, plugins: &[Processed]) {
    page.raw("<h2>Plugins</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>Plugin</th><th>Status</th><th class=\"number\">Findings</th><th class=\"number\">Seconds</th><th>Result</th></tr></thead>\n<tbody>\n");
    let runs: Vec<(String, String, Option<f64>, Option<String>)> = match info {
        Some(info) => info
            .plugins
            .iter()
            .map(|run| (run.plugin_name.clone(), run.status.clone(), run.duration_seconds, run.reason.clone()))
            .collect(),
        None => {
            plugins.iter().map(|file| (file.name.clone(), text_of(&file.findings["disposition"]), None, None)).collect()
        }
    };
    if runs.is_empty() {
        page.raw("<tr><td colspan=\"5\">No plugin ran.</td></tr>\n");
    }
    for (name, status, seconds, reason) in runs {
        let file = plugins.iter().find(|file| file.name == name);
        let result = file.map_or_else(|| reason.unwrap_or_default(), |file| file.summary.clone());
        page.raw("<tr><td>")
            .text(file.map_or(name.as_str(), |file| file.display_name.as_str()))
            .raw("<br><code>")
            .text(&name)
            .raw("</code></td><td><span class=\"status ");
        page.raw(match status.as_str() {
            "success" => "ok",
            "fail" | "failed" => "bad",
            _ => "other",
        });
        // A count of zero beside a failed check would read as a clean result.
        let count = match (status.as_str(), file) {
            (_, Some(file)) if status == "success" || file.findings_count > 0 => file.findings_count.to_string(),
            _ => "–".to_owned(),
        };
        page.raw("\">")
            .text(&status)
            .raw("</span></td><td class=\"number\">")
            .text(&count)
            .raw("</td><td class=\"number\">");
        page.text(&seconds.map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.2}")))
            .raw("</td><td>")
            .text(&result)
            .raw("</td></tr>\n");
    }
    page.raw("</tbody>\n</table></div>\n");
}

fn details(page: &mut Html, plugins: &[Processed]) {
    let told: Vec<_> = plugins.iter().filter(|file| !file.details.is_empty()).collect();
    if told.is_empty() {
        return;
    }
    page.raw("<h2>What was seen</h2>\n");
    for file in told {
        page.raw("<details>\n<summary>")
            .text(&file.display_name)
            .raw("</summary>\n<pre>")
            .text(&file.details)
            .raw("</pre>\n</details>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::processed;
    use crate::plugin::{Finding, Outcome, Report};
    use crate::plugins::registry::all;

    #[test]
    fn report_escapes_hostile_text_and_has_no_script() {
        let evil = "\"><script>alert(1)</script><img src=x onerror=alert(1)>";
        let report = Report {
            findings: vec![Finding::new(&issues::CORS_WILDCARD, evil, evil)],
            observations: vec![evil.to_owned()],
            headline: evil.to_owned(),
        };
        let file = processed(all()[0].meta(), &Outcome::Done(report), evil, jiff::Timestamp::UNIX_EPOCH);
        let info = Info { notes: vec![evil.to_owned()], ..Info::default() };
        let page = render(Some(&info), &[file], Some(evil), None);
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("<img"), "{page}");
        assert!(page.contains("&lt;script&gt;"));
        assert!(page.contains("Kastrel built-in scanner"));
    }

    #[test]
    fn report_reads_the_files_of_kast() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("wafw00f_processed.json"),
            r#"{"plugin-name":"wafw00f","plugin-display-name":"Wafw00f","findings":{},"issues":["No WAF Detected",{"id":"x"}]}"#,
        )
        .unwrap();
        fs::write(folder.path().join("broken_processed.json"), "{").unwrap();
        let path = write(folder.path(), Some("a.test"), None).unwrap();
        let page = fs::read_to_string(path).unwrap();
        assert!(page.contains("No WAF Detected") && page.contains("Unknown") && page.contains("interrupted"));
    }

    #[test]
    fn report_omits_files_of_an_earlier_scan() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old_processed.json"), r#"{"plugin-name":"old","issues":["leftover"]}"#).unwrap();
        fs::write(folder.path().join(info::FILE_NAME), serde_json::to_vec(&Info::default()).unwrap()).unwrap();
        let path = write(folder.path(), Some("a.test"), None).unwrap();
        assert!(!fs::read_to_string(path).unwrap().contains("leftover"));
    }

    #[test]
    fn logo_type_is_detected_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logo.png");
        fs::write(&path, b"\x89PNG\r\n").unwrap();
        assert!(Logo::read(&path).unwrap().0.starts_with("data:image/png;base64,"));
        fs::write(&path, b"<svg onload=alert(1)>").unwrap();
        assert!(Logo::read(&path).unwrap_err().contains("neither"));
        assert!(Logo::read(&folder.path().join("none")).is_err());
    }
}
