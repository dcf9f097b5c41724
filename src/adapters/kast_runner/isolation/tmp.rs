//! Decides whether an attempt can have its own `/tmp`.

use std::path::Path;

/// The folder that is replaced for an attempt.
const TMP: &str = "/tmp";

/// Returns true if none of the needed paths is in the machine's `/tmp`, which the attempt's own
/// `/tmp` hides. The paths must be absolute.
pub(in super::super) fn may_be_private<'a>(needed: impl IntoIterator<Item = &'a Path>) -> bool {
    needed.into_iter().all(|path| !path.starts_with(TMP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_tmp_is_refused_if_it_hides_a_needed_path() {
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
