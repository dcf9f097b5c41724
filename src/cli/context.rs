//! The context of every command: the environment, the output, interrupts and the application; and
//! the access to the scans.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use kastrel_actors::model::ScanId;
use kastrel_actors::service::Services;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::args::{ConfigArgs, ServerArgs};
use super::backend::locate::{Place, ServerFile, locate};
use super::backend::{AuditLines, Backend, BackendError, Holder, RemoteBackend};
use super::credentials;
use super::error::CliError;
use super::host::{AppHost, Role, RunningApp};
use super::interrupt::Interrupts;
use super::output::Output;
use crate::app::AppFailure;
use crate::config::{Config, FlagValue, Resolved, Sources, find_file};
use crate::identity::token::ApiToken;
use crate::tls::Fingerprint;

/// The context of a command. See the module documentation.
pub struct Context {
    /// The environment variables.
    pub env: BTreeMap<String, String>,
    /// The working directory.
    pub directory: PathBuf,
    /// The output streams.
    pub output: Output,
    /// The interrupts of the user.
    pub interrupts: Interrupts,
    /// The application.
    pub host: Arc<dyn AppHost>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// The defaults of `kastrel scan` in its own process. Only its own user can reach that process, so
/// it may scan what that user can reach.
pub const SCAN_DEFAULTS: (&str, &str, &str) = ("kastrel scan", "scope.allow_private", "true");

impl Context {
    /// Returns the effective configuration.
    ///
    /// # Errors
    /// The file cannot be read, or the configuration is invalid.
    pub fn resolve(
        &self,
        args: &ConfigArgs,
        flags: Vec<FlagValue>,
        defaults: Option<(&'static str, &'static str, &'static str)>,
    ) -> Result<Resolved, CliError> {
        let file = find_file(args.config.as_deref(), &self.directory)?;
        Ok(Sources { env: &self.env, file, flags, command_defaults: defaults.into_iter().collect() }.resolve()?)
    }

    /// Opens the access to the scans, unless the user interrupts it (`None`).
    ///
    /// # Errors
    /// The errors of [`Opener::open`].
    pub async fn open(
        &mut self,
        server: &ServerArgs,
        config: &Config,
        role: Role,
    ) -> Result<Option<Session>, CliError> {
        let opener = self.opener();
        tokio::select! {
            session = opener.open(server, config, role) => session.map(Some),
            () = self.interrupts.next() => Ok(None),
        }
    }

    /// Returns an opener with what it needs of the context.
    #[must_use]
    pub fn opener(&self) -> Opener {
        let variable = |name: &str| self.env.get(name).filter(|value| !value.is_empty()).cloned();
        Opener {
            server: variable("KASTREL_SERVER"),
            token: variable("KASTREL_TOKEN"),
            credentials: credentials::path_of(&self.env),
            directory: self.directory.clone(),
            host: self.host.clone(),
        }
    }
}

/// Opens the access to the scans.
pub struct Opener {
    server: Option<String>,
    /// The API token of the environment.
    token: Option<String>,
    /// The file with the tokens that `kastrel login` stored.
    credentials: Option<PathBuf>,
    directory: PathBuf,
    host: Arc<dyn AppHost>,
}

impl Opener {
    /// Returns the server to use, if there is one.
    ///
    /// # Errors
    /// The URL of the server or the token is invalid.
    pub async fn server(&self, args: &ServerArgs, config: &Config) -> Result<Option<RemoteBackend>, CliError> {
        let file = std::fs::read_to_string(config.server_file()).ok();
        match locate(args.server.as_deref(), self.server.as_deref(), file.as_deref())? {
            Place::Named(url) => self.connect(url, args).map(Some),
            place => {
                no_token_file(args)?;
                if let Place::Found { url, certificate } = place {
                    holder_at(url, certificate, config).await
                } else {
                    Ok(None)
                }
            }
        }
    }

