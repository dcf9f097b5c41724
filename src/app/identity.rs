//! The identity of this process: the node id, which is new at each start; the id of the data
//! folder, which stays; and the nodes that used the folder before.

use std::path::Path;

use kastrel_actors::model::NodeId;
use tracing::warn;

use super::AppError;

/// Returns a node id: a readable name without special characters, and a part that is new at each
/// start.
pub(super) fn node_id(name: &str) -> NodeId {
    let clean: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')).take(60).collect();
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let text = format!("{}-{}", if clean.is_empty() { "node" } else { &clean }, &unique[..8]);
    text.parse().unwrap_or_else(|_| unreachable!("only characters that an id may have"))
}

/// How many nodes of earlier runs a data folder names. It names more than one only if a start was
/// interrupted before the node took over.
const MOST_PREVIOUS: usize = 8;

/// Returns the nodes that used this data folder before, and adds `own` to the folder's list. The
/// caller must hold the folder's lock, which proves that none of these nodes is alive.
///
/// Without the list, the successor waits until the leases of these nodes expire. A list that cannot
/// be read or written is therefore not an error.
pub(super) fn succeed(data_dir: &Path, own: &NodeId) -> Vec<NodeId> {
    let path = data_dir.join("nodes");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let known: Vec<NodeId> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let previous = known[known.len().saturating_sub(MOST_PREVIOUS)..].to_vec();
    let names: String = previous.iter().chain([own]).map(|node| format!("{node}\n")).collect();
    let fresh = path.with_extension("new");
    if let Err(error) = std::fs::write(&fresh, names).and_then(|()| std::fs::rename(&fresh, &path)) {
        warn!(
            error = &error as &dyn std::error::Error,
            "could not write {}; the next start waits for the end of this node's lease",
            path.display()
        );
    }
    previous
}

/// Returns the id of the data folder, which is created at the first use. The id marks the leftover
/// processes that this node may kill: those of other data folders on this machine are not its own.
pub(super) fn data_dir_id(data_dir: &Path) -> Result<String, AppError> {
    let path = data_dir.join("id");
    let folder = |source| AppError::Folder { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(text) if uuid::Uuid::parse_str(text.trim()).is_ok() => Ok(text.trim().to_owned()),
        Ok(_) => Err(folder(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            "the file should hold a UUID; delete it if no scan of this folder runs",
        ))),
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
    fn node_ids_are_readable_valid_and_unique() {
        assert!(node_id("web-1.example").as_str().starts_with("web-1.example-"));
        assert!(node_id("ü /\n").as_str().starts_with("node-"));
        assert_ne!(node_id("a"), node_id("a"));
        assert!(node_id(&"x".repeat(500)).as_str().len() <= 80);
    }

    #[test]
    fn a_data_folder_names_the_last_nodes_that_ran_on_it() {
        let dir = tempfile::tempdir().unwrap();
        let ids: Vec<NodeId> = (0..12).map(|number| format!("node-{number}").parse().unwrap()).collect();
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(succeed(dir.path(), id), ids[number.saturating_sub(MOST_PREVIOUS)..number], "{id}");
        }
        std::fs::write(dir.path().join("nodes"), "no node\n\nnode-1\n").unwrap();
        assert_eq!(succeed(dir.path(), &ids[2]), ids[1..2]);
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
