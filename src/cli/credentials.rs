//! The credentials file: the API tokens that `kastrel login` stored, each for exactly one server.
//!
//! The file is `kastrel/credentials.toml` in `$XDG_CONFIG_HOME` or `~/.config`. Only its owner may
//! read it; otherwise it is not used. It is replaced atomically, under a lock, so that two commands
//! at once lose nothing. What an entry of another server has stays as it is.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tokio::io::AsyncWriteExt as _;
use toml::{Table, Value};
use url::Url;

use super::credentials_error::CredentialsError;
use super::error::CliError;
use super::new_file::NewFile;
use crate::identity::token::ApiToken;
use crate::private;

/// The name of the folder, of the file in it, and of the lock beside it.
const FOLDER: &str = "kastrel";
const FILE: &str = "credentials.toml";
const LOCK: &str = ".credentials.lock";
/// The table of the servers.
const SERVERS: &str = "servers";
/// The largest file that is read, in bytes.
const MOST: u64 = 1 << 20;
/// The permissions of others that a file, or a folder, must not have.
const READABLE: u32 = 0o077;
const WRITABLE: u32 = 0o022;

const HEADER: &str =
    "# API tokens that `kastrel login` stored. Keep this file secret; `kastrel logout` removes a token.\n";

/// A stored token.
#[derive(Debug, Clone)]
pub(super) struct StoredToken {
    /// The account of the token.
    pub(super) account: String,
    pub(super) token: ApiToken,
    /// When it expires, for people who read the file.
    pub(super) expires_at: String,
}

/// Returns the path of the credentials file of this user.
pub(super) fn path_of(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    // A relative path is ignored, as the XDG Base Directory Specification demands.
    let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(config.join(FOLDER).join(FILE))
}

/// Returns the name of a server in the file: its origin and its base path, without credentials.
pub(super) fn key_of(server: &Url) -> String {
    format!("{}{}", server.origin().ascii_serialization(), server.path())
}

/// Returns the stored token of exactly this server. A file that does not exist has none.
pub(super) fn find(path: &Path, server: &Url) -> Result<Option<StoredToken>, CredentialsError> {
    let table = read(path)?;
    let malformed = |what: String| CredentialsError::Malformed { path: path.to_owned(), what };
    let key = key_of(server);
    let Some(entry) = servers(path, &table)?.and_then(|servers| servers.get(&key)) else { return Ok(None) };
    let text = |field: &str| {
        let text = entry.get(field).and_then(Value::as_str);
        text.ok_or_else(|| malformed(format!("the entry of {key} has no text `{field}`")))
    };
    // The text is not repeated: it is a secret.
    let token = ApiToken::parse(text("token")?).map_err(|fault| malformed(format!("the token of {key}: {fault}")))?;
    Ok(Some(StoredToken {
        account: text("account")?.to_owned(),
        token,
        expires_at: text("expires_at").unwrap_or_default().to_owned(),
    }))
}

/// Checks that a token can be stored, before anybody allows one. Creates the folder.
pub(super) fn prepare(path: &Path) -> Result<(), CliError> {
    let folder = folder(path);
    private::make(folder).map_err(|source| failed(folder, source))?;
    let mode = folder.metadata().map_err(|source| failed(folder, source))?.mode() & 0o7777;
    if mode & WRITABLE != 0 {
        let fix = format!("run `chmod 700 {}`", folder.display());
        return Err(CredentialsError::Open { path: folder.to_owned(), mode, fix }.into());
    }
    // Leaves nothing. Only a regular file is replaced, so the other kinds are refused here.
    drop(NewFile::begin(path, true)?);
    let table = read(path)?;
    servers(path, &table)?;
    Ok(())
}

/// Stores the token of a server, in place of an earlier one.
pub(super) async fn store(path: &Path, server: &Url, stored: &StoredToken) -> Result<(), CliError> {
    let StoredToken { account, token, expires_at } = stored;
    let entry = [("account", account.as_str()), ("token", token.expose()), ("expires_at", expires_at.as_str())];
    let entry: Table = entry.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    change(path, |servers| {
        servers.insert(key_of(server), Value::Table(entry));
    })
    .await
}

/// Removes the token of a server.
pub(super) async fn remove(path: &Path, server: &Url) -> Result<(), CliError> {
    change(path, |servers| {
        servers.remove(&key_of(server));
    })
    .await
}

async fn change(path: &Path, change: impl FnOnce(&mut Table)) -> Result<(), CliError> {
    prepare(path)?;
    let _lock = lock(&folder(path).join(LOCK))?;
    let mut table = read(path)?;
    // `prepare` has checked that it is a table, if it exists.
    let servers = table.entry(SERVERS).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(servers) = servers {
        change(servers);
    }
    let text = toml::to_string(&table)
        .map_err(|error| CredentialsError::Malformed { path: path.to_owned(), what: error.to_string() })?;
    let mut new = NewFile::begin(path, true)?;
    let text = format!("{HEADER}\n{text}");
    new.file.write_all(text.as_bytes()).await.map_err(|source| failed(path, source))?;
    new.file.flush().await.map_err(|source| failed(path, source))?;
    new.finish().await
}

