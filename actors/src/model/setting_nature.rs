//! The properties of a scanner setting that matter to Kastrel: whether it is locked unless the
//! operator allows it, and whether its value is a secret.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::setting_value::{is_secret_name, words};

/// The reason why a client may not set a setting. Each text completes "`plugin.key` is locked: …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Lock {
    /// The setting names a container image.
    #[error("it names a container image")]
    Image,
    /// A container.
    #[error("it names a container")]
    Container,
    /// A host, port or address other than the target.
    #[error("it names an address that the scanner connects to")]
    Address,
    /// A proxy.
    #[error("it sends the scan through a proxy")]
    Proxy,
    /// Further arguments or commands.
    #[error("it adds arguments or variables to a command")]
    Arguments,
    /// A file or folder.
    #[error("it names a file or a folder")]
    Path,
    /// A URL.
    #[error("it takes a URL or the path of one")]
    Url,
    /// Every user of the machine can see the value.
    #[error("the scanner passes it to a tool as an argument, which the list of processes shows")]
    Argument,
    /// A value such as `${NAME}`.
    #[error("its value refers to a variable of the scanner's environment (`$NAME` or `${{NAME}}`)")]
    Variable,
    /// The setting is in the operator's deny list.
    #[error("overrides.deny lists it")]
    Denied,
    /// The setting is not in the operator's allow list.
    #[error("overrides.allow does not list it")]
    NotAllowed,
}

/// The properties of a setting, by its name and by the scanner's own data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingNature {
    /// The reason why it is locked unless the operator allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// Whether its value is a secret.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

impl SettingNature {
    /// Returns the properties by the key alone. The last part of the key decides, and the parts
    /// before it if everything below them belongs to what they name.
    #[must_use]
    pub fn by_name(key: &str) -> Self {
        let key = key.trim_end_matches('.');
        let (above, segment) = key.rsplit_once('.').unwrap_or(("", key));
        let inherited = || {
            let mut locks = above.split('.').filter_map(|segment| by_words(&words(segment)));
            locks.find(|lock| {
                matches!(
                    lock,
                    Lock::Proxy | Lock::Image | Lock::Container | Lock::Arguments | Lock::Url | Lock::Address
                )
            })
        };
        let argument = || (key == PASSED_AS_AN_ARGUMENT).then_some(Lock::Argument);
        Self { lock: argument().or_else(|| by_words(&words(segment))).or_else(inherited), secret: is_secret_name(key) }
    }

    /// Returns the stricter of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { lock: self.lock.or(other.lock), secret: self.secret || other.secret }
    }
}

/// KAST starts its own ZAP container with `-config api.key=…`; each attempt has its own key there.
const PASSED_AS_AN_ARGUMENT: &str = "local.api_key";

/// Words that end like one of the table and have another meaning.
const HARMLESS: &[&str] = &["profile", "curl", "redir"];

fn by_words(words: &[String]) -> Option<Lock> {
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    let table: [(&[&str], Lock); 7] = [
        (&["proxy", "proxies", "socks"], Lock::Proxy),
        (&["image", "images"], Lock::Image),
        (&["container", "containers"], Lock::Container),
        (
            &[
                "args",
                "arg",
                "argv",
                "argument",
                "arguments",
                "options",
                "opts",
                "flags",
                "cmd",
                "command",
                "commands",
                "exec",
                "execute",
                "shell",
                "env",
                "environment",
            ],
            Lock::Arguments,
        ),
        (&["url", "urls", "uri", "uris", "endpoint", "endpoints", "webhook", "callback"], Lock::Url),
        (
            &[
                "host",
                "hosts",
                "hostname",
                "server",
                "servers",
                "nameserver",
                "nameservers",
                "resolver",
                "resolvers",
                "address",
                "addresses",
                "addr",
                "ip",
                "ips",
                "gateway",
                "upstream",
                "bind",
                "listen",
                "interface",
                "network",
                "port",
            ],
            Lock::Address,
        ),
        (
            &[
                "file",
                "files",
                "filename",
                "path",
                "paths",
                "dir",
                "directory",
                "folder",
                "wordlist",
                "wordlists",
                "template",
                "templates",
                "plan",
                "output",
                "outfile",
                "logfile",
                "config",
                "cert",
                "certificate",
                "pem",
                "logo",
                "mount",
                "mounts",
                "volume",
                "volumes",
            ],
            Lock::Path,
        ),
    ];
    // Words that are written as one: `apiurl`, `httpproxy`, `logfile`.
    let ends: [(&[&str], Lock); 6] = [
        (&["proxy"], Lock::Proxy),
        (&["image"], Lock::Image),
        (&["args"], Lock::Arguments),
        (&["url", "uri"], Lock::Url),
        (&["host"], Lock::Address),
        (&["path", "file", "dir"], Lock::Path),
    ];
    let is_end = |known: &[&str]| {
        words.iter().any(|word| !HARMLESS.contains(&word.as_str()) && known.iter().any(|end| word.ends_with(end)))
    };
    let of_table = table.into_iter().find(|(known, _)| has(known));
    of_table.or_else(|| ends.into_iter().find(|(known, _)| is_end(known))).map(|(_, lock)| lock)
}

