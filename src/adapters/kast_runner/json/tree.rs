//! Reads a complete document as a tree, for small documents.

use std::io::Read;

use serde_json::{Map, Number, Value as Tree};

use super::{Fault, JsonReader, Value};

/// The maximum depth; deeper values are left out.
const MOST_DEPTH: usize = 64;
const MOST_TEXT_BYTES: usize = 64 << 10;

/// Reads the next value. A value that is not JSON becomes `null`.
pub(in crate::adapters::kast_runner) fn tree<R: Read>(reader: &mut JsonReader<R>) -> Result<Tree, Fault> {
    nested(reader, 0)
}

fn nested<R: Read>(reader: &mut JsonReader<R>, depth: usize) -> Result<Tree, Fault> {
    if depth > MOST_DEPTH {
        return reader.skip().map(|()| Tree::Null);
    }
    if reader.is_object()? {
        let mut map = Map::new();
        reader.object(|reader, key| {
            map.insert(key.to_owned(), nested(reader, depth + 1)?);
            Ok(())
        })?;
        return Ok(map.into());
    }
    if reader.is_list()? {
        let mut list = Vec::new();
        reader.list(|reader| {
            list.push(nested(reader, depth + 1)?);
            Ok(())
        })?;
        return Ok(list.into());
    }
    Ok(match reader.value(MOST_TEXT_BYTES)? {
        Value::Text(text) => text.into(),
        Value::Bare(word) => bare(&word),
        Value::List | Value::Object => Tree::Null,
    })
}

fn bare(word: &str) -> Tree {
    if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") {
        return word.eq_ignore_ascii_case("true").into();
    }
    let whole = word.parse::<i64>().ok().map(Number::from).or_else(|| word.parse::<u64>().ok().map(Number::from));
    whole.or_else(|| word.parse().ok().and_then(Number::from_f64)).map_or(Tree::Null, Tree::Number)
}
