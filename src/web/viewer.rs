//! The sender of a request. Handlers take [`Viewer`] and pass its context to the services; it also
//! has the theme and the time zone of the pages.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use kastrel_actors::Client;
use kastrel_actors::model::{Principal, RequestContext};

use super::sender::{Sender, address_of};
use super::trace::RequestTrace;
use super::zone::Zone;
use super::{base_path, forwarded};
use crate::cookies;
use crate::service::access::SignedIn;

const COOKIE: &str = "kastrel-theme";
/// The header with which a live page requests only the part of itself that changes.
pub(crate) const PART: &str = "x-kastrel-part";
/// The header with the id of the event that caused the request.
const SEEN: &str = "x-kastrel-seen";

/// The colour theme of a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Theme {
    /// The theme of the viewer's system.
    #[default]
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    pub(crate) const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.as_str() == name)
    }

    /// Returns the theme of the request's cookie.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        cookies::values(headers, COOKIE).find_map(Self::named).unwrap_or_default()
    }

    /// Returns the cookie with the theme. It is not secret, so the script that switches the theme
    /// at once may set it too.
    pub(crate) fn cookie(self) -> String {
        format!("{COOKIE}={}; Path={}; Max-Age=31536000; SameSite=Lax", self.as_str(), base_path::of_cookies())
    }
}

/// A change that the sender of a request has seen: a revision of one run of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeenChange {
    pub(crate) run: u32,
    pub(crate) revision: u64,
}

impl SeenChange {
    /// Parses the id of an event of `/api/events`.
    fn parse(text: &str) -> Option<Self> {
        let (run, revision) = text.split_once('-')?;
        Some(Self { run: u32::from_str_radix(run, 16).ok()?, revision: revision.parse().ok()? })
    }
}

/// A request for the part of a page that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartRequest {
    /// The change that the part must contain; `None` if the page has no event stream.
    pub(crate) seen: Option<SeenChange>,
}

impl PartRequest {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let seen = headers.get(SEEN).and_then(|value| value.to_str().ok()).and_then(SeenChange::parse);
        headers.contains_key(PART).then_some(Self { seen })
    }
}

/// The sender of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Viewer {
    /// The principal, its rights and the trace of the request, which the services take.
    pub(crate) context: RequestContext,
    /// The account and its credential; `None` without accounts, and for unknown clients.
    pub(crate) signed_in: Option<SignedIn>,
    /// Whether the browser uses https.
    pub(crate) is_https: bool,
    /// The network address of the client.
    pub(crate) address: IpAddr,
    /// The colour theme.
    pub(crate) theme: Theme,
    /// The time zone.
    pub(crate) zone: Zone,
    /// Set if the request is for the part of a page that changes.
    pub(crate) part: Option<PartRequest>,
    /// The client whose share of the queue the submissions count against.
    pub(crate) client: Client,
}

/// The context alone, for the status route, which does nothing that it does not need.
pub(crate) struct Context(pub(crate) RequestContext);

fn context_of(parts: &Parts) -> RequestContext {
    let trace = parts.extensions.get().copied().unwrap_or_else(|| RequestTrace::of(&parts.headers));
    match parts.extensions.get::<Arc<Sender>>() {
        Some(sender) => sender.context(trace),
        None => RequestContext { principal: Principal::Anonymous, grants: Arc::default(), trace: trace.0 },
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Context {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(context_of(parts)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = address_of(parts.extensions.get::<ConnectInfo<SocketAddr>>());
        Ok(Self {
            context: context_of(parts),
            signed_in: parts.extensions.get::<Arc<Sender>>().and_then(|sender| sender.signed_in.clone()),
            is_https: forwarded::is_https(&parts.headers),
            address: address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            theme: Theme::of(&parts.headers),
            zone: Zone::of(&parts.headers),
            part: PartRequest::of(&parts.headers),
            client: address.map_or(Client::Local, Client::Address),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_request_names_the_change_it_follows() {
        let of = |seen: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(PART, "live".parse().unwrap());
            if let Some(seen) = seen {
                headers.insert(SEEN, seen.parse().unwrap());
            }
            PartRequest::of(&headers).unwrap().seen
        };
        assert_eq!(of(Some("0000001f-12")), Some(SeenChange { run: 31, revision: 12 }));
        for other in [None, Some(""), Some("12"), Some("x-1"), Some("1-x")] {
            assert_eq!(of(other), None, "{other:?}");
        }
        assert_eq!(PartRequest::of(&HeaderMap::new()), None);
    }

    #[test]
    fn theme_cookie_round_trips_and_other_values_mean_the_system_theme() {
        let of =
            |cookie: &str| Theme::of(&HeaderMap::from_iter([(axum::http::header::COOKIE, cookie.parse().unwrap())]));
        for theme in Theme::ALL {
            assert_eq!(of(theme.cookie().split(';').next().unwrap()), theme);
        }
        assert_eq!(of("a=b; kastrel-theme=dark; c=d"), Theme::Dark);
        for other in ["", "kastrel-theme=", "kastrel-theme=<script>", "xkastrel-theme=dark", "kastrel-theme"] {
            assert_eq!(of(other), Theme::System, "{other}");
        }
    }
}
