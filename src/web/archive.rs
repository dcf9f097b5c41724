//! Serves all files of a scan as one ZIP archive. The archive is made while it is sent: the bytes
//! in memory are bounded, however large the files are.
//!
//! A blocking thread reads from the artifact store and writes chunks into a short channel, and the
//! response body reads from the channel. When the client disconnects, the next write of the thread
//! fails and the thread ends.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use futures_util::{TryStreamExt, stream};
use kastrel_actors::model::{DomainEvent, RequestContext, ScanId};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use unicode_normalization::UnicodeNormalization as _;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::error::{Problem, ProblemKind};
use super::files::safe_name;
use super::path::{PathId, no_scan};
use super::state::Web;
use super::text::clean;
use super::viewer::Viewer;
use crate::ports::{ArtifactError, ArtifactStore, AttemptKey, Walked};

const CHUNK: usize = 64 * 1024;
/// How many chunks may wait for a slow reader.
const WAITING: usize = 4;
/// The longest path of an entry below its attempt's folder, in bytes: Windows accepts 260
/// characters, including the folder into which the archive is unpacked.
const MOST_PATH: usize = 180;
/// The longest file name in a path that exceeds the limit, in bytes, and the longest extension in
/// any path.
const MOST_FILE: usize = 100;
const MOST_EXTENSION: usize = 20;
/// The minimum number of bytes that is kept of a folder name.
const LEAST_FOLDER: usize = 8;
/// The number that the second entry with the same name gets.
const FIRST_NUMBER: u32 = 2;

/// Serves the files of all attempts as a ZIP archive.
pub(crate) async fn serve(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    method: Method,
) -> Result<Response, Problem> {
    respond(&web, &viewer.context, id, &method).await
}

