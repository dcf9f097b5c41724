//! Resolves the user of the scanners from the machine's lists of users and groups.

use std::path::PathBuf;

use super::super::text::clean;

/// A user other than the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunAs {
    /// The configured text.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The id of its first group.
    pub gid: u32,
    /// The ids of its other groups.
    pub groups: Vec<u32>,
    /// Its home folder, if the list of users has one.
    pub home: Option<PathBuf>,
}

/// The reason why a user cannot run scanners.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunAsError {
    /// The user does not exist.
    #[error("scans.run_as: there is no user {0} in /etc/passwd; create it, or give its numbers as UID:GID")]
    Unknown(String),
    /// The user is root, so there would be no separation.
    #[error("scans.run_as: {0} is root, which may do everything; name a user without rights")]
    Root(String),
    /// The user is Kastrel's own, so there would be no separation.
    #[error("scans.run_as: {0} is the user that Kastrel runs as; name another one")]
    Own(String),
    /// The list of users cannot be read.
    #[error("scans.run_as: cannot read {0}: {1}")]
    Unreadable(&'static str, std::io::ErrorKind),
}

impl RunAs {
    /// Resolves a name, a number or `UID:GID`.
    ///
    /// # Errors
    /// The user does not exist, or is root or Kastrel's own user.
    pub fn resolve(text: &str) -> Result<Self, RunAsError> {
        const PASSWD: &str = "/etc/passwd";
        const GROUP: &str = "/etc/group";
        let read = |file: &'static str| std::fs::read(file).map_err(|error| RunAsError::Unreadable(file, error.kind()));
        let passwd = String::from_utf8_lossy(&read(PASSWD)?).into_owned();
        let group = String::from_utf8_lossy(&read(GROUP).unwrap_or_default()).into_owned();
        Self::find(text, &passwd, &group, rustix::process::geteuid().as_raw())
    }

    fn find(text: &str, passwd: &str, group: &str, own: u32) -> Result<Self, RunAsError> {
        let shown = || clean(text, 80);
        let found =
            listed(text, passwd, group).or_else(|| numbers(text)).ok_or_else(|| RunAsError::Unknown(shown()))?;
        match found.uid {
            0 => Err(RunAsError::Root(shown())),
            uid if uid == own => Err(RunAsError::Own(shown())),
            _ => Ok(found),
        }
    }
}

/// Finds a user in the list of users, by name or by number.
fn listed(text: &str, passwd: &str, group: &str) -> Option<RunAs> {
    passwd.lines().find_map(|line| {
        let [name, _, uid, gid, _, home, ..] = line.split(':').collect::<Vec<_>>()[..] else { return None };
        if name.is_empty() || (name != text && uid != text) {
            return None;
        }
        let gid = gid.parse().ok()?;
        let member = |line: &str| {
            let [_, _, number, members] = line.split(':').collect::<Vec<_>>()[..] else { return None };
            let number = number.parse().ok()?;
            (number != gid && members.split(',').any(|member| member == name)).then_some(number)
        };
        let home = (!home.is_empty()).then(|| home.into());
        Some(RunAs {
            name: name.to_owned(),
            uid: uid.parse().ok()?,
            gid,
            groups: group.lines().filter_map(member).collect(),
            home,
        })
    })
}

/// Parses `UID` or `UID:GID` of a user that is not in the list.
fn numbers(text: &str) -> Option<RunAs> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    let number = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<u32>().ok())
            .flatten()
            .filter(|number| *number < u32::MAX)
    };
    Some(RunAs { name: text.to_owned(), uid: number(uid)?, gid: number(gid)?, groups: Vec::new(), home: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nkastrel:x:998:998::/var/lib/kastrel:/bin/false\nscan:x:997:996::/var/lib/scan:/bin/false\n\
                          toor:x:0:0::/:/bin/sh\nhomeless:x:995:995:::\nbroken:x:one:1::/:\n";
    const GROUP: &str = "root:x:0:\nscan:x:996:\ndocker:x:120:kastrel,scan\nvideo:x:44:scanner\nown:x:996:scan\n";

    #[test]
    fn user_is_found_by_name_and_by_number() {
        let scan =
            RunAs { name: "scan".into(), uid: 997, gid: 996, groups: vec![120], home: Some("/var/lib/scan".into()) };
        let plain = |name: &str, uid, gid| RunAs { name: name.into(), uid, gid, groups: Vec::new(), home: None };
        let unknown = |name: &str| Err(RunAsError::Unknown(name.into()));
        for (text, expected) in [
            ("scan", Ok(scan.clone())),
            ("997", Ok(scan)),
            ("homeless", Ok(plain("homeless", 995, 995))),
            ("64321", Ok(plain("64321", 64321, 64321))),
            ("64321:7", Ok(plain("64321:7", 64321, 7))),
            ("root", Err(RunAsError::Root("root".into()))),
            ("toor", Err(RunAsError::Root("toor".into()))),
            ("0", Err(RunAsError::Root("0".into()))),
            ("0:7", Err(RunAsError::Root("0:7".into()))),
            ("kastrel", Err(RunAsError::Own("kastrel".into()))),
            ("998:5", Err(RunAsError::Own("998:5".into()))),
            ("nobody-here", unknown("nobody-here")),
            ("broken", unknown("broken")),
            ("", unknown("")),
            ("+1", unknown("+1")),
            ("4294967295", unknown("4294967295")),
            ("1:2:3", unknown("1:2:3")),
        ] {
            assert_eq!(RunAs::find(text, PASSWD, GROUP, 998), expected, "{text}");
        }
    }
}
