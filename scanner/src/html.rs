//! An HTML writer that escapes all text except the program's own markup.

/// A page under construction. Only `'static` text is added without escaping, so text from a site
/// cannot become markup.
#[derive(Debug, Default)]
pub(crate) struct Html(String);

impl Html {
    /// Appends markup of the program itself.
    pub(crate) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Appends any text, escaped for element content and for double-quoted attributes.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                // Control characters and bidirectional formatting characters can change how a line
                // reads.
                c if c.is_control()
                    || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
                {
                    self.0.push('\u{fffd}');
                }
                c => self.0.push(c),
            }
        }
        self
    }

    /// Appends the program's own prose, in which backticks mark code.
    pub(crate) fn prose(&mut self, text: &'static str) -> &mut Self {
        for (at, part) in text.split('`').enumerate() {
            if at % 2 == 1 {
                self.raw("<code>").text(part).raw("</code>");
            } else {
                self.text(part);
            }
        }
        self
    }

    /// Returns the page.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_backticks_become_code_elements() {
        let mut html = Html::default();
        html.prose("Send `<a>` now.");
        assert_eq!(html.finish(), "Send <code>&lt;a&gt;</code> now.");
    }

    #[test]
    fn hostile_text_is_escaped() {
        let mut html = Html::default();
        html.raw("<p title=\"").text("\"><script>alert('1')</script>&\u{1b}[31m\u{202e}\0").raw("\">");
        assert_eq!(
            html.finish(),
            "<p title=\"&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;\u{fffd}[31m\u{fffd}\u{fffd}\">"
        );
    }
}
