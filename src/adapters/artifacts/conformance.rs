//! The conformance suite of the artifact stores: checks that hold for every [`ArtifactStore`].

use std::os::unix::fs::symlink;
use std::path::Path;

use futures_util::TryStreamExt;
use kastrel_actors::model::AttemptNumber;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tokio_util::bytes::BytesMut;

use super::{ArtifactError, ArtifactStore, AttemptKey, ByteRange, ScanFolder};
use crate::ports::Walked;

/// The size of a large file in bytes: more than two parts of a multipart upload.
const LARGE: usize = 20 << 20;
const REPORT: &[u8] = b"<script>alert(1)</script>";
/// Visible file names with hostile characters.
const ODD_NAMES: &[&str] = &[
    "odd\".bin",
    "line\nbreak.txt",
    "b\u{fc}cher \u{202e}x.txt",
    "100%2e%2E #?&+.txt",
    "a..b",
    "~*<>|^{}[]`.txt",
    "manifest.json",
];

fn log() -> Vec<u8> {
    (0..20_000).flat_map(|line| format!("line {line}\n").into_bytes()).collect()
}

fn large() -> Vec<u8> {
    (0..LARGE).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// The attempt whose files [`fill`] writes.
pub(super) fn key() -> AttemptKey {
    AttemptKey { scan: ScanFolder::parse("example.com-20261123-170659-7").unwrap(), attempt: AttemptNumber(1) }
}

/// Another attempt of the same scan, without any files.
fn missing() -> AttemptKey {
    AttemptKey { attempt: AttemptNumber(2), ..key() }
}

/// Fills an attempt's folder with all kinds of entries that it can contain.
pub(super) fn fill(results: &Path) {
    let folder = results.join(key().scan.as_str()).join("attempt-1");
    std::fs::create_dir_all(folder.join("sub/deep")).unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(folder.join(name), content).unwrap();
    write("kast_report.html", REPORT);
    write("kast.log", &log());
    write("large.bin", &large());
    write("empty.txt", b"");
    write("sub/deep/raw.json", b"{}");
    write(".hidden", b"secret");
    for name in ODD_NAMES {
        write(name, name.as_bytes());
    }
    write("..x", b"hidden as well");
    symlink("/etc/passwd", folder.join("link.txt")).unwrap();
    symlink("kast_report.html", folder.join("inner.html")).unwrap();
    symlink("/etc", folder.join("out")).unwrap();
    mknodat(CWD, folder.join("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    std::fs::write(results.join("secret.txt"), "secret").unwrap();
}

async fn read(store: &dyn ArtifactStore, path: &str, range: Option<ByteRange>) -> Result<Vec<u8>, ArtifactError> {
    let file = store.open(&key(), path, range).await?;
    let expected = file.range.end - file.range.start;
    let bytes = file.bytes.try_fold(BytesMut::new(), async |mut all, piece| {
        all.extend_from_slice(&piece);
        Ok(all)
    });
    let bytes = bytes.await.unwrap();
    assert_eq!(bytes.len() as u64, expected, "{path:?} {range:?}");
    Ok(bytes.to_vec())
}

/// Runs the suite on a store with the files of [`fill`]. At the end, the suite deletes all files.
pub(super) async fn holds(store: &dyn ArtifactStore) {
    lists(store).await;
    reads(store).await;
    refuses(store).await;
    ranges(store).await;
    tails(store).await;
    let place = store.locate(&key(), "kast_report.html").await.unwrap();
    assert!(
        place.ends_with("/kast_report.html") && place.contains("example.com-20261123-170659-7/attempt-1"),
        "{place}"
    );
    assert!(matches!(store.locate(&key(), "nothing.html").await, Err(ArtifactError::NotFound)));
    deletes(store).await;
}

async fn lists(store: &dyn ArtifactStore) {
    let listing = store.list(&key()).await.unwrap();
    assert!(!listing.partial && listing.has("kast_report.html") && !listing.has("link.txt"));
    let mut expected: Vec<&str> = ODD_NAMES.to_vec();
    expected.extend(["kast_report.html", "kast.log", "large.bin", "empty.txt", "sub/deep/raw.json"]);
    expected.sort_unstable();
    let paths: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, expected);
    let size = |path: &str| listing.files.iter().find(|file| file.path == path).unwrap().size;
    assert_eq!((size("large.bin"), size("empty.txt"), size("sub/deep/raw.json")), (LARGE as u64, 0, 2));
    assert!(listing.files.iter().all(|file| file.modified.is_some()));
    assert!(matches!(store.list(&missing()).await, Err(ArtifactError::NotFound)));
    assert_eq!((listing.total, listing.cut()), (expected.len(), None));
    assert_eq!(walked(store).await, expected);
    assert!(matches!(store.walk(&missing()).await.map(drop), Err(ArtifactError::NotFound)));
    for (path, is_there) in [
        ("kast_report.html", true),
        ("sub/deep/raw.json", true),
        ("nothing", false),
        ("link.txt", false),
        ("../secret.txt", false),
        (".hidden", false),
    ] {
        assert_eq!(store.has(&key(), path).await.unwrap(), is_there, "{path}");
    }
    assert!(!store.has(&missing(), "kast_report.html").await.unwrap());
}

/// The paths of all files, sorted.
pub(super) async fn walked(store: &dyn ArtifactStore) -> Vec<String> {
    let files: Vec<Walked> = store.walk(&key()).await.unwrap().try_collect().await.unwrap();
    let mut paths: Vec<String> = files
        .into_iter()
        .filter_map(|walked| if let Walked::File(file) = walked { Some(file.path) } else { None })
        .collect();
    paths.sort_unstable();
    paths
}

async fn reads(store: &dyn ArtifactStore) {
    assert_eq!(read(store, "kast_report.html", None).await.unwrap(), REPORT);
    assert_eq!(read(store, "empty.txt", None).await.unwrap(), b"");
    assert_eq!(read(store, "sub/deep/raw.json", None).await.unwrap(), b"{}");
    for name in ODD_NAMES {
        assert_eq!(read(store, name, None).await.unwrap(), name.as_bytes(), "{name:?}");
    }
    assert!(read(store, "large.bin", None).await.unwrap() == large(), "every byte of a large file");
    assert!(matches!(store.open(&missing(), "kast.log", None).await, Err(ArtifactError::NotFound)));
}

async fn refuses(store: &dyn ArtifactStore) {
    for path in [
        "",
        "/",
        "../x",
        "../attempt-1/kast.log",
        "a/../../x",
        "sub/../kast.log",
        "/etc/passwd",
        "..\\x",
        "sub\\deep",
        "nul\0",
        ".hidden",
        "..x",
        "sub//deep",
        "sub/",
    ] {
        assert!(matches!(read(store, path, None).await, Err(ArtifactError::Refused)), "{path:?}");
        assert!(matches!(store.locate(&key(), path).await, Err(ArtifactError::Refused)), "{path:?}");
    }
    for path in [
        "link.txt",
        "inner.html",
        "out/passwd",
        "out",
        "fifo",
        "sub",
        "sub/deep",
        "nothing",
        "kast.log/x",
        "files/kast.log",
        "%2e%2e/x",
        "sub/deep/raw.json/x",
    ] {
        assert!(matches!(read(store, path, None).await, Err(ArtifactError::NotFound)), "{path:?}");
    }
}

async fn ranges(store: &dyn ArtifactStore) {
    let from = |first, last| Some(ByteRange::From { first, last });
    let large = large();
    for (range, expected) in [
        (from(0, Some(0)), 0..1),
        (from(8_388_600, Some(8_388_700)), 8_388_600..8_388_701),
        (from(LARGE as u64 - 5, None), LARGE - 5..LARGE),
        (from(5, Some(u64::MAX)), 5..LARGE),
        (Some(ByteRange::Last(3)), LARGE - 3..LARGE),
    ] {
        assert!(read(store, "large.bin", range).await.unwrap() == large[expected], "{range:?}");
    }
    for (path, range) in
        [("large.bin", from(LARGE as u64, None)), ("empty.txt", from(0, None)), ("empty.txt", Some(ByteRange::Last(1)))]
    {
        let size = if path == "empty.txt" { 0 } else { LARGE as u64 };
        assert!(
            matches!(read(store, path, range).await, Err(ArtifactError::OutOfRange { size: told }) if told == size),
            "{path} {range:?}"
        );
    }
}

async fn tails(store: &dyn ArtifactStore) {
    let log = log();
    let tail = store.log_tail(&key(), 1000).await.unwrap();
    assert_eq!((tail.bytes.as_slice(), tail.cut), (&log[log.len() - 1000..], true));
    let whole = store.log_tail(&key(), 1 << 30).await.unwrap();
    assert_eq!((whole.bytes, whole.cut), (log, false));
    assert!(matches!(store.log_tail(&missing(), 1000).await, Err(ArtifactError::NotFound)));
}

async fn deletes(store: &dyn ArtifactStore) {
    store.delete(&key().scan).await.unwrap();
    assert!(matches!(store.list(&key()).await, Err(ArtifactError::NotFound)));
    assert!(matches!(store.open(&key(), "kast.log", None).await, Err(ArtifactError::NotFound)));
    assert!(matches!(store.log_tail(&key(), 1000).await, Err(ArtifactError::NotFound)));
    store.delete(&key().scan).await.unwrap();
    assert!(Path::new("/etc/passwd").exists(), "what a link leads to stays");
}
