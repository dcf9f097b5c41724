//! Holds the writing rules of `docs/GLOSSARY.md`: no banned word in pages, command-line text, docs
//! and comments, and no comment line over 100 columns.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// Words and phrases that readers outside of this project must translate. The glossary lists them
/// with what to write instead.
const BANNED: [&str; 18] = [
    "lately",
    "mend",
    "mends",
    "mended",
    "whoever",
    "told",
    "tells",
    "the whole",
    "goes on",
    "at work",
    "asked for",
    "treated",
    "named no",
    "is none",
    "in vain",
    "heed",
    "heeds",
    "heeded",
];

/// The longest comment line. Tables and drawings may be longer.
const MAX_COMMENT: usize = 100;

/// Documents that quote the banned words.
const QUOTES_THEM: [&str; 2] = ["docs/GLOSSARY.md", "tests/words.rs"];

#[test]
fn pages_docs_and_comments_use_the_words_of_the_glossary() {
    let mut wrong = Vec::new();
    for file in files() {
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        let lines: Vec<(usize, String)> = match file.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => comments(&text).chain(strings(&file, &text)).collect(),
            _ => text.lines().map(str::to_owned).enumerate().collect(),
        };
        for (number, line) in lines {
            for word in banned_in(&line) {
                wrong.push(format!("{}:{}: `{word}` in: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "docs/GLOSSARY.md says what to write instead:\n{}", wrong.join("\n"));
}

#[test]
fn comment_lines_are_at_most_100_columns_wide() {
    let mut wrong = Vec::new();
    for file in files().into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        for (number, line) in comments(&text) {
            let is_drawing =
                line.contains('|') || line.trim().contains("  ") || line.contains('─') || line.contains('`');
            if line.chars().count() > MAX_COMMENT && !is_drawing && line.trim().contains(' ') {
                wrong.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn banned_words_are_found_as_whole_words_in_any_case() {
    assert_eq!(banned_in("Whoever asked   for it was told."), ["whoever", "asked for", "told"]);
    assert!(banned_in("an amendment, untold, retold_by, `is_none`, the wholesale").is_empty());
    let text = "/// Says.\n// Why.\nfn a() { println!(\"He is told {x}\"); }\n#[cfg(test)]\nmod tests { const A: &str = \"told\"; }\n";
    let found: Vec<String> = comments(text).chain(strings(Path::new("a.rs"), text)).map(|(_, line)| line).collect();
    assert_eq!(found.iter().filter(|line| !banned_in(line).is_empty()).count(), 1, "{found:?}");
}

/// The banned words of a line.
fn banned_in(line: &str) -> Vec<&'static str> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    // Code between backticks is no text.
    let line = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
    let words: Vec<String> =
        line.split(|c: char| !is_part(c)).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let holds = |phrase: &&&str| {
        let wanted: Vec<&str> = phrase.split(' ').collect();
        words.windows(wanted.len()).any(|found| found.iter().zip(&wanted).all(|(found, wanted)| found == wanted))
    };
    let mut found: Vec<&'static str> = BANNED.iter().filter(holds).copied().collect();
    found.sort_by_key(|word| words.iter().position(|one| one == word.split(' ').next().unwrap()));
    found
}

/// The lines that are comments, with their numbers from 0.
fn comments(text: &str) -> impl Iterator<Item = (usize, String)> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.trim_start().starts_with("//"))
        .map(|(at, line)| (at, line.to_owned()))
}

/// The string literals of production code: messages, labels and help texts. Their line is not known.
fn strings(file: &Path, text: &str) -> impl Iterator<Item = (usize, String)> {
    let is_test =
        ["tests", "benches", "testing", "examples"].iter().any(|folder| file.iter().any(|part| part == *folder))
            || file.to_string_lossy().ends_with("tests.rs")
            || file.ends_with("testing.rs");
    let mut strings = Strings(Vec::new());
    if !is_test {
        strings.visit_file(&syn::parse_file(text).unwrap());
    }
    strings.0.into_iter().map(|text| (0, text))
}

struct Strings(Vec<String>);

impl<'ast> Visit<'ast> for Strings {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test = item.attrs.iter().any(|attribute| {
            matches!(&attribute.meta, syn::Meta::List(list) if list.path.is_ident("cfg") && list.tokens.to_string().contains("test"))
        });
        if !is_test {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        // Doc comments are comments.
        if !attribute.path().is_ident("doc") {
            visit::visit_attribute(self, attribute);
        }
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.0.push(text.value());
    }

    /// The tokens of a macro are not parsed: takes what stands between quotation marks.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let tokens = call.tokens.to_string();
        self.0.extend(tokens.split('"').skip(1).step_by(2).map(str::to_owned));
    }
}

/// The files that people read, relative to the repository.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> =
        ["actors", "benches", "docs", "findings", "observability", "protocol", "scanner", "src", "templates", "tests"]
            .iter()
            .map(|folder| root().join(folder))
            .collect();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // Fixtures are recorded from other programs.
                if !path.ends_with("fixtures") && !path.ends_with("snapshots") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|extension| ["rs", "md", "html"].iter().any(|one| extension == *one))
            {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(PathBuf::from));
    found.retain(|file| !QUOTES_THEM.iter().any(|quoting| file == Path::new(quoting)));
    found.sort();
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
