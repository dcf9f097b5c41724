//! Checks the URL of the mail server: `smtps://user:password@host:port`, with TLS from the first
//! byte, or `smtp://user:password@host:port?tls=required`, which begins TLS with STARTTLS.

use std::net::IpAddr;

use url::{Host, Url};

/// The reason why the URL of the mail server is invalid. It never repeats the URL, which may hold a
/// password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SmtpUrlError {
    /// Not a URL.
    #[error("it is not a URL: {0}")]
    Syntax(#[from] url::ParseError),
    /// Not a scheme of SMTP.
    #[error("it begins with `{0}:`, but must begin with `smtps://`, or with `smtp://` and end with `?tls=required`")]
    Scheme(String),
    /// No host.
    #[error("it has no host")]
    NoHost,
    /// A connection without TLS to another machine.
    #[error("without TLS, only a mail server on this machine can be used: add `?tls=required`, or use `smtps://`")]
    NoTls,
    /// A parameter other than `tls=required`.
    #[error("its only parameter can be `tls=required`")]
    Parameter,
    /// A path or a fragment.
    #[error("it ends after the port: a `/` or `#` in a password is written `%2F` or `%23`")]
    Path,
    /// A user without a password, or the other way round.
    #[error("a user and a password are set together, or neither of them")]
    Credentials,
}

/// Checks that `url` is a usable URL of a mail server. Opens no connection.
///
/// # Errors
/// The reason why the URL is invalid. The error never repeats the URL.
pub fn check_smtp_url(url: &str) -> Result<(), SmtpUrlError> {
    let url = Url::parse(url)?;
    let has_tls = match url.scheme() {
        "smtps" => true,
        "smtp" => url.query() == Some("tls=required"),
        other => return Err(SmtpUrlError::Scheme(other.to_owned())),
    };
    let is_here = match url.host() {
        None | Some(Host::Domain("")) => return Err(SmtpUrlError::NoHost),
        // The URL is not one of the web, so an IPv4 address is read as a name.
        Some(Host::Domain(name)) => {
            name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
    };
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return Err(SmtpUrlError::Path);
    }
    if url.query().is_some_and(|query| query != "tls=required") {
        return Err(SmtpUrlError::Parameter);
    }
    if url.username().is_empty() != url.password().is_none_or(str::is_empty) {
        return Err(SmtpUrlError::Credentials);
    }
    if has_tls || is_here { Ok(()) } else { Err(SmtpUrlError::NoTls) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_has_tls_or_is_of_this_machine() {
        for url in [
            "smtps://mail.example.com",
            "smtps://user:p%40ss@mail.example.com:465",
            "smtp://mail.example.com:587?tls=required",
            "smtp://user:pass@192.0.2.1:587?tls=required",
            "smtp://localhost:25",
            "smtp://127.0.0.1:1025/",
            "smtp://[::1]:25",
        ] {
            assert_eq!(check_smtp_url(url), Ok(()), "{url}");
        }
        for (url, error) in [
            ("smtp://mail.example.com", SmtpUrlError::NoTls),
            ("smtp://192.0.2.1:25", SmtpUrlError::NoTls),
            ("smtp://[2001:db8::1]:25", SmtpUrlError::NoTls),
            ("smtp://mail.example.com?tls=opportunistic", SmtpUrlError::Parameter),
            ("smtp://localhost?tls=required&x=1", SmtpUrlError::Parameter),
            ("smtps://mail.example.com/x", SmtpUrlError::Path),
            ("smtps://mail.example.com#x", SmtpUrlError::Path),
            ("smtps://user@mail.example.com", SmtpUrlError::Credentials),
            ("smtps://:pass@mail.example.com", SmtpUrlError::Credentials),
            ("smtps://", SmtpUrlError::NoHost),
            ("http://mail.example.com", SmtpUrlError::Scheme("http".into())),
        ] {
            assert_eq!(check_smtp_url(url), Err(error), "{url}");
        }
        assert!(matches!(check_smtp_url("mail.example.com"), Err(SmtpUrlError::Syntax(_))));
    }
}
