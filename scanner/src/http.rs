//! The HTTP client of one scan. It connects only to the target's host at addresses that were
//! resolved and checked once. It has limits for time, bytes, requests and concurrency, and follows
//! no redirect automatically.

use std::error::Error as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use tokio::sync::Semaphore;
use url::Url;

use crate::settings::Settings;
use crate::target::{Redirect, Target, judge_redirect};
use crate::trust;

/// The maximum number of redirects of one visit.
const MAX_REDIRECTS: usize = 5;

/// The limit for the part of a page that is parsed as HTML, in bytes.
const MAX_HTML_BYTES: usize = 512 * 1024;

/// The reason why a request got no answer. The text is for users and completes "could not …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The client could not be created.
    #[error("could not set up the HTTP client: {0}")]
    Setup(String),
    /// The address is not on the target.
    #[error("refused to ask {0}: it is not on the target host and port")]
    OutOfScope(String),
    /// The scan has used its number of requests.
    #[error("the limit of {0} requests for one scan is used up (setting http.max_requests)")]
    Budget(u64),
    /// No response within the limit.
    #[error("{url}: no answer within {seconds} s")]
    TimedOut {
        /// The requested address.
        url: String,
        /// The limit that passed.
        seconds: u64,
    },
    /// Any other failure, with the innermost reason.
    #[error("{url}: {reason}")]
    Failed {
        /// The requested address.
        url: String,
        /// The reason, readable.
        reason: String,
        /// True if no connection could be opened.
        connecting: bool,
    },
}

/// One response. Its body is read up to the limit.
#[derive(Debug, Clone)]
pub struct Page {
    /// The requested address.
    pub url: Url,
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, decompressed, up to the limit.
    pub body: Vec<u8>,
    /// True if the body was longer than the limit.
    pub truncated: bool,
}

impl Page {
    /// Returns the value of a header as text. Invalid UTF-8 is replaced. Several fields with one
    /// name are joined by a comma (RFC 9110, 5.3).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        joined(&self.headers, name)
    }

    /// Returns the body without a UTF-8 byte order mark. The mark states the encoding and is not
    /// part of the text (Encoding Standard, 6.1).
    #[must_use]
    pub fn content(&self) -> &[u8] {
        self.body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&self.body)
    }

    /// Returns the beginning of the body as text, for [`crate::markup`]. The second value is a
    /// remark if something was left out.
    #[must_use]
    pub fn html(&self) -> (String, Option<String>) {
        let content = self.content();
        let start = &content[..content.len().min(MAX_HTML_BYTES)];
        let cut = self.truncated || start.len() < content.len();
        let remark = cut.then(|| format!("only the first {} KiB of the page were parsed", start.len() / 1024));
        (String::from_utf8_lossy(start).into_owned(), remark)
    }

    /// Returns the body as text. Invalid UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.content()).into_owned()
    }
}

/// Returns the values of one header name, joined by a comma.
#[must_use]
pub fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned()).collect();
    if values.is_empty() { None } else { Some(values.join(", ")) }
}

/// A page and the redirects that led to it.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The responses in order; the last one is the page.
    pub pages: Vec<Page>,
    /// The target of a redirect that was not followed.
    pub left_for: Option<String>,
}

impl Visit {
    /// Returns the last response.
    #[must_use]
    pub fn page(&self) -> &Page {
        // Only `Client::visit` creates a `Visit`. It always pushes the page before it returns.
        &self.pages[self.pages.len() - 1]
    }
}

/// A resolver that returns fixed addresses for one name and sends no queries.
#[derive(Debug)]
struct Pinned {
    host: String,
    addresses: Vec<SocketAddr>,
}

impl Resolve for Pinned {
    fn resolve(&self, name: Name) -> Resolving {
        let known = name.as_str().eq_ignore_ascii_case(&self.host);
        let answer: Result<Addrs, Box<dyn std::error::Error + Send + Sync>> = if known {
            Ok(Box::new(self.addresses.clone().into_iter()) as Addrs)
        } else {
            Err(format!("{} is not the target", name.as_str()).into())
        };
        Box::pin(std::future::ready(answer))
    }
}

/// The HTTP client of one scan.
#[derive(Debug)]
pub struct Client {
    inner: reqwest::Client,
    target: Target,
    slots: Semaphore,
    sent: AtomicU64,
    max_requests: u64,
    max_body: usize,
    timeout: Duration,
    connect_timeout: Duration,
}

