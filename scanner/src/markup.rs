//! Reads the start tags of a page in one pass and in bounded memory.
//!
//! A tree-building parser takes time and memory that grow at least with the square of the depth of
//! a hostile page. The checks only need start tags with their attributes. So this module reads a
//! page as the tokenizer of the HTML standard (13.2.5) does, and tracks only the state that changes
//! how text is read: raw text, scripts, templates, foreign content and the end of the head.

/// The elements that checks use. Other elements are read and dropped.
const KEPT: [&str; 9] = ["base", "embed", "frame", "iframe", "link", "meta", "object", "script", "style"];

/// The limit for the elements of one page. Real pages have some hundreds.
const MAX_ELEMENTS: usize = 5000;

/// The limit for the text of one style sheet, in bytes. Its imports are at its beginning.
const MAX_STYLE_BYTES: usize = 64 * 1024;

/// The limit for the attributes of one element.
const MAX_ATTRIBUTES: usize = 64;

/// One start tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The name, in lower case.
    pub name: &'static str,
    /// True if the element belongs to the head of the document.
    pub in_head: bool,
    /// True if the element is inside SVG or MathML.
    pub in_foreign: bool,
    /// The beginning of the text of a `style` element.
    pub text: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    /// Returns the value of an attribute, by its name in lower case.
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Returns true if the value of an attribute is this word, in any case.
    #[must_use]
    pub fn is(&self, name: &str, word: &str) -> bool {
        self.attr(name).is_some_and(|value| value.eq_ignore_ascii_case(word))
    }
}

/// Returns the elements of a page in order: at most 5,000, of the kinds that load something, set a
/// policy or name software.
#[must_use]
pub fn elements(html: &str) -> Vec<Element> {
    let mut reader =
        Reader { bytes: html.as_bytes(), html, at: 0, in_head: true, templates: 0, foreign: 0, found: Vec::new() };
    reader.read();
    reader.found
}

struct Reader<'a> {
    html: &'a str,
    bytes: &'a [u8],
    at: usize,
    in_head: bool,
    templates: usize,
    foreign: usize,
    found: Vec<Element>,
}

/// A tag as read. The element keeps the attributes only if the element itself is kept.
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
    self_closing: bool,
}