async fn respond(web: &Web, context: &RequestContext, id: ScanId, method: &Method) -> Result<Response, Problem> {
    let scan = web.scans().scan(context, id).await?.ok_or_else(no_scan)?;
    let Ok(turn) = web.archives.clone().try_acquire_owned() else {
        return Err(Problem::new(ProblemKind::Busy, "too many archives are being created; try again in a moment")
            .retry_after(5));
    };
    let mut attempts = Vec::new();
    for attempt in &scan.record.attempts {
        let key = AttemptKey::of(&scan.record, attempt.number);
        // Open each folder before the response starts, so that an unavailable store gives an error
        // response and not a broken archive.
        match web.state.artifacts.walk(&key).await {
            Ok(_) => attempts.push(key),
            // An attempt without files adds nothing.
            Err(ArtifactError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    web.record_download(context, method, DomainEvent::FilesDownloaded, Some(id)).await?;
    let source = Source { artifacts: Arc::clone(&web.state.artifacts), attempts, runtime: Handle::current() };
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || write_all(&source, sender, turn));
    let chunks = stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|chunk| (chunk, receiver)));
    let mut response = Body::from_stream(chunks).into_response();
    let name = safe_name(&format!("kastrel-scan-{id}-{}.zip", scan.record.request.target.folder_name()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    if let Ok(disposition) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The attempts whose files go into an archive, and the store that has them.
struct Source {
    artifacts: Arc<dyn ArtifactStore>,
    attempts: Vec<AttemptKey>,
    runtime: Handle,
}

fn write_all(source: &Source, sender: mpsc::Sender<io::Result<Bytes>>, _turn: OwnedSemaphorePermit) {
    let mut pipe = Pipe { sender, chunk: Vec::with_capacity(CHUNK) };
    if let Err(error) = archive(source, &mut pipe).and_then(|()| pipe.flush()) {
        // The error breaks the response, so that an incomplete archive does not look complete. It
        // is ignored if the client has disconnected.
        let _ = pipe.sender.blocking_send(Err(error));
    }
}

/// The file of an archive that lists the files that are missing in it.
const MISSING_NAME: &str = "NOT-IN-THIS-ARCHIVE.txt";
/// How many missing files the list names; the rest is only counted.
const MOST_NAMED: usize = 1000;

/// The files that are missing in an archive.
#[derive(Debug, Default)]
struct Missing {
    named: Vec<String>,
    unnamed: usize,
}

impl Missing {
    fn add(&mut self, path: &str) {
        if self.named.len() < MOST_NAMED { self.named.push(clean(path)) } else { self.unnamed += 1 }
    }

    fn text(&self) -> Option<String> {
        if self.named.is_empty() && self.unnamed == 0 {
            return None;
        }
        let mut text = String::from("These files of the attempt could not be read and are not in this archive:\n");
        self.named.iter().for_each(|path| text.extend([path.as_str(), "\n"]));
        if self.unnamed > 0 {
            text.push_str(&format!(
                "{} files or folders that cannot be read, lie too deep, or have names that are no text\n",
                self.unnamed
            ));
        }
        Some(text)
    }
}

fn archive(source: &Source, pipe: &mut Pipe) -> io::Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(0o600)
        .large_file(true);
    let mut zip = ZipWriter::new_stream(pipe);
    let mut names = Names::default();
    for key in &source.attempts {
        let mut files = match source.runtime.block_on(source.artifacts.walk(key)) {
            Ok(files) => files,
            Err(ArtifactError::NotFound) => continue,
            Err(error) => return Err(io::Error::other(error)),
        };
        let mut missing = Missing::default();
        while let Some(walked) = source.runtime.block_on(files.try_next()).map_err(io::Error::other)? {
            let entry = match walked {
                Walked::File(entry) => entry,
                Walked::LeftOut(count) => {
                    missing.unnamed += count;
                    continue;
                }
            };
            let mut file = match source.runtime.block_on(source.artifacts.open(key, &entry.path, None)) {
                Ok(file) => file,
                // The file was deleted after it was listed.
                Err(ArtifactError::NotFound | ArtifactError::OutOfRange { .. }) => continue,
                Err(ArtifactError::Refused) => {
                    missing.add(&entry.path);
                    continue;
                }
                // Skip an unreadable file: the other files are still useful.
                Err(ArtifactError::Broken(error)) => {
                    tracing::warn!(
                        path = entry.path,
                        error = &*error as &dyn std::error::Error,
                        "a file is left out of an archive"
                    );
                    missing.add(&entry.path);
                    continue;
                }
                Err(error @ ArtifactError::Unavailable(_)) => return Err(io::Error::other(error)),
            };
            zip.start_file(names.take(&format!("attempt-{}/{}", key.attempt, entry_name(&entry.path))), options)?;
            while let Some(piece) = source.runtime.block_on(file.bytes.try_next())? {
                zip.write_all(&piece)?;
            }
        }
        if let Some(text) = missing.text() {
            zip.start_file(names.take(&format!("attempt-{}/{MISSING_NAME}", key.attempt)), options)?;
            zip.write_all(text.as_bytes())?;
        }
    }
    zip.finish().map(drop).map_err(io::Error::from)
}

/// Returns an entry name that is safe on any system: it stays below the folder into which the
/// archive is unpacked, and it looks like what it is. It is not absolute and contains no `..`,
/// nothing that Windows reads as a drive, a stream or a device, and no character that reverses the
/// direction of text.
fn entry_name(path: &str) -> String {
    let names: Vec<String> =
        path.split('/').filter(|one| !matches!(*one, "" | "." | "..")).map(|part| part_name(part, MOST_PATH)).collect();
    let whole = names.join("/");
    let Some((file, folders)) = names.split_last().filter(|_| whole.len() > MOST_PATH) else { return whole };
    let file = part_name(file, if folders.is_empty() { MOST_PATH } else { MOST_FILE });
    // Each folder gets the same number of bytes. If there are too many folders, the inner ones are
    // left out.
    let room = MOST_PATH - file.len();
    let most = (room / folders.len().max(1)).saturating_sub(1).max(LEAST_FOLDER);
    let mut path = String::new();
    for folder in folders.iter().map(|folder| part_name(folder, most)) {
        if path.len() + folder.len() + 1 > room {
            break;
        }
        path.push_str(&folder);
        path.push('/');
    }
    path + file.as_str()
}

/// Returns a safe name for one part of a path, in at most `most` bytes.
fn part_name(part: &str, most: usize) -> String {
    let name: String = part
        .chars()
        .map(|c| if c.is_control() || is_invisible(c) || "<>:\"\\|?*".contains(c) { '_' } else { c })
        .collect();
    let mut name = with_plain_ends(cut(name, most));
    if is_device(&name) {
        name.insert(0, '_');
    }
    name
}

/// Replaces dots and spaces at the end and a space at the beginning. Windows drops dots and spaces
/// at the end: two names would become one, or a name that nobody can open. A leading space is
/// invisible.
fn with_plain_ends(mut name: String) -> String {
    let kept = name.trim_end_matches(['.', ' ']).len();
    let dropped = name.split_off(kept);
    name.extend(dropped.chars().map(|_| '_'));
    if name.starts_with(' ') {
        name.replace_range(..1, "_");
    }
    name
}

/// Shortens a name to at most `most` bytes and keeps its extension.
fn cut(name: String, most: usize) -> String {
    if name.len() <= most {
        return name;
    }
    let (stem, extension) = split_extension(&name);
    let extension = if extension.len() < most { extension } else { "" };
    let end = stem.floor_char_boundary(most - extension.len());
    format!("{}{extension}", &stem[..end])
}

/// Splits a name into the part before its extension, and the extension with its dot.
fn split_extension(name: &str) -> (&str, &str) {
    let dot = name.rfind('.').filter(|at| *at > 0 && name.len() - at <= MOST_EXTENSION);
    name.split_at(dot.unwrap_or(name.len()))
}

/// Returns whether a character is invisible or controls the direction of text: a name with such
/// characters reads as another one.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns whether Windows takes a name for a device, whatever follows its first dot.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |device: &str| {
        stem.strip_prefix(device).is_some_and(|rest| {
            matches!(rest, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
        })
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$")
        || numbered("COM")
        || numbered("LPT")
}

/// The names that are used in an archive. Each name is unique, even on a system that ignores case,
/// and no name is both a file and a folder.
#[derive(Debug, Default)]
struct Names {
    files: HashSet<String>,
    folders: HashSet<String>,
    /// For each file name, the number to try next.
    numbers: HashMap<String, u32>,
}

impl Names {
    /// Returns a name that no other entry has: different paths may give the same safe name.
    fn take(&mut self, name: &str) -> String {
        let parts: Vec<&str> = name.split('/').collect();
        let (last, folders) = parts.split_last().unwrap_or((&"", &[]));
        let mut folder = String::new();
        for part in folders {
            // Folders are numbered from the beginning each time, so that the files of one folder
            // stay in one folder.
            let (free, _) = free(part, &folder, FIRST_NUMBER, |path| self.files.contains(path));
            folder = format!("{folder}{free}/");
            self.folders.insert(alike(folder.trim_end_matches('/')));
        }
        let number = self.numbers.entry(alike(&format!("{folder}{last}"))).or_insert(FIRST_NUMBER);
        let (file, next) =
            free(last, &folder, *number, |path| self.files.contains(path) || self.folders.contains(path));
        *number = next;
        let taken = format!("{folder}{file}");
        self.files.insert(alike(&taken));
        taken
    }
}

/// Returns `name` if it is free in `folder`; otherwise adds a number to it, before its extension,
/// starting with `number`. Also returns the number to try next.
fn free(name: &str, folder: &str, number: u32, is_used: impl Fn(&str) -> bool) -> (String, u32) {
    let is_free = |name: &str| !is_used(&alike(&format!("{folder}{name}")));
    if is_free(name) {
        return (name.to_owned(), number);
    }
    let (stem, extension) = split_extension(name);
    let mut numbered = (number..u32::MAX).map(|number| (format!("{stem}~{number}{extension}"), number + 1));
    numbered.find(|(name, _)| is_free(name)).unwrap_or_else(|| (name.to_owned(), number))
}

/// Removes the differences that some systems ignore: between upper and lower case, in both
/// directions because some letters convert in one direction only; and between a letter with a
/// diacritic and the same letter followed by a combining mark.
fn alike(name: &str) -> String {
    name.nfc().collect::<String>().to_uppercase().to_lowercase().nfc().collect()
}

/// Collects small writes into chunks for the response body.
struct Pipe {
    sender: mpsc::Sender<io::Result<Bytes>>,
    chunk: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK - self.chunk.len();
        let taken = bytes.len().min(room);
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.sender.blocking_send(Ok(chunk.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use axum::body::to_bytes;

    use super::*;
    use crate::web::testing::{TestApp, header_of};

    #[test]
    fn entry_names_stay_below_the_folder_on_any_system() {
        for (path, name) in [
            ("sub/raw.json", "sub/raw.json"),
            ("../a", "a"),
            ("/etc/x", "etc/x"),
            ("C:\\x\n", "C__x_"),
            ("a/./b", "a/b"),
        ] {
            assert_eq!(entry_name(path), name);
        }
    }

    #[test]
    fn names_can_be_unpacked_on_windows_and_read_as_they_are() {
        for (path, name) in [
            ("CON", "_CON"),
            ("con.txt", "_con.txt"),
            ("sub/nul.tar.gz", "sub/_nul.tar.gz"),
            ("aux /x", "aux_/x"),
            ("CON .txt", "_CON .txt"),
            ("com1", "_com1"),
            ("COM\u{b9}.log", "_COM\u{b9}.log"),
            ("LPT9.x", "_LPT9.x"),
            ("conin$", "_conin$"),
            ("com10", "com10"),
            ("console.txt", "console.txt"),
            ("a.CON", "a.CON"),
            ("name.", "name_"),
            ("name. .", "name___"),
            ("dir./file ", "dir_/file_"),
            ("...", "___"),
            (" lead", "_lead"),
            ("a:stream", "a_stream"),
            ("c:", "c_"),
            ("gpj.\u{202e}exe", "gpj._exe"),
            ("a\u{2066}b\u{2069}\u{200f}\u{61c}\u{200b}\u{feff}c", "a_b_____c"),
            ("gpj\u{e0065}\u{e0000}\u{e007f}.exe", "gpj___.exe"),
            ("\u{5d0}\u{5d1}.txt", "\u{5d0}\u{5d1}.txt"),
            ("b\u{fc}cher \u{1f600}.txt", "b\u{fc}cher \u{1f600}.txt"),
        ] {
            assert_eq!(entry_name(path), name, "{path:?}");
        }
    }

    #[test]
    fn no_two_entries_have_one_name() {
        let taken = |paths: &[&str]| {
            let mut names = Names::default();
            paths.iter().map(|path| names.take(&entry_name(path))).collect::<Vec<_>>()
        };
        assert_eq!(taken(&["a:b", "a?b", "A_b", "a_b~2", "c"]), ["a_b", "a_b~2", "A_b~3", "a_b~2~2", "c"]);
        assert_eq!(taken(&["Sub/x", "sub/X", "SUB/y"]), ["Sub/x", "sub/X~2", "SUB/y"], "folders may be the same");
        assert_eq!(taken(&["a", "A/b", "a/c"]), ["a", "A~2/b", "a~2/c"], "what is a file is no folder");
        assert_eq!(taken(&["A/b", "a"]), ["A/b", "a~2"], "and what is a folder is no file");
        assert_eq!(taken(&["stra\u{df}e", "STRASSE", "\u{17f}", "S"]), ["stra\u{df}e", "STRASSE~2", "\u{17f}", "S~2"]);
        assert_eq!(taken(&["con", "_con"]), ["_con", "_con~2"]);
        assert_eq!(
            taken(&["a:.txt", "a?.txt", "A_.TXT", "b?/.x", "b:/.x"]),
            ["a_.txt", "a_~2.txt", "A_~3.TXT", "b_/.x", "b_/.x~2"]
        );
        assert_eq!(
            taken(&["caf\u{e9}", "cafe\u{301}", "CAFE\u{301}"]),
            ["caf\u{e9}", "cafe\u{301}~2", "CAFE\u{301}~3"],
            "a letter with a mark, in one character or two"
        );
        assert_eq!(
            taken(&["a", "a/b", "a/b", "A/B"]),
            ["a", "a~2/b", "a~2/b~2", "A~2/B~3"],
            "what lies in one folder stays in one folder"
        );
        // Each name is found in one step, without trying all lower numbers.
        let mut names = Names::default();
        for number in 1..=20_000 {
            let taken = names.take("a.txt");
            assert!(number == 1 || taken == format!("a~{number}.txt"), "{taken}");
        }
    }

    #[test]
    fn long_names_are_cut_and_keep_their_extension() {
        let long = "x".repeat(300);
        for (path, name) in [
            (long.clone(), "x".repeat(180)),
            (format!("{long}.html"), format!("{}.html", "x".repeat(175))),
            (format!("a/{long}/b"), format!("a/{}/b", "x".repeat(88))),
            ("\u{fc}".repeat(150), "\u{fc}".repeat(90)),
            (format!("x{}.txt", "\u{fc}".repeat(150)), format!("x{}.txt", "\u{fc}".repeat(87))),
            (format!("a.{long}"), format!("a.{}", "x".repeat(178))),
            (format!("{}. {long}", "x".repeat(178)), format!("{}__", "x".repeat(178))),
        ] {
            assert_eq!(entry_name(&path), name);
        }
        let mut names = Names::default();
        let [first, second] = ["y", "z"].map(|end| names.take(&entry_name(&format!("{long}{end}.html"))));
        assert_eq!((first, second), (format!("{}.html", "x".repeat(175)), format!("{}~2.html", "x".repeat(175))));
    }

    #[test]
    fn whole_paths_are_short_enough_for_windows() {
        let mut names = Names::default();
        let mut seen = HashSet::new();
        let deep = |part: &str, count: usize| vec![part; count].join("/");
        for (folders, kept) in [
            (deep("katana_responses", 9), "katana_r"),
            (deep("com1.example.com", 40), "_com.com/"),
            (deep(&"\u{fc}".repeat(100), 5), "\u{fc}\u{fc}\u{fc}"),
            (deep("d", 200), "d/d/d/"),
            (deep("a. . . . . . . . . . . b", 20), "a"),
        ] {
            for number in 0..20 {
                for file in [format!("resp_{number}.txt"), format!("{}{number}.json", "y".repeat(200))] {
                    let name = names.take(&format!("attempt-12/{}", entry_name(&format!("{folders}/{file}"))));
                    assert!(
                        name.len() <= 200 && name.starts_with(&format!("attempt-12/{kept}")),
                        "{} {name}",
                        name.len()
                    );
                    let extension = file.rsplit_once('.').unwrap().1;
                    assert!(
                        name.ends_with(extension)
                            && !name.split('/').any(|part| part.ends_with(['.', ' ']) || is_device(part)),
                        "{name}"
                    );
                    assert!(seen.insert(name.to_lowercase()), "{name}");
                }
            }
        }
    }

    #[tokio::test]
    async fn archive_holds_every_visible_file_and_none_from_outside() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        let folder = app.attempt_folder(&scan);
        std::fs::create_dir_all(folder.join("sub")).unwrap();
        let large = "0123456789".repeat(50_000);
        std::fs::write(folder.join("sub/large.txt"), &large).unwrap();
        std::fs::write(folder.join("odd\":name?.txt"), "odd").unwrap();
        std::fs::write(folder.join("odd::name?.txt"), "odd too").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.join("link.txt")).unwrap();
        let response = app.get("/scans/1/files.zip").await;
        assert_eq!(
            (header_of(&response, "content-type"), header_of(&response, "content-disposition")),
            ("application/zip", "attachment; filename=\"kastrel-scan-1-example.com.zip\"")
        );
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert!(bytes.len() < large.len() / 2, "it is compressed");
        let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
        names.sort();
        assert_eq!(names, ["attempt-1/odd__name_.txt", "attempt-1/odd__name_~2.txt", "attempt-1/sub/large.txt"]);
        let mut text = String::new();
        zip.by_name("attempt-1/sub/large.txt").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, large);
    }

    #[tokio::test]
    async fn archive_has_all_files_and_lists_the_missing_ones() {
        use std::os::unix::ffi::OsStrExt;
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        let folder = app.attempt_folder(&scan);
        std::fs::create_dir_all(folder.join("katana_responses")).unwrap();
        for number in 0..1500 {
            std::fs::write(folder.join(format!("katana_responses/resp_{number}.txt")), "x").unwrap();
        }
        std::fs::write(folder.join("kast_report.html"), "report").unwrap();
        let names = async || {
            let bytes = to_bytes(app.get("/scans/1/files.zip").await.into_body(), usize::MAX).await.unwrap();
            let zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
            zip.file_names().map(|name| name.unwrap().into_owned()).collect::<HashSet<String>>()
        };
        let all = names().await;
        assert!(all.len() == 1501 && all.contains("attempt-1/kast_report.html"), "{}", all.len());
        std::fs::write(folder.join(std::ffi::OsStr::from_bytes(b"not-\xff-text")), "x").unwrap();
        let all = names().await;
        assert!(all.len() == 1502 && all.contains(&format!("attempt-1/{MISSING_NAME}")), "{}", all.len());
    }

    #[tokio::test]
    async fn disconnected_client_releases_the_archive_permit() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        let folder = app.attempt_folder(&scan);
        std::fs::create_dir_all(&folder).unwrap();
        let noise: Vec<u8> = (0..4_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        std::fs::write(folder.join("noise.bin"), noise).unwrap();
        let web = app.web();
        let permits = u32::try_from(web.archives.available_permits()).unwrap();
        for _ in 0..permits {
            drop(respond(&web, &kastrel_actors::testing::fixtures::context(), scan.id, &Method::GET).await.unwrap());
        }
        let all = web.archives.acquire_many(permits).await.unwrap();
        drop(all);
    }
}
