//! Places: where an issue was seen, in one normal form.
//!
//! | part | normal form |
//! |---|---|
//! | scheme | lower case |
//! | host | lower case, IDNA in ASCII, no trailing dot; IP addresses in their shortest form |
//! | port | always a number: the default of the scheme where the address has none |
//! | path | `.` and `..` resolved; `%41` decoded where it needs no encoding, other escapes in upper case; `;name=value` without its value |
//! | path, ids | a segment of digits is `{n}`, a UUID `{uuid}`, 16 or more hex digits `{hex}`, a random-looking segment `{token}`; `app.3f2a9c1b.js` is `app.{hex}.js` |
//! | query | the names, sorted, once each, without values; names that are ids as in paths |
//! | user name, password, fragment | removed |
//! | header | lower case |
//! | cookie, parameter, component | as written, without control characters |
//!
//! Different ports, `www.` and an IP address are different places: nothing proves that they are one
//! site. A trailing slash, the case of a path and doubled slashes stay, because servers tell them
//! apart.
//!
//! The normal form is idempotent: the normal form of a normal form is itself.

mod fault;
mod guess;
mod host;
mod kinds;
mod names;
mod origin;
mod parts;
mod path;
mod query;
mod steps;
#[cfg(test)]
mod tests;
mod url;

pub use self::fault::PlaceFault;
pub use self::host::Host;
pub use self::kinds::Place;
pub use self::names::{HeaderName, Label};
pub use self::origin::{Endpoint, Origin};
pub use self::parts::Part;
pub(crate) use self::steps::Steps;
pub use self::url::WebAddress;
