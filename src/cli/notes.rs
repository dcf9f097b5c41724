//! `kastrel note` and `kastrel tag`: the notes and tags of a scan.

use kastrel_actors::model::ScanId;

use super::args::{ReadArgs, ScanNoteArgs, ScanTagArgs};
use super::ask::{ask, print};
use super::backend::{Backend, BackendError};
use super::context::{Context, Session};
use super::error::CliError;
use super::exit::Exit;
use super::targets::changed;
use super::text::{brief, plain};
use crate::api_types::ScanNotesBody;

/// The longest notes that are shown, in characters.
const MOST_LINE: usize = 300;

/// Shows the notes of a scan, or replaces them.
///
/// # Errors
/// The scan does not exist, the notes are invalid, or neither a server nor the database is
/// available.
pub(super) async fn note(args: &ScanNoteArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| -> Result<_, BackendError> {
        let backend = session.backend.as_ref();
        let Some(notes) = backend.scan_notes(args.id).await? else { return Ok(None) };
        match &args.text {
            None => Ok(Some(notes)),
            Some(text) => set(backend, args.id, ScanNotesBody { notes: text.clone(), ..notes }).await,
        }
    };
    shown(args.id, &args.common, context, question).await
}

/// Adds and removes tags of a scan.
///
/// # Errors
/// The scan does not exist, a tag is invalid, or neither a server nor the database is available.
pub(super) async fn tag(args: &ScanTagArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| -> Result<_, BackendError> {
        let backend = session.backend.as_ref();
        let Some(notes) = backend.scan_notes(args.id).await? else { return Ok(None) };
        let tags = changed(&notes.tags, &args.changes);
        set(backend, args.id, ScanNotesBody { tags, ..notes }).await
    };
    shown(args.id, &args.common, context, question).await
}

async fn set(backend: &dyn Backend, id: ScanId, notes: ScanNotesBody) -> Result<Option<ScanNotesBody>, BackendError> {
    if backend.set_scan_notes(id, notes).await? { backend.scan_notes(id).await } else { Ok(None) }
}

async fn shown(
    id: ScanId,
    common: &ReadArgs,
    context: &mut Context,
    question: impl AsyncFnOnce(&Session) -> Result<Option<ScanNotesBody>, BackendError>,
) -> Result<Exit, CliError> {
    let Some(found) = ask(common, context, question).await? else { return Ok(Exit::Interrupted) };
    let notes = found.ok_or(CliError::NoScan(id))?;
    print(common, context, &notes, |notes, _, _| {
        let lines = lines(notes);
        if lines.is_empty() { format!("Scan {id} has no tags and no notes") } else { lines.join("\n") }
    })?;
    Ok(Exit::Done)
}

/// Returns the lines with the tags and notes of a scan, without those that are empty.
pub(super) fn lines(notes: &ScanNotesBody) -> Vec<String> {
    let tags = (!notes.tags.is_empty()).then(|| format!("Tags:     {}", plain(&notes.tags.join(", "))));
    let text = (!notes.notes.is_empty()).then(|| format!("Notes:    {}", brief(&notes.notes, MOST_LINE)));
    tags.into_iter().chain(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_notes_are_shown_without_control_characters() {
        let notes =
            ScanNotesBody { tags: vec!["eu".into(), "prod".into()], notes: "ask\u{1b}[2J first\nplease".into() };
        let shown = lines(&notes);
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[0], "Tags:     eu, prod");
        assert!(shown[1].starts_with("Notes:    ask") && !shown[1].contains(['\u{1b}', '\n']), "{shown:?}");
        assert_eq!(lines(&ScanNotesBody::default()), [""; 0]);
    }
}
