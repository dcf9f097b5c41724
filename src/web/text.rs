//! Values as people read them. Templates compute nothing, so this is where it is done.

use jiff::{SignedDuration, Timestamp};

pub(crate) use crate::terminal_text::plain as clean;

/// A moment, for people and for machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MomentText {
    pub(crate) shown: String,
    pub(crate) exact: String,
}

impl From<Timestamp> for MomentText {
    fn from(at: Timestamp) -> Self {
        Self { shown: at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(), exact: format!("{at:.0}") }
    }
}

/// `0.8 s`, `42 s`, `3 min 5 s`, `2 h 7 min`, `3 d 4 h`.
pub(crate) fn duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        0 => format!("{:.1} s", duration.as_secs_f64().max(0.0)),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// `1 plugin`, `2 plugins`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// `412 bytes`, `3.4 KB`, `12.0 MB`.
pub(crate) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a size for people has two digits")]
    let of = |unit: u64| bytes as f64 / unit as f64;
    match bytes {
        0..1000 => counted(bytes, "byte", "bytes"),
        1000..1_000_000 => format!("{:.1} KB", of(1000)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", of(1_000_000)),
        _ => format!("{:.1} GB", of(1_000_000_000)),
    }
}

/// A path as it stands in an address: everything but the plainest characters is encoded.
pub(crate) fn in_url(path: &str) -> String {
    let encode = |b: u8| if b.is_ascii_alphanumeric() || b"/-._~".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    path.bytes().map(encode).collect()
}

/// A name such as `in_progress` as words.
pub(crate) fn words(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_deceive_a_reader_is_taken_out() {
        assert_eq!(clean("a\u{1b}[31mb\u{0}\r\nc\u{202e}d"), "ab\ncd");
    }

    #[test]
    fn durations_have_at_most_two_units() {
        for (milliseconds, text) in
            [(-5, "0.0 s"), (840, "0.8 s"), (42_900, "42 s"), (185_000, "3 min 5 s"), (7_620_000, "2 h 7 min"), (273_600_000, "3 d 4 h")]
        {
            assert_eq!(duration(SignedDuration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([size(1), size(999), size(3_400), size(12_000_000), size(2_500_000_000)], ["1 byte", "999 bytes", "3.4 KB", "12.0 MB", "2.5 GB"]);
    }

    #[test]
    fn moments_are_to_the_second() {
        let at = MomentText::from("2025-11-07T09:00:00.987Z".parse::<Timestamp>().unwrap());
        assert_eq!((at.shown.as_str(), at.exact.as_str()), ("2025-11-07 09:00:00 UTC", "2025-11-07T09:00:00Z"));
    }
}
