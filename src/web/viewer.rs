//! The viewer of a page. There are no accounts yet: every request is anonymous. Handlers take
//! `Viewer`, which also has the theme and the time zone of the pages.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use kastrel_actors::Client;

use super::base_path;
use super::zone::Zone;

const COOKIE: &str = "kastrel-theme";

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
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, _)| *name == COOKIE).find_map(|(_, value)| Self::named(value)).unwrap_or_default()
    }

    /// Returns the cookie with the theme. It is not secret, so the script that switches the theme
    /// at once may set it too.
    pub(crate) fn cookie(self) -> String {
        format!("{COOKIE}={}; Path={}; Max-Age=31536000; SameSite=Lax", self.as_str(), base_path::of_cookies())
    }
}

/// The sender of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Viewer {
    /// The name; always `None` without accounts.
    pub(crate) name: Option<String>,
    /// The colour theme.
    pub(crate) theme: Theme,
    /// The time zone.
    pub(crate) zone: Zone,
    /// The client whose share of the queue the submissions count against.
    pub(crate) client: Client,
}

impl Viewer {
    /// Returns an anonymous viewer.
    pub(crate) fn anonymous() -> Self {
        Self::default()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        Ok(Self {
            theme: Theme::of(&parts.headers),
            zone: Zone::of(&parts.headers),
            client: address.map_or(Client::Local, Client::Address),
            ..Self::anonymous()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn theme_cookie_round_trips_and_other_values_mean_the_system_theme() {
        let of = |cookie: &str| Theme::of(&HeaderMap::from_iter([(header::COOKIE, cookie.parse().unwrap())]));
        for theme in Theme::ALL {
            assert_eq!(of(theme.cookie().split(';').next().unwrap()), theme);
        }
        assert_eq!(of("a=b; kastrel-theme=dark; c=d"), Theme::Dark);
        for other in ["", "kastrel-theme=", "kastrel-theme=<script>", "xkastrel-theme=dark", "kastrel-theme"] {
            assert_eq!(of(other), Theme::System, "{other}");
        }
    }
}