impl Reader<'_> {
    fn read(&mut self) {
        while self.found.len() < MAX_ELEMENTS {
            let text_start = self.at;
            let Some(open) = self.find(b"<") else { return };
            if self.templates == 0 && self.bytes[text_start..open].iter().any(|byte| !is_white(*byte)) {
                self.in_head = false;
            }
            self.at = open + 1;
            match self.bytes.get(self.at) {
                Some(b'!') => self.skip_declaration(),
                Some(b'?') => self.skip_past(b">"),
                Some(b'/') => match self.bytes.get(self.at + 1) {
                    Some(byte) if byte.is_ascii_alphabetic() => {
                        self.at += 1;
                        let Some(tag) = self.tag() else { return };
                        self.end(&tag.name);
                    }
                    _ => self.skip_past(b">"),
                },
                Some(byte) if byte.is_ascii_alphabetic() => {
                    let Some(tag) = self.tag() else { return };
                    self.start(tag);
                }
                _ => self.in_head = self.in_head && self.templates > 0,
            }
        }
    }

    fn find(&self, needle: &[u8]) -> Option<usize> {
        let rest = self.bytes.get(self.at..)?;
        rest.windows(needle.len()).position(|window| window == needle).map(|found| self.at + found)
    }

    fn skip_past(&mut self, needle: &[u8]) {
        self.at = self.find(needle).map_or(self.bytes.len(), |found| found + needle.len());
    }

    /// Skips comments, the document type, and constructs that browsers read as comments.
    fn skip_declaration(&mut self) {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(b"!--") {
            self.at += 3;
            let rest = &self.bytes[self.at..];
            // `<!-->` and `<!--->` are complete comments.
            let whole = if rest.starts_with(b">") {
                Some(1)
            } else if rest.starts_with(b"->") {
                Some(2)
            } else {
                None
            };
            if let Some(length) = whole {
                self.at += length;
                return;
            }
            while let Some(dashes) = self.find(b"--") {
                self.at = dashes + 1;
                match &self.bytes[dashes + 2..] {
                    [b'>', ..] => return self.at = dashes + 3,
                    [b'!', b'>', ..] => return self.at = dashes + 4,
                    _ => {}
                }
            }
            self.at = self.bytes.len();
        } else if self.foreign > 0 && rest.starts_with(b"![CDATA[") {
            self.skip_past(b"]]>");
        } else {
            self.skip_past(b">");
        }
    }

    /// Reads a tag whose name begins here. Returns `None` at the end of the page, which drops an
    /// unfinished tag.
    fn tag(&mut self) -> Option<Tag> {
        let name_start = self.at;
        while !matches!(self.peek()?, b'/' | b'>') && !is_white(self.peek()?) {
            self.at += 1;
        }
        let name = self.html[name_start..self.at].to_ascii_lowercase();
        let keeps = KEPT.contains(&name.as_str());
        let mut tag = Tag { name, attributes: Vec::new(), self_closing: false };
        loop {
            while is_white(self.peek()?) || self.peek()? == b'/' {
                tag.self_closing = self.peek()? == b'/';
                self.at += 1;
            }
            if self.peek()? == b'>' {
                self.at += 1;
                return Some(tag);
            }
            tag.self_closing = false;
            let (name, value) = self.attribute()?;
            if keeps && tag.attributes.len() < MAX_ATTRIBUTES {
                let name = self.html[name.0..name.1].to_ascii_lowercase();
                // If two attributes have the same name, the first one counts.
                if !tag.attributes.iter().any(|(other, _)| *other == name) {
                    tag.attributes.push((name, unescape(&self.html[value.0..value.1])));
                }
            }
        }
    }

    /// Reads one attribute and returns the positions of its name and its value.
    fn attribute(&mut self) -> Option<((usize, usize), (usize, usize))> {
        let start = self.at;
        // An equals sign at the beginning belongs to the name.
        self.at += 1;
        while !matches!(self.peek()?, b'/' | b'>' | b'=') && !is_white(self.peek()?) {
            self.at += 1;
        }
        let name = (start, self.at);
        while is_white(self.peek()?) {
            self.at += 1;
        }
        if self.peek()? != b'=' {
            return Some((name, (start, start)));
        }
        self.at += 1;
        while is_white(self.peek()?) {
            self.at += 1;
        }
        match self.peek()? {
            quote @ (b'"' | b'\'') => {
                self.at += 1;
                let start = self.at;
                let end = self.find(&[quote])?;
                self.at = end + 1;
                Some((name, (start, end)))
            }
            b'>' => Some((name, (start, start))),
            _ => {
                let start = self.at;
                while self.peek()? != b'>' && !is_white(self.peek()?) {
                    self.at += 1;
                }
                Some((name, (start, self.at)))
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn start(&mut self, tag: Tag) {
        let name = tag.name.as_str();
        if self.foreign > 0 && leaves_foreign(name) {
            self.foreign = 0;
        }
        if self.templates == 0 && !belongs_to_head(name) {
            self.in_head = false;
        }
        if let Some(kept) = KEPT.iter().find(|kept| **kept == name && self.templates == 0) {
            let text = if *kept == "style" { self.style_text() } else { String::new() };
            self.found.push(Element {
                name: kept,
                in_head: self.in_head,
                in_foreign: self.foreign > 0,
                text,
                attributes: tag.attributes,
            });
        }
        if matches!(name, "svg" | "math") || self.foreign > 0 {
            // Inside foreign content all elements nest the same way, so only the outermost elements
            // are counted.
            self.foreign += usize::from(matches!(name, "svg" | "math") && !tag.self_closing);
            return;
        }
        match name {
            "template" => self.templates += 1,
            "script" => self.skip_script(),
            "style" | "xmp" | "iframe" | "noembed" | "noframes" | "noscript" | "textarea" | "title" => {
                self.skip_raw(name);
            }
            "plaintext" => self.at = self.bytes.len(),
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "template" => self.templates = self.templates.saturating_sub(1),
            "svg" | "math" => self.foreign = self.foreign.saturating_sub(1),
            "body" | "html" | "br" if self.templates == 0 => self.in_head = false,
            _ => {}
        }
    }

    /// Returns the beginning of the style sheet that begins here. In SVG the text of a style sheet
    /// is read as markup, so the style sheet ends at the next tag.
    fn style_text(&self) -> String {
        let rest = &self.bytes[self.at..];
        let rest = &rest[..rest.len().min(MAX_STYLE_BYTES)];
        let is_end = |window: &[u8]| window == b"</" || (self.foreign > 0 && window[0] == b'<' && window[1] != b'!');
        let end = rest.windows(2).position(is_end).unwrap_or(rest.len());
        String::from_utf8_lossy(&rest[..end]).into_owned()
    }

    /// Skips text up to `</name` and a delimiter. The reader reads the end tag next.
    fn skip_raw(&mut self, name: &str) {
        while let Some(close) = self.find(b"</") {
            if self.has_name(close + 2, name) {
                self.at = close;
                return;
            }
            self.at = close + 2;
        }
        self.at = self.bytes.len();
    }

    fn has_name(&self, at: usize, name: &str) -> bool {
        let end = at + name.len();
        self.bytes.get(at..end).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
            && self.bytes.get(end).is_some_and(|byte| is_white(*byte) || matches!(byte, b'/' | b'>'))
    }

    /// Skips a script, in which `<!--` and `<script` hide end tags (13.2.5.15 to 13.2.5.31).
    fn skip_script(&mut self) {
        #[derive(PartialEq, Eq)]
        enum Text {
            Plain,
            Escaped,
            DoubleEscaped,
        }
        let mut text = Text::Plain;
        while self.at < self.bytes.len() {
            let rest = &self.bytes[self.at..];
            match rest[0] {
                b'-' if text != Text::Plain && rest.starts_with(b"-->") => text = Text::Plain,
                // The two dashes stay, because `<!-->` is a complete comment.
                b'<' if text == Text::Plain && rest.starts_with(b"<!--") => {
                    text = Text::Escaped;
                    self.at += 1;
                }
                b'<' if rest.starts_with(b"</") && self.has_name(self.at + 2, "script") => {
                    if text != Text::DoubleEscaped {
                        return;
                    }
                    text = Text::Escaped;
                }
                b'<' if text == Text::Escaped && self.has_name(self.at + 1, "script") => text = Text::DoubleEscaped,
                _ => {}
            }
            self.at += 1;
        }
    }
}

const fn is_white(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

/// Returns true for the elements that do not end the head (HTML, 13.2.6.4.4 and 13.2.6.4.6).
fn belongs_to_head(name: &str) -> bool {
    matches!(
        name,
        "html"
            | "head"
            | "base"
            | "basefont"
            | "bgsound"
            | "link"
            | "meta"
            | "noframes"
            | "script"
            | "style"
            | "template"
            | "title"
            | "noscript"
    )
}

/// Returns true for the elements that end SVG and MathML at any depth (HTML, 13.2.6.5).
fn leaves_foreign(name: &str) -> bool {
    const NAMES: [&str; 44] = [
        "b",
        "big",
        "blockquote",
        "body",
        "br",
        "center",
        "code",
        "dd",
        "div",
        "dl",
        "dt",
        "em",
        "embed",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "head",
        "hr",
        "i",
        "img",
        "li",
        "listing",
        "menu",
        "meta",
        "nobr",
        "ol",
        "p",
        "pre",
        "ruby",
        "s",
        "small",
        "span",
        "strong",
        "strike",
        "sub",
        "sup",
        "table",
        "tt",
        "u",
        "ul",
        "var",
    ];
    NAMES.contains(&name)
}

/// Replaces the character references that occur in addresses: numeric ones, and the five names that
/// XML also has.
fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        match reference(rest) {
            Some((character, length)) => {
                text.push(character);
                rest = &rest[length..];
            }
            None => {
                text.push('&');
                rest = &rest[1..];
            }
        }
    }
    text.push_str(rest);
    text
}

/// Returns the character reference at the beginning of `text`, and its length.
fn reference(text: &str) -> Option<(char, usize)> {
    const NAMES: [(&str, char); 5] = [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&quot;", '"'), ("&apos;", '\'')];
    if let Some((name, character)) = NAMES.iter().find(|(name, _)| text.starts_with(name)) {
        return Some((*character, name.len()));
    }
    let digits = text.strip_prefix("&#")?;
    let (digits, radix, before) = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16, 3),
        None => (digits, 10, 2),
    };
    let count = digits.bytes().take_while(|byte| char::from(*byte).is_digit(radix)).count();
    if count == 0 {
        return None;
    }
    let number = u32::from_str_radix(&digits[..count], radix).unwrap_or(u32::MAX);
    let character =
        char::from_u32(number).filter(|character| *character != '\0').unwrap_or(char::REPLACEMENT_CHARACTER);
    Some((character, before + count + usize::from(digits[count..].starts_with(';'))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use tokio::time::Instant;

    /// Returns the elements as a parser of the HTML standard reads them: names and attributes in
    /// document order.
    fn by_the_standard(html: &str) -> Vec<(String, Vec<(String, String)>)> {
        let document = scraper::Html::parse_document(html);
        let all = scraper::Selector::parse("base, embed, frame, iframe, link, meta, object, script, style").unwrap();
        let read = |element: scraper::ElementRef<'_>| {
            let mut attributes: Vec<_> =
                element.value().attrs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            attributes.sort();
            (element.value().name().to_owned(), attributes)
        };
        document.select(&all).map(read).collect()
    }

    fn ours(html: &str) -> Vec<(String, Vec<(String, String)>)> {
        let read = |element: Element| {
            let mut attributes = element.attributes;
            attributes.sort();
            (element.name.to_owned(), attributes)
        };
        elements(html).into_iter().map(read).collect()
    }

    #[test]
    fn tags_match_a_parser_of_the_html_standard() {
        for html in [
            "",
            "<",
            "<script",
            "<script src=x",
            "<script src='x",
            "<script src=x></script>",
            "<SCRIPT SRC = \"x\"\n defer async=></SCRIPT ><link>",
            "<script src=a src=b x/y=1 =z></script>",
            "<script/src=x/></script><link/>",
            "<link href='a?b=1&amp;c=2&#x26;d&#38e&f=&#0;'>",
            "<!-- <script src=x></script> --><link>",
            "<!--><link><!---><link><!-- --!><link><!-- -- > <link> --><link>",
            "<!-- <link>",
            "<!doctype html><? <link> ><link></3 <link>><link></><link>",
            "<script>'<link>' // </scriptx> </script><link>",
            "<script><!-- <script> </script> <link> --> </script><link>",
            "<script><!--></script><link><script><!-- x --> <script> </script><link>",
            "<script><!-- <script></script></script><link>",
            "<title><link></title><link><textarea><link></textarea><style><link></style><link>",
            "<style></STYLE/><link><xmp></xm><link></xmp><meta>",
            "<noscript><link></noscript><iframe src=x><link></iframe><link>",
            "<svg><style><link/></style><title>x</title></svg><link>",
            "<svg><![CDATA[ <link> ]]></svg><![CDATA[ <link> ]]><link>",
            "<svg><p><style><link></style><link>",
            "a < b <3 <link>",
            "<p title='<link>'><p title=<link><meta content=\"'\"><meta content='\"'>",
            "<plaintext><link>",
            "<a <link><meta>",
            "<meta\u{c}name=a><meta\r\nname=b><mEtA NAME=c CoNtEnT=\"ÄÖ\">",
            "<embed src=x><object data=y></object><body><base href=z>",
        ] {
            assert_eq!(ours(html), by_the_standard(html), "{html}");
        }
    }

    #[test]
    fn style_sheets_keep_the_beginning_of_their_text() {
        for (html, expected) in [
            ("<style>a{}</style>", "a{}"),
            ("<style>a<b{}</STYLE>", "a<b{}"),
            ("<style>", ""),
            ("<style>x", "x"),
            ("<svg><style>a{}</style></svg>", "a{}"),
            ("<svg><style>a{}<g/>b</style></svg>", "a{}"),
            ("<svg><style><![CDATA[a{}]]></style></svg>", "<![CDATA[a{}]]>"),
        ] {
            assert_eq!(elements(html)[0].text, expected, "{html}");
        }
        let found = elements("<script></script><svg><script></script></svg><script></script>");
        assert_eq!(found.iter().map(|element| element.in_foreign).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(elements(&format!("<style>{}", "a".repeat(100_000)))[0].text.len(), MAX_STYLE_BYTES);
    }

    #[test]
    fn template_content_is_not_loaded() {
        let names: Vec<_> = elements("<template><script></script><template><link></template><meta></template><link>")
            .iter()
            .map(|one| one.name)
            .collect();
        assert_eq!(names, ["link"]);
    }

    #[test]
    fn head_ends_where_the_html_standard_says() {
        for (html, expected) in [
            ("<meta>", true),
            ("<html><head><title>x</title><script>1</script><meta>", true),
            ("<head></head> <meta>", true),
            ("<head></head><body><meta>", false),
            ("<head>text<meta>", false),
            ("<p><meta>", false),
            ("</body><meta>", false),
            ("<!-- text --><!doctype html>\n<style>p{}</style><meta>", true),
            ("<template><p>x</p></template><meta>", true),
            ("<noscript>x</noscript><meta>", true),
            ("<svg></svg><meta>", false),
            ("< <meta>", false),
        ] {
            let found = elements(html).into_iter().find(|element| element.name == "meta").unwrap();
            assert_eq!(found.in_head, expected, "{html}");
        }
    }

    #[test]
    fn hostile_page_is_read_in_linear_time() {
        let fill = |part: &str| part.repeat(512 * 1024 / part.len());
        let numbered: String = (0..40_000).map(|n| format!("<b a={n}><p>x")).collect();
        let attributes = format!("<script {}>", (0..60_000).map(|n| format!("a{n}=1 ")).collect::<String>());
        let started = Instant::now();
        for page in [
            fill("<div>"),
            fill("<b><i>"),
            fill("<svg>"),
            fill("<template>"),
            fill("<"),
            fill("</"),
            fill("<!-"),
            fill("<!--"),
            fill("--"),
            fill("<script>"),
            fill("<script><!--<script>"),
            fill("<a b='"),
            fill("&#"),
            fill("<link href=x>"),
            fill("<style>"),
            fill("<style></style>"),
            fill("<svg><style>"),
            format!("<svg>{}", fill("<style>")),
            format!("<link href='{}'>", fill("&")),
            format!("<!--{}", fill("--")),
            format!("<title>{}", fill("</titl")),
            numbered,
            attributes,
        ] {
            assert!(elements(&page).len() <= MAX_ELEMENTS);
        }
        // About two dozen pages of half a megabyte. A tree-building parser needs minutes for one of
        // them.
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }
}