/// Waits for the other commands that change the file. The lock ends when the file is closed.
fn lock(path: &Path) -> Result<File, CredentialsError> {
    let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    let file = open.map_err(|source| failed(path, source))?;
    flock(&file, FlockOperation::LockExclusive).map_err(|error| failed(path, error.into()))?;
    Ok(file)
}

fn read(path: &Path) -> Result<Table, CredentialsError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Table::new()),
        Err(source) => return Err(failed(path, source)),
    };
    // Of the open file: nobody can exchange it between the check and the reading.
    let about = file.metadata().map_err(|source| failed(path, source))?;
    let mode = about.mode() & 0o7777;
    if mode & READABLE != 0 {
        let fix = format!("run `chmod 600 {}`, and revoke its tokens if others may have read them", path.display());
        return Err(CredentialsError::Open { path: path.to_owned(), mode, fix });
    }
    // A part of a file would be written back as all of it.
    if about.len() > MOST {
        return Err(CredentialsError::Malformed { path: path.to_owned(), what: "it is larger than 1 MiB".into() });
    }
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text).map_err(|source| failed(path, source))?;
    toml::from_str(&text).map_err(|error| {
        // The text of the error shows the line, which may have a token.
        let line = error.span().map_or(0, |span| text.get(..span.start).unwrap_or_default().matches('\n').count()) + 1;
        CredentialsError::Malformed { path: path.to_owned(), what: format!("line {line} is not valid TOML") }
    })
}

