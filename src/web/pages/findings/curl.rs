//! The command that fetches the place of a finding again. The place comes from a scanned site, so
//! every part of it is quoted for the shell.

use kastrel_findings::place::{Place, WebAddress};
use url::Url;

use crate::shell::quoted;

/// The mark at the end of a text that was cut.
const CUT: char = '…';

/// Returns the curl command for a place; `None` for a place without a web address, and for a page
/// whose ids are not known. `location` is the place as the plugin wrote it: it has the ids and the
/// values of the query that the normal form leaves out. User names, passwords and fragments are
/// left out.
pub(super) fn curl_command(place: &Place, location: &str) -> Option<String> {
    let (address, options) = match place {
        Place::Url { address, .. } | Place::Script { script: address, .. } => {
            (exact(address, location).or_else(|| plain(address))?, "--include")
        }
        Place::Origin { origin } | Place::Component { origin, .. } => {
            (Url::parse(&origin.to_string()).ok()?, "--include")
        }
        // Only the headers of the answer matter.
        Place::Header { origin, .. } | Place::Cookie { origin, .. } => {
            (Url::parse(&origin.to_string()).ok()?, "--dump-header - --output /dev/null")
        }
        Place::Target
        | Place::Host { .. }
        | Place::Endpoint { .. }
        | Place::Protocol { .. }
        | Place::Cipher { .. }
        | Place::Text { .. } => return None,
    };
    let is_web = matches!(address.scheme(), "http" | "https");
    // The option keeps `{`, `[` and the like in the address, which curl would expand.
    is_web.then(|| format!("curl --globoff --silent --show-error {options} --url {}", quoted(address.as_str())))
}

/// Returns the location, if it is an address of this page.
fn exact(page: &WebAddress, location: &str) -> Option<Url> {
    let is_of_page = WebAddress::parse_on(page.origin(), location).is_ok_and(|address| address == *page);
    if !is_of_page || location.ends_with(CUT) {
        return None;
    }
    let base = Url::parse(&page.origin().to_string()).ok()?;
    let mut url = base.join(location).ok()?;
    // A location without a scheme is no path of the site.
    if WebAddress::parse(url.as_str()).ok()? != *page {
        return None;
    }
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_fragment(None);
    Some(url)
}

/// Returns the page in normal form, if no id of its path and its query is left out.
fn plain(page: &WebAddress) -> Option<Url> {
    let text = page.to_string();
    if text.contains('{') { None } else { Url::parse(&text).ok() }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use kastrel_findings::place::{HeaderName, Host, Label, Origin};

    use super::*;

    fn page(text: &str) -> Place {
        Place::page(WebAddress::parse(text).unwrap())
    }

    fn command(place: &Place, location: &str) -> Option<String> {
        curl_command(place, location)
            .map(|command| command.strip_prefix("curl --globoff --silent --show-error ").unwrap().to_owned())
    }

    #[test]
    fn command_has_the_address_with_its_own_ids_and_values() {
        let site = Origin::parse("https://shop.example:8443").unwrap();
        for (place, location, expected) in [
            (page("https://a.example/x?b=1"), "", Some("--include --url 'https://a.example/x?b'")),
            (
                page("https://a.example/x?b=1"),
                "https://a.example/x?b=7",
                Some("--include --url 'https://a.example/x?b=7'"),
            ),
            (page("https://a.example/item/17"), "/item/17", Some("--include --url 'https://a.example/item/17'")),
            // The ids are not known.
            (page("https://a.example/item/17"), "", None),
            (page("https://a.example/item/17"), "https://other.example/item/17", None),
            (page("https://a.example/item/17"), "https://a.example/item/17?q=cut…", None),
            (
                page("https://a.example/x"),
                "https://user:secret@a.example/x#part",
                Some("--include --url 'https://a.example/x'"),
            ),
            (Place::Origin { origin: site.clone() }, "", Some("--include --url 'https://shop.example:8443/'")),
            (
                Place::Header { origin: site, header: HeaderName::parse("Server").unwrap() },
                "",
                Some("--dump-header - --output /dev/null --url 'https://shop.example:8443/'"),
            ),
            (page("wss://a.example/x"), "", None),
            (Place::Target, "https://a.example/", None),
            (Place::Host { host: Host::parse("a.example").unwrap() }, "", None),
            (Place::Text { text: Label::parse("https://a.example/").unwrap() }, "", None),
        ] {
            assert_eq!(command(&place, location).as_deref(), expected, "{place} {location:?}");
        }
    }

    #[test]
    fn shell_reads_a_hostile_address_as_one_word() {
        for path in [
            "/a'b",
            "/'; touch /tmp/owned; '",
            "/$(id)`id`",
            "/a\\'b\"c",
            "/!!;&|<>*?x={a,b}[1-9]",
            "/\n-o\n/etc/passwd",
            "/\u{202e}\u{1b}[31m",
            "/--next --output x",
        ] {
            let text = format!("https://a.example{path}");
            let place = page(&text);
            for location in ["", text.as_str()] {
                let Some(command) = curl_command(&place, location) else { continue };
                assert!(!command.contains(char::is_control), "{command:?}");
                // A shell function in place of curl prints each of its words on a line.
                let script = format!("curl() {{ printf '%s\\n' \"$#\" \"$@\"; }}; {command}");
                let shell = Command::new("sh").args(["-c", &script]).output().unwrap();
                let words = String::from_utf8(shell.stdout).unwrap();
                let words: Vec<&str> = words.lines().collect();
                assert_eq!(words.first(), Some(&"6"), "{command}");
                assert!(Url::parse(words[6]).is_ok_and(|url| url.host_str() == Some("a.example")), "{command}");
                assert!(shell.stderr.is_empty(), "{command}");
            }
        }
    }
}