    /// Returns the server that the user named, if any.
    ///
    /// # Errors
    /// The URL of the server or the token is invalid.
    pub fn named(&self, args: &ServerArgs) -> Result<Option<RemoteBackend>, CliError> {
        match locate(args.server.as_deref(), self.server.as_deref(), None)? {
            Place::Named(url) => self.connect(url, args).map(Some),
            Place::Found { .. } | Place::Here => no_token_file(args).map(|()| None),
        }
    }

    /// Returns the URL of the server that the user named, for a command that needs one.
    ///
    /// # Errors
    /// The URL is invalid or missing.
    pub fn address(&self, flag: Option<&str>) -> Result<Url, CliError> {
        match locate(flag, self.server.as_deref(), None)? {
            Place::Named(url) => Ok(url),
            Place::Found { .. } | Place::Here => {
                Err(CliError::Usage("name the server, with --server or KASTREL_SERVER".into()))
            }
        }
    }

    /// Returns a client of the server that the user named, with the user's token if there is one:
    /// that of a file, of the environment, or the one that `kastrel login` stored for exactly this
    /// server. No other server gets the token.
    fn connect(&self, url: Url, args: &ServerArgs) -> Result<RemoteBackend, CliError> {
        let (source, text) = match (&args.token_file, &self.token) {
            (Some(file), _) => ("--token-file", read_token(&self.directory.join(file))?),
            (None, Some(token)) => ("KASTREL_TOKEN", token.clone()),
            (None, None) => {
                let stored = self.credentials.as_deref().map(|path| credentials::find(path, &url)).transpose()?;
                return Ok(match stored.flatten() {
                    Some(stored) => RemoteBackend::with_stored_token(url, stored.token)?,
                    None => RemoteBackend::new(url)?,
                });
            }
        };
        // The text is not repeated: it may be another secret.
        let token = ApiToken::parse(text.trim()).map_err(|fault| CliError::Usage(format!("{source}: {fault}")))?;
        Ok(RemoteBackend::with_token(url, token)?)
    }

    /// Returns the running server that holds the data folder.
    pub async fn holder(&self, config: &Config) -> Option<RemoteBackend> {
        let file = std::fs::read_to_string(config.server_file()).ok();
        let Ok(Place::Found { url, certificate }) = locate(None, None, file.as_deref()) else { return None };
        holder_at(url, certificate, config).await.ok().flatten()
    }

    /// Opens the access: the server, or the application in this process, started for `role`.
    ///
    /// # Errors
    /// Neither is available.
    pub async fn open(&self, server: &ServerArgs, config: &Config, role: Role) -> Result<Session, CliError> {
        match self.open_shared(server, config, role).await? {
            Some(session) => Ok(session),
            None => self.start(config, role).await,
        }
    }

    /// The same, but only if other processes run the scans. Otherwise it returns `None` and opens
    /// nothing.
    ///
    /// # Errors
    /// The errors of [`Opener::open`].
    pub async fn open_shared(
        &self,
        server: &ServerArgs,
        config: &Config,
        role: Role,
    ) -> Result<Option<Session>, CliError> {
        self.host.init_logging(config, role)?;
        if let Some(remote) = self.server(server, config).await? {
            return Ok(Some(Session {
                backend: Box::new(remote.clone()),
                place: SessionPlace::Server(remote),
                others_run_scans: true,
            }));
        }
        if config.database.url.is_none() { Ok(None) } else { self.start(config, role).await.map(Some) }
    }