fn servers<'a>(path: &Path, table: &'a Table) -> Result<Option<&'a Table>, CredentialsError> {
    match table.get(SERVERS) {
        None => Ok(None),
        Some(Value::Table(servers)) => Ok(Some(servers)),
        Some(_) => {
            Err(CredentialsError::Malformed { path: path.to_owned(), what: format!("`{SERVERS}` is not a table") })
        }
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn failed(path: &Path, source: io::Error) -> CredentialsError {
    CredentialsError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;
    use crate::cli::exit::Exit;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn stored(account: &str) -> StoredToken {
        StoredToken { account: account.into(), token: ApiToken::generate(), expires_at: "2027-01-01T00:00:00Z".into() }
    }

    /// The path of a file that does not exist yet, nor does its folder.
    fn place() -> (TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config").join(FOLDER).join(FILE);
        (home, path)
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o777
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn credentials_are_in_the_configuration_folder_of_the_user() {
        for (xdg, home, expected) in [
            (Some("/x"), Some("/home/ana"), Some("/x/kastrel/credentials.toml")),
            (None, Some("/home/ana"), Some("/home/ana/.config/kastrel/credentials.toml")),
            (Some(""), Some("/home/ana"), Some("/home/ana/.config/kastrel/credentials.toml")),
            (Some("relative"), Some("/home/ana"), Some("/home/ana/.config/kastrel/credentials.toml")),
            (None, None, None),
        ] {
            let pairs = [("XDG_CONFIG_HOME", xdg), ("HOME", home)];
            let env = pairs.iter().filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.to_owned())));
            assert_eq!(path_of(&env.collect()), expected.map(PathBuf::from), "{xdg:?} {home:?}");
        }
    }

    #[tokio::test]
    async fn stored_token_is_found_for_its_server_alone() {
        let (_home, path) = place();
        let (server, ana) = (url("https://scans.example.com/tools/"), stored("ana"));
        assert!(find(&path, &server).unwrap().is_none(), "there is no file");
        store(&path, &server, &ana).await.unwrap();
        let found = find(&path, &server).unwrap().unwrap();
        assert_eq!((found.account.as_str(), found.token.expose()), ("ana", ana.token.expose()));
        assert_eq!(found.expires_at, "2027-01-01T00:00:00Z");
        assert!(find(&path, &url("https://ben:x@SCANS.example.com:443/tools/")).unwrap().is_some(), "the same server");
        for other in [
            "https://scans.example.com/",
            "https://scans.example.com/tools/more/",
            "https://scans.example.com:8443/tools/",
            "http://scans.example.com/tools/",
            "https://scans.example.com.evil.example/tools/",
            "https://example.com/tools/",
        ] {
            assert!(find(&path, &url(other)).unwrap().is_none(), "{other}");
        }
    }

    #[tokio::test]
    async fn credentials_are_private_and_entries_of_other_servers_stay() {
        let (_home, path) = place();
        let (one, other) = (url("https://one.example/"), url("https://other.example/"));
        store(&path, &one, &stored("ana")).await.unwrap();
        assert_eq!((mode(&path), mode(folder(&path))), (0o600, 0o700));
        // A later version may write more than this one knows.
        let text = std::fs::read_to_string(&path).unwrap() + "note = \"mine\"\n";
        std::fs::write(&path, text).unwrap();
        let before = find(&path, &one).unwrap().unwrap().token.expose().to_owned();
        store(&path, &other, &stored("ben")).await.unwrap();
        store(&path, &other, &stored("carl")).await.unwrap();
        assert_eq!(find(&path, &other).unwrap().unwrap().account, "carl");
        remove(&path, &other).await.unwrap();
        remove(&path, &other).await.unwrap();
        assert!(find(&path, &other).unwrap().is_none());
        assert_eq!(find(&path, &one).unwrap().unwrap().token.expose(), before);
        assert!(std::fs::read_to_string(&path).unwrap().contains("note = \"mine\""));
        assert_eq!(mode(&path), 0o600);
        let names: Vec<_> = std::fs::read_dir(folder(&path)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "the file and the lock: {names:?}");
    }

    #[tokio::test]
    async fn commands_at_once_lose_no_token() {
        let (_home, path) = place();
        let server = |number: usize| url(&format!("https://s{number}.example/"));
        let stores = (0..20).map(|number| {
            let path = path.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(store(&path, &server(number), &stored("ana"))).unwrap();
            })
        });
        for thread in stores.collect::<Vec<_>>() {
            thread.join().unwrap();
        }
        assert!((0..20).all(|number| find(&path, &server(number)).unwrap().is_some()));
    }

    #[tokio::test]
    async fn credentials_that_others_may_read_are_not_used() {
        let (_home, path) = place();
        let server = url("https://scans.example.com/");
        let ana = stored("ana");
        store(&path, &server, &ana).await.unwrap();
        for open in [0o640, 0o604, 0o660, 0o622] {
            set_mode(&path, open);
            for error in [
                CliError::from(find(&path, &server).unwrap_err()),
                store(&path, &server, &stored("ben")).await.unwrap_err(),
                remove(&path, &server).await.unwrap_err(),
            ] {
                let text = error.to_string();
                assert!(text.contains("credentials.toml") && text.contains("chmod 600"), "{open:o}: {text}");
                assert_eq!(error.exit(), Exit::Usage);
            }
        }
        set_mode(&path, 0o600);
        set_mode(folder(&path), 0o770);
        let error = store(&path, &server, &stored("ben")).await.unwrap_err().to_string();
        assert!(error.contains("chmod 700"), "{error}");
        set_mode(folder(&path), 0o755);
        assert_eq!(find(&path, &server).unwrap().unwrap().token.expose(), ana.token.expose());
    }

    #[tokio::test]
    async fn file_that_cannot_be_replaced_is_refused_before_a_login() {
        let (_home, path) = place();
        prepare(&path).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        let error = prepare(&path).unwrap_err().to_string();
        assert!(error.contains("credentials.toml exists and is not a file"), "{error}");
    }

    #[tokio::test]
    async fn malformed_credentials_are_named_without_their_content_and_stay() {
        let (_home, path) = place();
        let server = url("https://scans.example.com/");
        prepare(&path).unwrap();
        let token = ApiToken::generate();
        let entry = |text: &str| format!("[servers.\"https://scans.example.com/\"]\n{text}\n");
        let damaged = token.expose().replacen("kst_", "kst-", 1);
        for (text, what) in [
            (format!("[servers]\nx = {}\n", token.expose()), "line 2 is not valid TOML"),
            ("servers = 7\n".to_owned(), "`servers` is not a table"),
            (entry("account = \"ana\""), "has no text `token`"),
            (entry(&format!("token = \"{}\"", token.expose())), "has no text `account`"),
            (entry(&format!("account = \"ana\"\ntoken = \"{damaged}\"")), "the token of https://scans.example.com/"),
        ] {
            std::fs::write(&path, &text).unwrap();
            set_mode(&path, 0o600);
            let error = find(&path, &server).unwrap_err().to_string();
            assert!(error.contains(what) && error.contains("credentials.toml"), "{error}");
            assert!(!error.contains(&token.expose()[20..]), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        std::fs::write(&path, format!("servers = {{}}\n# {}", "x".repeat(1 << 20))).unwrap();
        let error = store(&path, &server, &stored("ana")).await.unwrap_err().to_string();
        assert!(error.contains("larger than 1 MiB"), "{error}");
        std::fs::write(&path, "servers = 7\n").unwrap();
        assert!(store(&path, &server, &stored("ana")).await.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "servers = 7\n", "nothing is thrown away");
    }
}
