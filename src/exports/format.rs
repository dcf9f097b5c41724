//! The formats of exports.

use std::str::FromStr;

/// A format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// SARIF 2.1.0.
    Sarif,
    /// `JUnit` XML.
    Junit,
    /// CSV that is safe for spreadsheets.
    Csv,
    /// JSON Lines.
    JsonLines,
    /// One JSON document.
    Json,
    /// Commands of GitHub's runner, which shows them as annotations.
    Github,
    /// OpenVEX 0.2.0.
    OpenVex,
}

/// The text is no format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected one of csv, github, json, jsonl, junit, openvex, sarif")]
pub struct UnknownFormat;

impl Format {
    /// The formats of one scan.
    pub const OF_SCANS: [Self; 6] = [Self::Csv, Self::Github, Self::Json, Self::JsonLines, Self::Junit, Self::Sarif];
    /// The formats of findings of many targets.
    pub const OF_FINDINGS: [Self; 4] = [Self::Csv, Self::JsonLines, Self::OpenVex, Self::Sarif];
    /// The formats that `kastrel scan --format` writes at the end.
    pub const OF_COMMAND: [Self; 4] = [Self::Github, Self::Json, Self::Junit, Self::Sarif];

    /// Returns the name in queries and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sarif => "sarif",
            Self::Junit => "junit",
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            Self::Json => "json",
            Self::Github => "github",
            Self::OpenVex => "openvex",
        }
    }

    /// Returns the media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Sarif => "application/sarif+json",
            Self::Junit => "application/xml",
            Self::Csv => "text/csv; charset=utf-8",
            Self::JsonLines => "application/x-ndjson",
            Self::Json => "application/json",
            Self::Github => "text/plain; charset=utf-8",
            // The registered type of VEX documents is a profile of JSON.
            Self::OpenVex => "application/json",
        }
    }

    /// Returns the end of a file name.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Sarif => "sarif",
            Self::Junit => "xml",
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            Self::Json => "json",
            Self::Github => "txt",
            Self::OpenVex => "openvex.json",
        }
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let all = [Self::Sarif, Self::Junit, Self::Csv, Self::JsonLines, Self::Json, Self::Github, Self::OpenVex];
        all.into_iter().find(|format| format.name() == text).ok_or(UnknownFormat)
    }
}
