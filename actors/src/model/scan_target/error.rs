//! The reasons why a text is not a valid target.

/// The longest target text, in characters: the longest DNS name (RFC 1035, 253) with scheme, port
/// and a short path.
pub(super) const MAX_LENGTH: usize = 280;

/// The reason why a text is not a valid target. Each text completes "the target …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The text is empty.
    #[error("is empty; enter a host, host:port or URL")]
    Empty,
    /// Longer than any host name.
    #[error("is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// The tools that get the target would read it as an option.
    #[error("cannot start with `-`")]
    LeadingDash,
    /// White space or control characters.
    #[error("contains white space or control characters")]
    Blank,
    /// User names and passwords do not belong in a target.
    #[error("contains `@`; a user name or password cannot be part of a target")]
    Credentials,
    /// Some other scheme.
    #[error("has the scheme `{0}`; only http and https are scanned")]
    Scheme(String),
    /// A scheme without its slashes.
    #[error("has a scheme without `//`; write `http://` or `https://` in front of the host")]
    Slashes,
    /// No host in one of the three forms.
    #[error("has no valid host: expected a name, an IPv4 address or an IPv6 address in brackets")]
    Host,
    /// Several colons, but no IPv6 address.
    #[error("is not a valid IPv6 address")]
    Ipv6,
    /// An IPv6 zone, which names a network interface.
    #[error("has an IPv6 zone (`%`); zones are not supported")]
    Zone,
    /// More than one address or port.
    #[error("is a range of addresses or ports; ranges are not supported: give one address for each scan")]
    Range,
    /// Brackets around an IPv4 address or a name: `[127.0.0.1]`.
    #[error("has brackets, which belong around IPv6 addresses only; remove them")]
    Brackets,
    /// More than one name.
    #[error("contains `*`; patterns are not supported: give one host for each scan")]
    Pattern,
    /// More than one target.
    #[error("contains `,`; give one target for each scan")]
    Several,
    /// Some programs read `010` as 8, others as 10.
    #[error("has a number with leading zeros, which other programs read as octal; write each number without them")]
    LeadingZeros,
    /// A hexadecimal number: `0x7f.0.0.1`.
    #[error(
        "has a hexadecimal number, which other programs read differently; write four decimal numbers, such as 192.168.1.10"
    )]
    Hexadecimal,
    /// A single number: `2130706433`.
    #[error(
        "is a single number, which other programs read as an IPv4 address; write four numbers, such as 192.168.1.10"
    )]
    SingleNumber,
    /// Fewer than four numbers: some programs read `127.1` as 127.0.0.1.
    #[error("ends like an IPv4 address but is not four numbers, such as 192.168.1.10")]
    NotFourNumbers,
    /// A number above 255: `1.2.3.256`.
    #[error("has a number above 255, so it is not an IPv4 address")]
    NumberTooLarge,
    /// A dot after the address: `127.0.0.1.`
    #[error("is an IPv4 address with a dot at its end; remove the dot")]
    DotAfterAddress,
    /// Characters that are mapped to others, such as full-width digits. Holds the mapped text.
    #[error("contains characters that other programs read differently; write `{0}`")]
    Lookalike(String),
    /// Not a valid port number.
    #[error("has an invalid port; expected 1 to 65535, without leading zeros")]
    Port,
    /// A path that tools could misread.
    #[error("has a path that is not supported; give the host, or a URL with a plain path")]
    Path,
    /// An empty path segment: `/a//b`.
    #[error("has `//` in its path, which other programs shorten; write the path that is meant")]
    EmptySegment,
    /// An invalid punycode label: `xn--a.example`.
    #[error(
        "has a part that begins with `xn--` but is not a valid internationalised name; write the name as it is spelled"
    )]
    Punycode,
    /// A dot segment: `/a/../b`.
    #[error("has `.` or `..` in its path, which other programs resolve; write the path that is meant")]
    DotSegment,
    /// A query: `?q=1`.
    #[error("has a query (`?`), which is not supported; give the host, or a URL with a plain path")]
    Query,
    /// A fragment: `#top`.
    #[error("has a fragment (`#`), which is not supported; give the host, or a URL with a plain path")]
    Fragment,
}
