//! The limits of reading. A scanned site chooses most of what a reader reads, so every list, text
//! and file has one. What a limit removes is in the [notes](crate::ReadNotes).

/// The limit for a file in bytes. A longer file is not read: it is not the result of a plugin.
pub const MOST_FILE_BYTES: usize = 128 << 20;
/// The limit for the values of a file that are kept.
pub const MOST_VALUES: usize = 400_000;
/// The limit for the elements of one list, and for the members of one object.
pub const MOST_ELEMENTS: usize = 100_000;
/// The limit for the nesting of values.
pub const MOST_DEPTH: usize = 48;
/// The limit for one text of a file in bytes.
pub const MOST_TEXT_BYTES: usize = 16 << 10;
/// The limit for all texts of a file in bytes.
pub const MOST_TEXTS_BYTES: usize = 48 << 20;
/// The limit for a key in bytes.
pub const MOST_KEY_BYTES: usize = 256;

/// The limit for the sightings of one plugin in one scan.
pub const MOST_SIGHTINGS: usize = 10_000;
/// The limit for the assets of one plugin in one scan.
pub const MOST_ASSETS: usize = 20_000;
/// The limit for an issue key in characters.
pub const MOST_KEY_CHARS: usize = 160;
/// The limit for a title in characters.
pub const MOST_TITLE_CHARS: usize = 200;
/// The limit for evidence in characters.
pub const MOST_EVIDENCE_CHARS: usize = 1_000;
/// The limit for one attribute or reference in characters.
pub const MOST_ATTRIBUTE_CHARS: usize = 300;
/// The limit for the attributes of a sighting or an asset.
pub const MOST_ATTRIBUTES: usize = 12;
/// The limit for the references of a sighting.
pub const MOST_REFERENCES: usize = 12;
/// The limit for a description or a remediation of the registry in characters.
pub const MOST_PROSE_CHARS: usize = 4_000;
/// The limit for the entries of the registry.
pub const MOST_REGISTRY_ENTRIES: usize = 5_000;
/// The limit for the members of a finding that are listed. All are counted.
pub const MOST_MEMBERS: usize = 200;
