//! No accounts yet: every request is anonymous. Handlers take `Viewer`, which also says how its
//! pages look and in which time zone.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use kastrel_actors::Client;

use super::base_path;
use super::zone::Zone;

const COOKIE: &str = "kastrel-theme";

/// Which colours a page has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Theme {
    /// Those of the viewer's system.
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

    /// The choice that a browser kept.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, _)| *name == COOKIE).find_map(|(_, value)| Self::named(value)).unwrap_or_default()
    }

    /// What makes a browser keep the choice. It is no secret, so the script that switches at once
    /// may set it too.
    pub(crate) fn cookie(self) -> String {
        format!("{COOKIE}={}; Path={}; Max-Age=31536000; SameSite=Lax", self.as_str(), base_path::of_cookies())
    }
}

/// Who sent a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Viewer {
    /// Their name; nobody has one yet.
    pub(crate) name: Option<String>,
    /// How they like their pages.
    pub(crate) theme: Theme,
    /// The zone of their clock.
    pub(crate) zone: Zone,
    /// Whose submissions theirs are counted among.
    pub(crate) client: Client,
}

impl Viewer {
    /// Somebody.
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
    fn a_theme_comes_back_as_it_was_kept_and_anything_else_is_the_systems() {
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
