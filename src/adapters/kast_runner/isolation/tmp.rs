//! Whether an attempt can have a `/tmp` of its own.

use std::path::Path;

/// The folder that an attempt gets its own of.
const TMP: &str = "/tmp";

/// Whether nothing that the scanner needs lies in the machine's `/tmp`, which its own would hide.
/// The paths are absolute.
pub(in super::super) fn may_be_private<'a>(needed: impl IntoIterator<Item = &'a Path>) -> bool {
    needed.into_iter().all(|path| !path.starts_with(TMP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_needed_is_hidden() {
        for (paths, expected) in [
            (&["/var/lib/kastrel/results", "/usr/bin/kast"][..], true),
            (&[], true),
            (&["/usr/bin/kast", "/tmp/results"], false),
            (&["/tmp"], false),
            (&["/tmpfs/kast", "/var/tmp/results"], true),
        ] {
            assert_eq!(may_be_private(paths.iter().map(Path::new)), expected, "{paths:?}");
        }
    }
}
