//! Parses the URL of a database server, including the user, and displays it without the password.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

/// The default port of a SurrealDB server.
const PORT: u16 = 8000;
const TLS_PORT: u16 = 443;
const DEFAULT_NAME: &str = "kastrel";
const MAX_NAME: usize = 64;

/// The format of the URL.
const FORM: &str = "ws://USER:PASSWORD@HOST:PORT/NAMESPACE/DATABASE";

/// The level at which a SurrealDB user is defined and signs in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AuthLevel {
    /// A root user of the server.
    #[default]
    Root,
    /// A user of a namespace, which must exist.
    Namespace,
    /// A user of a database, which must exist.
    Database,
}

impl AuthLevel {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Namespace => "namespace",
            Self::Database => "database",
        }
    }
}

/// The address of a database server: `ws://USER:PASSWORD@HOST:PORT/NAMESPACE/DATABASE`, or `wss://`
/// for TLS.
///
/// User and password are percent-encoded. The default of namespace and database is `kastrel`. The
/// default port is 8000, and 443 with TLS. Parameters:
/// - `auth=root|namespace|database`: the level of the user; the default is `root`. A root user
///   creates the namespace and the database, a namespace user the database.
/// - `ca=FILE`: with `wss`, trust only the authorities in this PEM file; the default is the
///   system's authorities.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteDatabase {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) namespace: String,
    pub(crate) database: String,
    pub(crate) auth: AuthLevel,
    pub(crate) ca: Option<PathBuf>,
}

/// The reason why a database URL is invalid. No message contains the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL.
    #[error("the database's address is not a URL like {FORM}: {0}")]
    Url(#[from] url::ParseError),
    /// Not `ws` or `wss`.
    #[error("the scheme of the database's address must be ws or wss, not `{0}`")]
    Scheme(String),
    /// A storage engine instead of a server.
    #[error(
        "the scheme of the database's address must be ws or wss, not `{0}`, which is a storage engine: start a SurrealDB server on rocksdb:// (surrealkv:// loses committed rows at a restart), and write {FORM}"
    )]
    Engine(String),
    /// No host.
    #[error("the database's address has no host; write {FORM}")]
    Host,
    /// No user.
    #[error("the database's address has no user; write {FORM}")]
    User,
    /// No password.
    #[error("the database's address has no password; write {FORM}")]
    Password,
    /// The user or the password is not percent-encoded UTF-8.
    #[error("the {0} in the database's address is not percent-encoded UTF-8")]
    Encoding(&'static str),
    /// The path is not a namespace and a database.
    #[error("the path of the database's address must be /NAMESPACE/DATABASE or empty")]
    Path,
    /// A name with characters that SurrealDB might interpret.
    #[error("the {what} `{name}` in the database's address must be 1 to {MAX_NAME} letters, digits, `_` or `-`")]
    Name {
        /// Namespace or database.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// An unknown parameter.
    #[error("the database's address has an unknown parameter `{0}`; there are `auth` and `ca`")]
    Parameter(String),
    /// An unknown level.
    #[error("`auth` in the database's address must be root, namespace or database, not `{0}`")]
    Auth(String),
    /// A certificate authority for a connection without TLS.
    #[error("`ca` in the database's address needs wss")]
    CaWithoutTls,
}

impl RemoteDatabase {
    /// The URL to connect to, without user, password and names.
    pub(crate) fn endpoint(&self) -> String {
        format!("{}://{}:{}/rpc", self.scheme(), self.host, self.port)
    }

    const fn scheme(&self) -> &'static str {
        if self.tls { "wss" } else { "ws" }
    }
}

impl FromStr for RemoteDatabase {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text)?;
        let tls = match url.scheme() {
            "ws" => false,
            "wss" => true,
            engine @ ("surrealkv" | "surrealkv+versioned" | "rocksdb" | "file" | "mem" | "memory" | "tikv") => {
                return Err(AddressError::Engine(engine.to_owned()));
            }
            other => return Err(AddressError::Scheme(other.to_owned())),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(AddressError::Host)?.to_owned();
        let user = decode(url.username(), "user")?;
        if user.is_empty() {
            return Err(AddressError::User);
        }
        let password = decode(url.password().ok_or(AddressError::Password)?, "password")?;
        let (namespace, database) = names(url.path())?;
        let (mut auth, mut ca) = (AuthLevel::default(), None);
        for (name, value) in url.query_pairs() {
            match &*name {
                "auth" => auth = level(&value)?,
                "ca" if !tls => return Err(AddressError::CaWithoutTls),
                "ca" => ca = Some(PathBuf::from(&*value)),
                _ => return Err(AddressError::Parameter(name.into_owned())),
            }
        }
        let port = url.port().unwrap_or(if tls { TLS_PORT } else { default_port(text) });
        Ok(Self { tls, host, port, user, password, namespace, database, auth, ca })
    }
}