    async fn start(&self, config: &Config, role: Role) -> Result<Session, CliError> {
        let app = self.host.start(config, role).await?;
        Ok(Session {
            backend: Box::new(app.backend()),
            place: SessionPlace::Here(app),
            others_run_scans: config.database.url.is_some(),
        })
    }
}

/// Reads the file of `--token-file`. A token is shorter than what is read.
fn read_token(file: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = File::open(file).and_then(|file| file.take(1024).read_to_string(&mut text));
    // The name of the file is not repeated: people put the token in its place.
    read.map(|_| text)
        .map_err(|error| CliError::Usage(format!("--token-file: failed to read the file that is named there: {error}")))
}

/// Refuses a token that no server would get.
fn no_token_file(args: &ServerArgs) -> Result<(), CliError> {
    if args.token_file.is_none() {
        return Ok(());
    }
    Err(CliError::Usage("--token-file: name the server that gets the token, with --server or KASTREL_SERVER".into()))
}

/// Returns the server at the URL in `server.json`, if it holds the data folder. The file may be
/// left over from a killed server, and another program may use the port by now.
async fn holder_at(
    url: Url,
    certificate: Option<Fingerprint>,
    config: &Config,
) -> Result<Option<RemoteBackend>, CliError> {
    let server = RemoteBackend::with_certificate(url, certificate)?;
    Ok(match server.holds(&config.data.dir).await {
        Holder::Proven => Some(server.with_folder(&config.data.dir)?),
        Holder::Silent => None,
        Holder::WithoutProof if ServerFile::read(&config.server_file()).is_some_and(|file| file.has_process()) => {
            tracing::warn!(
                "{} names {}, where a server of an earlier version runs: restart it",
                config.server_file().display(),
                server.address()
            );
            None
        }
        Holder::Stranger | Holder::WithoutProof => {
            tracing::warn!(
                "{} names {}, but what answers there does not hold this data folder: it gets nothing, and the file is not used",
                config.server_file().display(),
                server.address()
            );
            None
        }
    })
}

/// The open access to the scans.
pub struct Session {
    /// The backend of the scans.
    pub backend: Box<dyn Backend>,
    place: SessionPlace,
    others_run_scans: bool,
}

/// Where the scans are.
enum SessionPlace {
    /// A server has them.
    Server(RemoteBackend),
    /// The application in this process has them.
    Here(Box<dyn RunningApp>),
}

impl Session {
    /// Returns whether a server has the scans.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        matches!(self.place, SessionPlace::Server(_))
    }

    /// Reads something that the API shows: from the server, which has it at `path`, or from the
    /// services of this process, from which `local` builds the same type as of `now`.
    ///
    /// # Errors
    /// The server does not respond, or the services fail.
    pub async fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
        now: Timestamp,
        local: impl AsyncFnOnce(&Services, Timestamp) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        match &self.place {
            SessionPlace::Server(server) => server.read_at(path, query).await,
            SessionPlace::Here(app) => local(app.backend().services(), now).await,
        }
    }

    /// Reads the audit log with its seals, as the file that can be verified. `is_recorded`: a log
    /// that this process reads gets an entry about it. A server always writes one.
    ///
    /// # Errors
    /// The server does not respond or refuses.
    pub async fn audit_lines(&self, is_recorded: bool) -> Result<AuditLines, BackendError> {
        match &self.place {
            SessionPlace::Server(server) => server.audit_lines().await,
            SessionPlace::Here(app) => app.backend().audit_lines(is_recorded).await,
        }
    }

    /// Returns whether other processes run the scans: a server, or the workers of a shared
    /// database.
    #[must_use]
    pub const fn others_run_scans(&self) -> bool {
        self.others_run_scans
    }

    /// Returns the URL of a scan's page, if there is a server.
    #[must_use]
    pub fn page(&self, id: ScanId) -> Option<String> {
        match &self.place {
            SessionPlace::Server(server) => Some(server.page(id)),
            SessionPlace::Here(_) => None,
        }
    }

    /// Returns the URL of another page, if there is a server. The path follows its address.
    #[must_use]
    pub fn page_at(&self, path: &str) -> Option<String> {
        match &self.place {
            SessionPlace::Server(server) => Some(server.page_at(path)),
            SessionPlace::Here(_) => None,
        }
    }

    /// Waits until the application in this process fails. With a server, it waits forever.
    pub async fn failed(&self) -> AppFailure {
        match &self.place {
            SessionPlace::Here(app) => app.failed().await,
            SessionPlace::Server(_) => std::future::pending().await,
        }
    }

