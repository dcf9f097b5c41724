//! Who this process is: the node's id, new at each start, and the data folder's, which stays.

use std::path::Path;

use kastrel_actors::model::NodeId;

use super::AppError;

/// A readable name, cleaned, and a part that is new at each start.
pub(super) fn node_id(name: &str) -> NodeId {
    let clean: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')).take(60).collect();
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let text = format!("{}-{}", if clean.is_empty() { "node" } else { &clean }, &unique[..8]);
    text.parse().unwrap_or_else(|_| unreachable!("only characters that an id may have"))
}

/// The data folder's own identity, made at its first use. Leftovers of other data folders on this machine are not ours to kill.
pub(super) fn data_dir_id(data_dir: &Path) -> Result<String, AppError> {
    let path = data_dir.join("id");
    let folder = |source| AppError::Folder { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(text) if uuid::Uuid::parse_str(text.trim()).is_ok() => Ok(text.trim().to_owned()),
        Ok(_) => Err(folder(std::io::Error::new(std::io::ErrorKind::InvalidData, "the file should hold a UUID; delete it if no scan of this folder runs"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = uuid::Uuid::new_v4().to_string();
            std::fs::write(&path, format!("{id}\n")).map_err(folder)?;
            Ok(id)
        }
        Err(error) => Err(folder(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_are_readable_valid_and_new_each_time() {
        assert!(node_id("web-1.example").as_str().starts_with("web-1.example-"));
        assert!(node_id("ü /\n").as_str().starts_with("node-"));
        assert_ne!(node_id("a"), node_id("a"));
        assert!(node_id(&"x".repeat(500)).as_str().len() <= 80);
    }

    #[test]
    fn a_data_folder_keeps_its_identity() {
        let dir = tempfile::tempdir().unwrap();
        let id = data_dir_id(dir.path()).unwrap();
        assert_eq!(data_dir_id(dir.path()).unwrap(), id);
        std::fs::write(dir.path().join("id"), "../x").unwrap();
        assert!(matches!(data_dir_id(dir.path()), Err(AppError::Folder { .. })));
    }
}