/// The properties of settings that a scanner reports and that do not follow from their names: small
/// enough for the row of a node. The keys are `plugin.key`; a key that ends in `.` matches
/// everything below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SettingNatures(BTreeMap<String, SettingNature>);

impl FromIterator<(String, SettingNature)> for SettingNatures {
    fn from_iter<T: IntoIterator<Item = (String, SettingNature)>>(settings: T) -> Self {
        Self(settings.into_iter().collect())
    }
}

impl SettingNatures {
    /// Merges another set: the stricter properties of both for each setting.
    pub fn add(&mut self, other: &Self) {
        let names: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let both = names.into_iter().map(|name| (name.clone(), self.said(name).and(other.said(name)))).collect();
        self.0 = both;
    }

    /// Returns the properties for a name. Without an entry, the name decides.
    fn said(&self, name: &str) -> SettingNature {
        let key = name.split_once('.').map_or(name, |(_, key)| key);
        self.0.get(name).copied().unwrap_or_else(|| SettingNature::by_name(key))
    }

    /// Returns the open key that contains a setting, as `plugin.key`: `p.headers` for
    /// `p.headers.Cookie`.
    #[must_use]
    pub fn open_key(&self, plugin: &str, key: &str) -> Option<&str> {
        let name = format!("{plugin}.{key}");
        self.0
            .keys()
            .find(|open| open.ends_with('.') && name.starts_with(open.as_str()))
            .map(|open| open.trim_end_matches('.'))
    }

    /// Returns the properties of a setting.
    #[must_use]
    pub fn nature(&self, plugin: &str, key: &str) -> SettingNature {
        let by_name = SettingNature::by_name(key);
        let name = format!("{plugin}.{key}");
        if let Some(nature) = self.0.get(&name) {
            return *nature;
        }
        // The user chooses the part below an open key, such as the name of a header, so that part
        // does not name a resource of the scanner.
        match self.0.iter().find(|(open, _)| open.ends_with('.') && name.starts_with(open.as_str())) {
            Some((_, nature)) => SettingNature { lock: nature.lock, secret: nature.secret || by_name.secret },
            None => by_name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lock_in_every_spelling_and_below_what_they_name() {
        for (key, lock) in [
            ("apiurl", Some(Lock::Url)),
            ("targeturi", Some(Lock::Url)),
            ("httpproxy", Some(Lock::Proxy)),
            ("dockerimage", Some(Lock::Image)),
            ("logfile", Some(Lock::Path)),
            ("basepath", Some(Lock::Path)),
            ("workdir", Some(Lock::Path)),
            ("remotehost", Some(Lock::Address)),
            ("extraargs", Some(Lock::Arguments)),
            ("proxy.name", Some(Lock::Proxy)),
            ("image.tag", Some(Lock::Image)),
            ("container.memory", Some(Lock::Container)),
            ("args.first", Some(Lock::Arguments)),
            ("callback_url.query", Some(Lock::Url)),
            ("address.family", Some(Lock::Address)),
            ("api_urls.", Some(Lock::Url)),
            ("local.api_key", Some(Lock::Argument)),
            ("remote.api_key", None),
            ("profile", None),
            ("curl_timeout", None),
            ("zap_config.timeout_minutes", None),
            ("timeout", None),
            ("hostile", None),
        ] {
            assert_eq!(SettingNature::by_name(key).lock, lock, "{key}");
        }
    }

    /// Each scanner leaves out the properties that follow from the names, so a missing entry has a
    /// meaning too.
    #[test]
    fn stricter_of_two_scanners_counts_even_without_an_entry() {
        let open = SettingNature { lock: None, secret: false };
        let natures = |all: &[(&str, SettingNature)]| {
            all.iter().map(|(name, nature)| ((*name).to_owned(), *nature)).collect::<SettingNatures>()
        };
        let harmless = natures(&[("p.output", open)]);
        let locked = SettingNature { lock: Some(Lock::Path), secret: false };
        for (mut one, other) in
            [(harmless.clone(), SettingNatures::default()), (SettingNatures::default(), harmless.clone())]
        {
            one.add(&other);
            assert_eq!(one.nature("p", "output"), locked);
        }
        let mut same = harmless.clone();
        same.add(&harmless);
        assert_eq!(same.nature("p", "output"), open, "both say that it is harmless");
        let mut marked = natures(&[("p.x", SettingNature { lock: None, secret: true })]);
        marked.add(&harmless);
        assert!(marked.nature("p", "x").secret && marked.nature("p", "output").lock.is_some());
    }
}