    /// Stops the application in order, if it is in this process.
    pub async fn close(self) {
        if let SessionPlace::Here(app) = self.place {
            app.stop().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::testing::Script;

    use super::*;
    use crate::cli::exit::Exit;
    use crate::cli::scan::tests::World;

    /// Returns an opener whose environment has this token.
    fn opener(token: Option<&str>) -> (Opener, tempfile::TempDir) {
        let mut context = World::new(Script::Hang).context;
        context.env.extend(token.map(|token| ("KASTREL_TOKEN".to_owned(), token.to_owned())));
        let folder = tempfile::tempdir().unwrap();
        context.directory = folder.path().to_owned();
        (context.opener(), folder)
    }

    fn args(server: Option<&str>, token_file: Option<&str>) -> ServerArgs {
        ServerArgs { server: server.map(Into::into), token_file: token_file.map(Into::into) }
    }

    #[tokio::test]
    async fn token_is_for_the_server_that_the_user_named() {
        let token = ApiToken::generate();
        let (opener, folder) = opener(Some(token.expose()));
        std::fs::write(folder.path().join("token"), format!("{}\n", ApiToken::generate().expose())).unwrap();
        let there = "http://127.0.0.1:9";
        for file in [None, Some("token")] {
            let server = opener.named(&args(Some(there), file)).unwrap().unwrap();
            let has_own = format!("{server:?}").contains(token.id());
            assert_eq!(has_own, file.is_none(), "the flag takes precedence: {server:?}");
        }
        assert!(opener.named(&args(None, None)).unwrap().is_none());
        let error = opener.named(&args(None, Some("token"))).unwrap_err();
        assert_eq!((error.exit(), error.to_string().contains("--server")), (Exit::Usage, true));
        let error = opener.named(&args(Some("http://scans.example"), None)).unwrap_err();
        assert!(error.exit() == Exit::Usage && error.to_string().contains("without https"), "{error}");
    }

    #[tokio::test]
    async fn stored_token_is_for_exactly_its_server_and_comes_last() {
        let (mut opener, folder) = opener(None);
        let path = folder.path().join("kastrel/credentials.toml");
        let (server, stored) = ("http://127.0.0.1:9".to_owned(), ApiToken::generate());
        let entry =
            credentials::StoredToken { account: "ana".into(), token: stored.clone(), expires_at: String::new() };
        credentials::store(&path, &format!("{server}/").parse().unwrap(), &entry).await.unwrap();
        opener.credentials = Some(path.clone());
        let has = |opener: &Opener, server: &str, file: Option<&str>| {
            let server = opener.named(&args(Some(server), file)).unwrap().unwrap();
            format!("{server:?}").contains("Stored")
        };
        assert!(has(&opener, &server, None) && has(&opener, "http://127.0.0.1:9/", None));
        for other in ["http://127.0.0.1:8", "http://localhost:9", "https://127.0.0.1:9", "http://127.0.0.1:9/tools"] {
            assert!(!has(&opener, other, None), "{other}");
        }
        std::fs::write(folder.path().join("token"), ApiToken::generate().expose()).unwrap();
        assert!(!has(&opener, &server, Some("token")));
        opener.token = Some(ApiToken::generate().expose().to_owned());
        assert!(!has(&opener, &server, None));
        // A file that is not read is not checked.
        std::fs::write(&path, "servers = 7").unwrap();
        assert!(!has(&opener, &server, None));
        opener.token = None;
        let error = opener.named(&args(Some(&server), None)).unwrap_err();
        assert!(error.exit() == Exit::Usage && error.to_string().contains("credentials.toml"), "{error}");
    }

    #[tokio::test]
    async fn text_that_is_no_token_is_refused_and_not_repeated() {
        let (with_wrong, folder) = opener(Some("hunter2"));
        std::fs::write(folder.path().join("other"), "hunter2").unwrap();
        for file in [None, Some("other"), Some("missing-hunter2")] {
            let error = with_wrong.named(&args(Some("http://127.0.0.1:9"), file)).unwrap_err();
            assert!(error.exit() == Exit::Usage && !error.to_string().contains("hunter2"), "{error}");
            assert!(error.to_string().contains(if file.is_none() { "KASTREL_TOKEN" } else { "--token-file" }));
        }
        let (empty, _folder) = opener(Some(""));
        assert!(empty.named(&args(Some("http://127.0.0.1:9"), None)).unwrap().is_some(), "an empty one is not set");
    }
}
