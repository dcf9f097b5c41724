//! The media types with which files are served and stored. Only the file name decides: the program
//! ignores any type that a scanner or a scanned site claims.

/// How a browser handles a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentKind {
    /// The media type.
    pub media_type: &'static str,
    /// True if a browser may show the file in a sandbox; otherwise the browser downloads it.
    pub inline: bool,
}

/// The type of a file, by the extension of its name.
#[must_use]
pub fn content_kind(path: &str) -> ContentKind {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let (media_type, inline) = match extension.as_deref() {
        Some("html" | "htm") => ("text/html; charset=utf-8", true),
        Some("css") => ("text/css; charset=utf-8", true),
        Some("txt" | "log" | "json" | "jsonl" | "md" | "csv" | "tsv" | "yaml" | "yml") => {
            ("text/plain; charset=utf-8", true)
        }
        Some("png") => ("image/png", true),
        Some("jpg" | "jpeg") => ("image/jpeg", true),
        Some("gif") => ("image/gif", true),
        Some("webp") => ("image/webp", true),
        Some("svg") => ("image/svg+xml", true),
        Some("pdf") => ("application/pdf", false),
        _ => ("application/octet-stream", false),
    };
    ContentKind { media_type, inline }
}
