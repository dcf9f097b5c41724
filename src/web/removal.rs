//! Removing what a deleted scan left on disk. The one place that knows how; everybody else only says which scan.

use std::io;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use kastrel_actors::model::{AttemptNumber, ScanRecord};

use super::state::WebInner;

/// Removes the folder of all attempts of a scan whose row is gone. A scan without a folder here has nothing to remove.
pub(crate) async fn remove_results(web: &WebInner, record: &ScanRecord) -> io::Result<()> {
    let attempt = (web.state.attempt_dir)(record, AttemptNumber(1));
    let folder = attempt.parent().map(Path::to_owned).ok_or(io::ErrorKind::NotFound)?;
    tokio::task::spawn_blocking(move || remove(&folder)).await?
}

/// Removes one folder without following a link out of it, or in place of it.
fn remove(folder: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else { return Err(io::ErrorKind::InvalidInput.into()) };
    let parent = match Dir::open_ambient_dir(parent, ambient_authority()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    match parent.symlink_metadata(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => parent.remove_dir_all(name),
        Ok(_) => parent.remove_file(name),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_the_folder_itself_goes() {
        let root = tempfile::tempdir().unwrap();
        let (folder, kept) = (root.path().join("scan-1"), root.path().join("kept"));
        std::fs::create_dir_all(folder.join("attempt-1")).unwrap();
        std::fs::create_dir(&kept).unwrap();
        std::fs::write(kept.join("x"), "x").unwrap();
        symlink(&kept, folder.join("attempt-1/link")).unwrap();
        remove(&folder).unwrap();
        assert!(!folder.exists() && kept.join("x").exists());
        remove(&folder).unwrap();
        symlink(&kept, &folder).unwrap();
        remove(&folder).unwrap();
        assert!(!folder.exists() && kept.join("x").exists(), "a link in its place is removed, not what it leads to");
        remove(&root.path().join("nowhere/scan-1")).unwrap();
    }
}