/// The port if the URL has none. The URL parser drops port 80, the default of `ws`, even if it was
/// written explicitly.
fn default_port(text: &str) -> u16 {
    let authority = text.split("://").nth(1).unwrap_or_default().split(['/', '?', '#']).next().unwrap_or_default();
    if authority.ends_with(":80") { 80 } else { PORT }
}

fn decode(text: &str, what: &'static str) -> Result<String, AddressError> {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| AddressError::Encoding(what))
}

fn names(path: &str) -> Result<(String, String), AddressError> {
    let mut parts = path.trim_matches('/').split('/').filter(|part| !part.is_empty());
    let (namespace, database) = (parts.next().unwrap_or(DEFAULT_NAME), parts.next().unwrap_or(DEFAULT_NAME));
    if parts.next().is_some() {
        return Err(AddressError::Path);
    }
    Ok((name(namespace, "namespace")?, name(database, "database")?))
}

fn name(text: &str, what: &'static str) -> Result<String, AddressError> {
    let fits = (1..=MAX_NAME).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if fits { Ok(text.to_owned()) } else { Err(AddressError::Name { what, name: text.to_owned() }) }
}

fn level(text: &str) -> Result<AuthLevel, AddressError> {
    match text {
        "root" => Ok(AuthLevel::Root),
        "namespace" => Ok(AuthLevel::Namespace),
        "database" => Ok(AuthLevel::Database),
        other => Err(AddressError::Auth(other.to_owned())),
    }
}

impl fmt::Display for RemoteDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}/{}/{}", self.scheme(), self.host, self.port, self.namespace, self.database)
    }
}

impl fmt::Debug for RemoteDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteDatabase({self}, {:?} user {:?})", self.auth, self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> RemoteDatabase {
        text.parse().unwrap()
    }

    #[test]
    fn database_urls_are_parsed() {
        let address =
            parsed("wss://us%3Aer:p%40ss%2Fw%C3%B6rd@db.example:9000/team/scans?auth=database&ca=/etc/ca.pem");
        assert_eq!((address.tls, address.host.as_str(), address.port), (true, "db.example", 9000));
        assert_eq!((address.user.as_str(), address.password.as_str()), ("us:er", "p@ss/wörd"));
        assert_eq!(
            (address.namespace.as_str(), address.database.as_str(), address.auth),
            ("team", "scans", AuthLevel::Database)
        );
        assert_eq!(
            (address.ca.as_deref(), address.endpoint().as_str()),
            (Some("/etc/ca.pem".as_ref()), "wss://db.example:9000/rpc")
        );
    }

    #[test]
    fn omitted_url_parts_have_defaults() {
        for (text, port, namespace, database) in [
            ("ws://a:b@host", 8000, "kastrel", "kastrel"),
            ("ws://a:b@host:80/", 80, "kastrel", "kastrel"),
            ("ws://a:b@[::1]:81/x", 81, "x", "kastrel"),
            ("wss://a:b@host/x/y/", 443, "x", "y"),
            ("wss://a:b@host:443", 443, "kastrel", "kastrel"),
        ] {
            let address = parsed(text);
            assert_eq!(
                (address.port, address.namespace.as_str(), address.database.as_str(), address.auth),
                (port, namespace, database, AuthLevel::Root),
                "{text}"
            );
        }
    }

    #[test]
    fn url_errors_do_not_show_the_password() {
        for (text, part) in [
            ("hunter2", "is not a URL"),
            ("http://a:hunter2@host", "must be ws or wss, not `http`"),
            ("surrealkv://a:hunter2@host", "not `surrealkv`"),
            ("ws://host/x/y", "has no user"),
            ("ws://:hunter2@host", "has no user"),
            ("ws://a@host", "has no password"),
            ("ws://a:@host", "has no password"),
            ("ws://a:hunter2@", "is not a URL"),
            ("ws://a:hunter2%ff@host", "password in the database's address is not percent-encoded UTF-8"),
            ("ws://%ff:hunter2@host", "user in the database's address is not percent-encoded UTF-8"),
            ("ws://a:hunter2@host/x/y/z", "/NAMESPACE/DATABASE"),
            ("ws://a:hunter2@host/x%60y", "the namespace `x%60y`"),
            ("ws://a:hunter2@host/x/a.b", "the database `a.b`"),
            ("ws://a:hunter2@host?ns=x", "unknown parameter `ns`"),
            ("ws://a:hunter2@host?auth=admin", "not `admin`"),
            ("ws://a:hunter2@host?ca=/x", "`ca` in the database's address needs wss"),
        ] {
            let error = text.parse::<RemoteDatabase>().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("hunter2"), "{text}: {error}");
        }
        let shown = parsed("ws://a:hunter2@host/x/y");
        assert_eq!(
            format!("{shown} {shown:?}"),
            "ws://host:8000/x/y RemoteDatabase(ws://host:8000/x/y, Root user \"a\")"
        );
    }
}