impl Client {
    /// Creates the client. It connects to no other addresses than `addresses`.
    ///
    /// # Errors
    /// Returns [`HttpError::Setup`] if TLS or the client cannot be configured.
    pub fn new(target: &Target, addresses: &[IpAddr], settings: &Settings) -> Result<Self, HttpError> {
        let setup = |error: &dyn std::fmt::Display| HttpError::Setup(error.to_string());
        let tls = trust::lenient_config(rustls::ALL_VERSIONS, &[b"http/1.1"]).map_err(|error| setup(&error))?;
        let pinned = Pinned {
            host: target.host().to_string(),
            addresses: addresses.iter().map(|ip| SocketAddr::new(*ip, 0)).collect(),
        };
        let inner = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(user_agent())
            // A proxy from the environment would connect to other addresses than the pinned ones.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(pinned))
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.request_timeout)
            .pool_max_idle_per_host(4)
            .referer(false)
            .build()
            .map_err(|error| setup(&error))?;
        Ok(Self {
            inner,
            target: target.clone(),
            slots: Semaphore::new(usize::try_from(settings.concurrency).unwrap_or(1)),
            sent: AtomicU64::new(0),
            max_requests: settings.max_requests,
            max_body: usize::try_from(settings.max_body_bytes).unwrap_or(usize::MAX),
            timeout: settings.request_timeout,
            connect_timeout: settings.connect_timeout,
        })
    }

    /// Returns the number of requests sent so far.
    #[must_use]
    pub fn requests_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed).min(self.max_requests)
    }

    /// Requests one address and follows no redirect.
    ///
    /// # Errors
    /// Returns an [`HttpError`] if the address is out of scope, the budget is used up, or no
    /// response arrives.
    pub async fn get(&self, url: &Url, headers: &[(&str, &str)]) -> Result<Page, HttpError> {
        if !self.target.allows(url) {
            return Err(HttpError::OutOfScope(url.to_string()));
        }
        if self.sent.fetch_add(1, Ordering::Relaxed) >= self.max_requests {
            return Err(HttpError::Budget(self.max_requests));
        }
        let _slot = self.slots.acquire().await.map_err(|error| HttpError::Setup(error.to_string()))?;
        let mut request = self.inner.get(url.clone());
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::try_from(*value)) {
                request = request.header(name, value);
            }
        }
        let mut response = request.send().await.map_err(|error| self.explain(url, &error))?;
        let mut page = Page {
            url: url.clone(),
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: Vec::new(),
            truncated: false,
        };
        while let Some(chunk) = response.chunk().await.map_err(|error| self.explain(url, &error))? {
            let room = self.max_body - page.body.len();
            page.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                page.truncated = true;
                break;
            }
        }
        Ok(page)
    }

    /// Requests one address and follows redirects that stay on the target.
    ///
    /// # Errors
    /// Same as [`Client::get`].
    pub async fn visit(&self, start: &Url) -> Result<Visit, HttpError> {
        let mut visit = Visit { pages: Vec::new(), left_for: None };
        let mut url = start.clone();
        loop {
            let page = self.get(&url, &[]).await?;
            let location =
                if matches!(page.status, 301 | 302 | 303 | 307 | 308) { page.headers.get(LOCATION) } else { None };
            let verdict = location.map(|location| judge_redirect(&url, &String::from_utf8_lossy(location.as_bytes())));
            visit.pages.push(page);
            match verdict {
                Some(Redirect::Follow(next)) if visit.pages.len() <= MAX_REDIRECTS && self.target.allows(&next) => {
                    url = next;
                }
                Some(Redirect::Follow(next)) if !self.target.allows(&next) => {
                    visit.left_for = Some(next.to_string());
                    return Ok(visit);
                }
                Some(Redirect::Leaves(place) | Redirect::Unreadable(place)) => {
                    visit.left_for = Some(place);
                    return Ok(visit);
                }
                // A redirect loop ends here: its last response is the page.
                Some(Redirect::Follow(_)) | None => return Ok(visit),
            }
        }
    }

    fn explain(&self, url: &Url, error: &reqwest::Error) -> HttpError {
        let url = url.to_string();
        if error.is_timeout() {
            let limit = if error.is_connect() { self.connect_timeout } else { self.timeout };
            return HttpError::TimedOut { url, seconds: limit.as_secs() };
        }
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            reason = inner.to_string();
            source = inner.source();
        }
        HttpError::Failed { url, reason, connecting: error.is_connect() }
    }
}

/// Returns the scanner's `User-Agent`.
#[must_use]
pub fn user_agent() -> String {
    format!("Kastrel-Scanner/{} (+passive security check)", crate::VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csp::Policies;
    use crate::markup::elements;

    fn page(body: &[u8]) -> Page {
        Page {
            url: Url::parse("http://a.test/").unwrap(),
            status: 200,
            headers: HeaderMap::new(),
            body: body.to_vec(),
            truncated: false,
        }
    }

    #[test]
    fn byte_order_mark_is_not_part_of_the_text() {
        for (body, text) in [
            ("\u{feff}<!DOCTYPE html>", "<!DOCTYPE html>"),
            ("<p>\u{feff}", "<p>\u{feff}"),
            ("\u{feff}\u{feff}x", "\u{feff}x"),
            ("\u{feff}", ""),
            ("", ""),
        ] {
            let page = page(body.as_bytes());
            assert_eq!(
                (page.text().as_str(), page.html().0.as_str(), page.content()),
                (text, text, text.as_bytes()),
                "{body:?}"
            );
            assert_eq!(page.html().1, None);
        }
        // The first two bytes alone are not a byte order mark.
        assert_eq!(page(b"\xef\xbbx").text(), "\u{fffd}x");
        let head = "\u{feff}<!DOCTYPE html><html><head><meta http-equiv=Content-Security-Policy content=\"default-src 'self'\"></head>";
        let page = page(head.as_bytes());
        assert_eq!(
            Policies::read(&page.headers, &elements(&page.html().0)).text(),
            "default-src 'self' (meta element)"
        );
    }
}
