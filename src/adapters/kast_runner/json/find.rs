//! Finds a JSON document in a program's output. Warnings with braces of their own may precede and
//! follow it.

use super::{Fault, JsonReader};

/// The maximum number of braces that are tried as the start of the document.
const MOST_TRIES: usize = 1_000;

/// Reads the first object in `text` for which `read` returns a value.
pub(in crate::adapters::kast_runner) fn find<T>(
    text: &str,
    read: impl Fn(&mut JsonReader<&[u8]>) -> Result<Option<T>, Fault>,
) -> Result<T, Fault> {
    let (mut from, mut problem) = (0, Fault::NoObject);
    for _ in 0..MOST_TRIES {
        let Some(brace) = text[from..].find('{') else { break };
        let start = from + brace;
        let mut passed = 0;
        let found = JsonReader::open(&text.as_bytes()[start..]).and_then(|mut reader| {
            let found = read(&mut reader)?;
            passed = usize::try_from(reader.offset()).unwrap_or(1);
            Ok(found)
        });
        match found {
            Ok(Some(found)) => return Ok(found),
            // A complete object, but not the wanted one.
            Ok(None) => {}
            Err(Fault::Truncated) => problem = Fault::Truncated,
            Err(fault) if problem == Fault::NoObject => problem = fault,
            Err(_) => {}
        }
        from = start + passed.max(1);
    }
    Err(problem)
}
