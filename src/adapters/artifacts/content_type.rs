//! The type under which a file is served and stored. Ours to say: what a scanner or a scanned site
//! says of a file counts for nothing.

/// What a browser is told of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentKind {
    /// The media type.
    pub media_type: &'static str,
    /// Whether a browser may show it, sandboxed; it is a download otherwise.
    pub inline: bool,
}

/// The type of a file by its name.
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
