//! What a setting of a scanner is to Kastrel: whether it is locked unless the operator allows it, and whether its value is a secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::setting_value::{is_secret_name, words};

/// Why a client may not set a setting. Each completes "`plugin.key` is locked: …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Lock {
    /// A container image.
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
    /// A value such as `${NAME}`.
    #[error("its value refers to a variable of the scanner's environment (`${{`)")]
    Variable,
    /// In the operator's list.
    #[error("overrides.deny names it")]
    Denied,
    /// Not in the operator's list.
    #[error("overrides.allow does not name it")]
    NotAllowed,
}

/// What a setting is by its name and by what the scanner says of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingNature {
    /// Why it is locked unless the operator allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// Whether its value is a secret.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

impl SettingNature {
    /// By the key alone.
    #[must_use]
    pub fn by_name(key: &str) -> Self {
        let segment = key.trim_end_matches('.').rsplit('.').next().unwrap_or(key);
        Self { lock: by_words(&words(segment)), secret: is_secret_name(key) }
    }

    /// The stricter of two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { lock: self.lock.or(other.lock), secret: self.secret || other.secret }
    }
}

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
    table.into_iter().find(|(known, _)| has(known)).map(|(_, lock)| lock)
}

/// What a scanner says of its settings, as far as their names do not say it: small enough for the row of a node. The keys are `plugin.key`; one that ends in `.` takes anything below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SettingNatures(BTreeMap<String, SettingNature>);

impl FromIterator<(String, SettingNature)> for SettingNatures {
    fn from_iter<T: IntoIterator<Item = (String, SettingNature)>>(settings: T) -> Self {
        Self(settings.into_iter().collect())
    }
}

impl SettingNatures {
    /// The stricter of both for each setting.
    pub fn add(&mut self, other: &Self) {
        for (name, nature) in &other.0 {
            let known = self.0.entry(name.clone()).or_insert(*nature);
            *known = known.and(*nature);
        }
    }

    /// What a setting is.
    #[must_use]
    pub fn nature(&self, plugin: &str, key: &str) -> SettingNature {
        let by_name = SettingNature::by_name(key);
        let name = format!("{plugin}.{key}");
        if let Some(nature) = self.0.get(&name) {
            return *nature;
        }
        // What is below an open key, such as the name of a header, names nothing of the scanner's.
        match self.0.iter().find(|(open, _)| open.ends_with('.') && name.starts_with(open.as_str())) {
            Some((_, nature)) => SettingNature { lock: nature.lock, secret: nature.secret || by_name.secret },
            None => by_name,
        }
    }
}
