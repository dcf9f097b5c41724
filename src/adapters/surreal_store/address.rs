//! Where a database server is, and who signs in there: read from one URL, shown without its
//! password.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

/// The port of a SurrealDB server that was started without another one.
const PORT: u16 = 8000;
const TLS_PORT: u16 = 443;
const DEFAULT_NAME: &str = "kastrel";
const MAX_NAME: usize = 64;

/// How the address is to be written.
const FORM: &str = "ws://USER:PASSWORD@HOST:PORT/NAMESPACE/DATABASE";

/// The level at which a user is defined in SurrealDB, and may sign in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AuthLevel {
    /// A user of the whole server.
    #[default]
    Root,
    /// A user of one namespace, which must exist.
    Namespace,
    /// A user of one database, which must exist.
    Database,
}

impl AuthLevel {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Namespace => "namespace",
            Self::Database => "database",
        }
    }
}

/// A database server: `ws://USER:PASSWORD@HOST:PORT/NAMESPACE/DATABASE`, or `wss://` for TLS.
///
/// User and password are percent-encoded. Namespace and database may be left out and are `kastrel`
/// then; the port is 8000 then, and 443 with TLS. Parameters:
/// - `auth=root|namespace|database`: where the user is defined; `root` unless told otherwise. A
///   root user makes namespace and database, a namespace user the database.
/// - `ca=FILE`: with `wss`, trust the authorities of this PEM file and no others; without it, those
///   of the system.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteDatabase {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) namespace: String,
    pub(super) database: String,
    pub(super) auth: AuthLevel,
    pub(super) ca: Option<PathBuf>,
}

/// What is wrong with an address. No text of it holds the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is not a URL at all.
    #[error("the database's address is not a URL like {FORM}: {0}")]
    Url(#[from] url::ParseError),
    /// Another protocol.
    #[error("the scheme of the database's address must be ws or wss, not `{0}`")]
    Scheme(String),
    /// A storage engine and no server.
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
    /// User or password are not percent-encoded UTF-8.
    #[error("the {0} in the database's address is not percent-encoded UTF-8")]
    Encoding(&'static str),
    /// Not a namespace and a database.
    #[error("the path of the database's address must be /NAMESPACE/DATABASE or empty")]
    Path,
    /// A name that SurrealDB might take for something else.
    #[error("the {what} `{name}` in the database's address must be 1 to {MAX_NAME} letters, digits, `_` or `-`")]
    Name {
        /// Namespace or database.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A parameter that does not exist.
    #[error("the database's address has an unknown parameter `{0}`; there are `auth` and `ca`")]
    Parameter(String),
    /// A level that does not exist.
    #[error("`auth` in the database's address must be root, namespace or database, not `{0}`")]
    Auth(String),
    /// An authority for a connection without TLS.
    #[error("`ca` in the database's address needs wss")]
    CaWithoutTls,
}

impl RemoteDatabase {
    /// The URL to connect to: without user, password and names.
    pub(super) fn endpoint(&self) -> String {
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

/// The parser drops the scheme's own port, 80, where it was written out.
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
    fn all_parts_are_read() {
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
    fn what_is_left_out_has_a_default() {
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
    fn what_is_wrong_is_named_and_the_password_is_not() {
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
