//! Tests that only its owner can access the data folder, with any umask.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::app::TestApp;

/// Returns the files and folders that give permissions to other users.
fn open_to_others(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut open = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let Ok(about) = path.symlink_metadata() else { continue };
        if about.is_symlink() {
            continue;
        }
        if about.mode() & 0o077 != 0 {
            open.push((path.clone(), about.mode() & 0o777));
        }
        if about.is_dir() {
            // The server may remove a file in the meantime.
            left.extend(std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    open
}

#[tokio::test]
async fn nothing_in_the_data_folder_is_open_to_others() {
    let mut app = TestApp::prepare(&[]).after("umask 000");
    app.restart().await;
    let id = app.submit("ok-2p.test").await;
    app.until_status(id, "completed").await;
    assert_eq!(open_to_others(&app.data()), []);
    assert_eq!(app.data().metadata().unwrap().mode() & 0o777, 0o700);
    app.terminate_server().await;
    // The next start restricts the folder of an earlier version.
    for path in [app.data(), app.data().join("database"), app.data().join("id")] {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    let doctor = app.run(&["doctor"]).await;
    assert!(doctor.stdout.contains("can be entered by other users of this machine (mode 755)"), "{doctor:?}");
    app.restart().await;
    assert_eq!(open_to_others(&app.data()), []);
    let doctor = app.run(&["doctor"]).await;
    assert!(!doctor.stdout.contains("other users"), "{doctor:?}");
    let backup = app.data().parent().unwrap().join("copy.backup");
    assert_eq!(app.run(&["backup", backup.to_str().unwrap()]).await.code, Some(0));
    assert_eq!(backup.metadata().unwrap().mode() & 0o777, 0o600);
}
