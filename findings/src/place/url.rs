//! The normal form of web addresses.

use std::fmt;

use ::url::Url;
use serde::{Deserialize, Serialize};

use crate::limits::MOST_ATTRIBUTE_CHARS;
use crate::text::clean;

use super::fault::PlaceFault;
use super::origin::Origin;
use super::steps::Steps;
use super::{path, query};

/// The longest address in bytes; the rest is not read.
const MOST_BYTES: usize = 8 << 10;

/// A web address in normal form: a site, a path with markers for ids, and the names of the query.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebAddress {
    origin: Origin,
    path: String,
    query: Vec<String>,
}

impl WebAddress {
    /// Parses an address with its scheme.
    ///
    /// # Errors
    /// The text is no address of the web.
    pub fn parse(text: &str) -> Result<Self, PlaceFault> {
        Self::parse_with(text, None, &mut Steps::new())
    }

    /// Parses an address, a path, or an address without a scheme. Paths belong to `base`.
    ///
    /// # Errors
    /// The text is no address of the web.
    pub fn parse_on(base: &Origin, text: &str) -> Result<Self, PlaceFault> {
        Self::parse_with(text, Some(base), &mut Steps::new())
    }

    /// Parses an address, and records the steps of its normal form.
    pub(crate) fn parse_with(text: &str, base: Option<&Origin>, steps: &mut Steps) -> Result<Self, PlaceFault> {
        let text = bounded(text.trim(), steps);
        if text.is_empty() {
            return Err(PlaceFault::Empty);
        }
        let url = match (Url::parse(text), base) {
            (Ok(url), _) if url.has_host() => url,
            (_, Some(base)) if text.starts_with("//") || text.starts_with(['/', '?']) => {
                steps.push(format!("the path belongs to {base}"));
                Url::parse(&base.to_string()).and_then(|base| base.join(text)).map_err(|_| PlaceFault::NoAddress)?
            }
            (_, Some(_)) => {
                steps.push("an address without a scheme is https".to_owned());
                Url::parse(&format!("https://{text}")).map_err(|_| PlaceFault::NoAddress)?
            }
            (Ok(_), None) => return Err(PlaceFault::NotWeb),
            (Err(_), None) => return Err(PlaceFault::NoAddress),
        };
        let origin = Origin::of_url(&url)?;
        record_origin(text, &url, &origin, steps);
        let path = path::normalize(url.path(), steps);
        let query = url.query().map(|query| query::names(query, steps)).unwrap_or_default();
        Ok(Self { origin, path, query })
    }

    /// Returns the address without its query.
    #[must_use]
    pub fn without_query(&self) -> Self {
        Self { query: Vec::new(), ..self.clone() }
    }

    /// Returns the page of a location with its own ids, without query and fragment. `None`: the
    /// location is not of this page, or the page has no ids.
    #[must_use]
    pub fn exact_page(&self, location: &str) -> Option<String> {
        if !self.path.contains('{') {
            return None;
        }
        let own = Self::parse_on(&self.origin, location)
            .ok()
            .filter(|own| own.path == self.path && own.origin == self.origin)?;
        let url = Url::parse(location).ok().filter(Url::has_host);
        let url = url.or_else(|| Url::parse(&own.origin.to_string()).ok()?.join(location).ok())?;
        Some(format!("{}{}", own.origin, clean(url.path(), MOST_ATTRIBUTE_CHARS)))
    }

    /// Returns the site.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the path with markers for ids.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the names of the query, sorted.
    #[must_use]
    pub fn query(&self) -> &[String] {
        &self.query
    }
}

/// Cuts an address to its limit, at a character.
fn bounded<'a>(text: &'a str, steps: &mut Steps) -> &'a str {
    if text.len() <= MOST_BYTES {
        return text;
    }
    steps.push(format!("only the first {MOST_BYTES} bytes of the address count"));
    let end = (0..=MOST_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

fn record_origin(text: &str, url: &Url, origin: &Origin, steps: &mut Steps) {
    if !text.contains(origin.to_string().as_str()) {
        steps.push(format!("the site in normal form is {origin}"));
    }
    if url.port().is_none() {
        steps.push(format!("the default port of {} is {}", origin.scheme(), origin.port()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        steps.push("user name and password do not count".to_owned());
    }
    if url.fragment().is_some() {
        steps.push("the fragment does not count: it is never sent".to_owned());
    }
}

impl fmt::Display for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)?;
        if self.query.is_empty() { Ok(()) } else { write!(f, "?{}", self.query.join("&")) }
    }
}

impl TryFrom<String> for WebAddress {
    type Error = PlaceFault;

    fn try_from(text: String) -> Result<Self, PlaceFault> {
        Self::parse(&text)
    }
}

impl From<WebAddress> for String {
    fn from(address: WebAddress) -> Self {
        address.to_string()
    }
}
