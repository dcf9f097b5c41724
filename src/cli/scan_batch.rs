//! `kastrel scan --file`: submits a scan for each target of a file.

use std::collections::BTreeSet;
use std::io::Read as _;

use kastrel_actors::model::{FieldError, ScanId, ScanRequestDraft};
use serde::Serialize;

use super::args::ScanArgs;
use super::backend::{BackendError, SubmitAnswer};
use super::context::{Context, Session};
use super::error::CliError;
use super::exit::Exit;
use super::scan_request::draft;
use super::secret_file::on_own_thread;
use super::text::{brief, plain};
use crate::sentence::sentence;

/// The most targets of a file: those of one batch.
const MOST_TARGETS: usize = 500;
/// The largest file, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// A target, and the number of its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    number: usize,
    target: String,
}

/// The JSON output.
#[derive(Serialize)]
struct Document {
    /// How many scans are accepted and stored.
    accepted: usize,
    /// The result of each target, in the order of the file.
    scans: Vec<Submitted>,
}

/// The result of one target.
#[derive(Serialize)]
struct Submitted {
    target: String,
    scan_id: Option<u64>,
    warning: Option<String>,
    error: Option<String>,
}

/// Reads the targets of a file, or of the standard input if its name is `-`.
///
/// # Errors
/// The file cannot be read, is not text, or has no or too many targets.
pub(super) async fn read(file: String) -> Result<Vec<Line>, CliError> {
    let name = if file == "-" { "the standard input".to_owned() } else { file.clone() };
    let text = on_own_thread(move || {
        let mut text = String::new();
        let read = if file == "-" {
            std::io::stdin().take(MOST_BYTES + 1).read_to_string(&mut text)
        } else {
            std::fs::File::open(file).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text))
        };
        read.map(|_| text)
    });
    let text = text.await?.map_err(|error| CliError::Usage(format!("--file: failed to read {name}: {error}")))?;
    lines(&text).map_err(|why| CliError::Usage(format!("--file: {name} {why}")))
}

/// Returns the targets of a text. One that stands there twice is scanned once.
fn lines(text: &str) -> Result<Vec<Line>, String> {
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MOST_BYTES {
        return Err(format!("is larger than {MOST_BYTES} bytes"));
    }
    let mut seen = BTreeSet::new();
    let lines: Vec<Line> = text
        .trim_start_matches('\u{feff}')
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, target)| !target.is_empty() && !target.starts_with('#') && seen.insert(*target))
        .map(|(number, target)| Line { number, target: target.to_owned() })
        .collect();
    match lines.len() {
        0 => Err("has no target".to_owned()),
        count if count > MOST_TARGETS => {
            Err(format!("has {count} targets; submit at most {MOST_TARGETS} at once, in several files"))
        }
        _ => Ok(lines),
    }
}

/// Submits a scan for each line, and shows the results.
///
/// # Errors
/// No scan was accepted, or the backend failed.
pub(super) async fn submit(
    args: &ScanArgs,
    secrets: Vec<String>,
    lines: &[Line],
    context: &mut Context,
    session: &Session,
) -> Result<Exit, CliError> {
    let draft = draft(args, secrets, context);
    let drafts: Vec<ScanRequestDraft> =
        lines.iter().map(|line| ScanRequestDraft { target: line.target.clone(), ..draft.clone() }).collect();
    let results = session.backend.submit_all(&drafts).await.map_err(|error| by_line(error, lines))?;
    let exit = results.iter().find_map(|result| result.as_ref().err()).map_or(Exit::Done, BackendError::exit);
    let scans: Vec<Submitted> = lines.iter().zip(results).map(|(line, result)| submitted(line, result)).collect();
    for scan in &scans {
        let target = plain(&scan.target);
        if let Some(warning) = &scan.warning {
            context.output.note(&format!("warning: {target}: {}", sentence(&brief(warning, 500))));
        }
        if let Some(error) = &scan.error {
            context.output.note(&format!("error: {target}: {error}"));
        }
        if let Some(id) = scan.scan_id.filter(|_| !args.json) {
            let page = session.page(ScanId(id)).map_or_else(String::new, |page| format!(": {page}"));
            context.output.line(&format!("Scan {id} of {target} submitted{page}"))?;
        }
    }
    if args.json {
        let accepted = scans.iter().filter(|scan| scan.scan_id.is_some()).count();
        context.output.json(&Document { accepted, scans })?;
    }
    Ok(exit)
}

fn submitted(line: &Line, result: Result<SubmitAnswer, BackendError>) -> Submitted {
    let target = line.target.clone();
    match result {
        Ok(SubmitAnswer { id, warning }) => Submitted { target, scan_id: Some(id.0), warning, error: None },
        Err(error) => Submitted { target, scan_id: None, warning: None, error: Some(error.to_string()) },
    }
}

/// Names the lines of the file in place of the places in the request.
fn by_line(error: BackendError, lines: &[Line]) -> BackendError {
    let BackendError::Invalid(errors) = error else { return error };
    let named = |error: FieldError| {
        let place = error.field.strip_prefix("scans[").and_then(|rest| rest.split_once("]."));
        let line = place.and_then(|(at, field)| Some((lines.get(at.parse::<usize>().ok()?)?, field)));
        match line {
            Some((line, field)) => {
                FieldError::new(format!("line {}: {field} of {}", line.number, line.target), error.message)
            }
            None => error,
        }
    };
    BackendError::Invalid(errors.into_iter().map(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str) -> Result<Vec<(usize, String)>, String> {
        Ok(lines(text)?.into_iter().map(|line| (line.number, line.target)).collect())
    }

    #[test]
    fn targets_are_the_lines_without_comments_and_repetitions() {
        let read = targets("\u{feff}# ours\nshop.example\r\n\n  https://www.shop.example/a#b \nshop.example\n");
        assert_eq!(read.unwrap(), [(2, "shop.example".into()), (4, "https://www.shop.example/a#b".into())]);
        assert_eq!(targets("# nothing\n\n").unwrap_err(), "has no target");
        let many = |count: usize| (0..count).map(|at| format!("h{at}.example\n")).collect::<String>();
        assert_eq!(targets(&many(500)).unwrap().len(), 500);
        assert!(targets(&many(501)).unwrap_err().starts_with("has 501 targets"));
        assert!(targets(&" ".repeat(2 << 20)).unwrap_err().starts_with("is larger"));
    }

    #[test]
    fn errors_name_the_line_of_the_file() {
        let lines = lines("# ours\na.example\n-oX\n").unwrap();
        let error = |field: &str| {
            let BackendError::Invalid(errors) =
                by_line(BackendError::Invalid(vec![FieldError::new(field, "why")]), &lines)
            else {
                unreachable!()
            };
            errors[0].field.clone()
        };
        assert_eq!(error("scans[1].target"), "line 3: target of -oX");
        for other in ["scans", "scans[7].target", "scans[x].target", "Idempotency-Key"] {
            assert_eq!(error(other), other);
        }
    }
}
