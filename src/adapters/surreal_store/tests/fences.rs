//! Tests that every statement that writes is a transaction, because only a transaction gets the
//! check of the schema version ([`fenced`](super::super::steps::fenced)).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use syn::parse::Parser as _;
use syn::punctuated::Punctuated;
use syn::visit::Visit;
use syn::{Attribute, Expr, ExprLit, ItemMacro, ItemMod, Lit, Macro, Token};

/// The words that begin a write.
const WRITES: [&str; 6] = ["CREATE", "UPSERT", "UPDATE", "DELETE", "INSERT", "RELATE"];

/// Files whose statements do not pass the check, and the reason.
const UNFENCED: [(&str, &str); 1] = [(
    "server_engine.rs",
    "its statements run within transactions of the protocol, on a row of their own, right after the schema was checked",
)];

/// The texts of the statements in one file, put together where they consist of several literals.
struct Statements<'a> {
    /// The texts of the macros of all files.
    macros: &'a BTreeMap<String, String>,
    found: Vec<String>,
}

impl Statements<'_> {
    fn text(&self, expression: &Expr) -> String {
        match expression {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => text.value(),
            Expr::Macro(nested) => self.expanded(&nested.mac),
            other => {
                let mut inner = Statements { macros: self.macros, found: Vec::new() };
                inner.visit_expr(other);
                inner.found.join(" ")
            }
        }
    }

    fn expanded(&self, call: &Macro) -> String {
        let name = call.path.segments.last().unwrap().ident.to_string();
        let parts = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(call.tokens.clone());
        let parts: String = parts.into_iter().flatten().map(|part| self.text(&part)).collect();
        match self.macros.get(&name) {
            Some(body) => format!("{body} {parts}"),
            None => parts,
        }
    }
}

impl<'ast> Visit<'ast> for Statements<'_> {
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !module.attrs.iter().any(|attribute| attribute.path().is_ident("cfg")) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_macro(&mut self, _: &'ast ItemMacro) {}

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.found.push(self.expanded(call));
    }

    fn visit_expr_lit(&mut self, literal: &'ast ExprLit) {
        if let Lit::Str(text) = &literal.lit {
            self.found.push(text.value());
        }
    }
}

/// The bodies of `macro_rules!`, from their first text on.
#[derive(Default)]
struct Macros(BTreeMap<String, String>);

impl<'ast> Visit<'ast> for Macros {
    fn visit_item_macro(&mut self, item: &'ast ItemMacro) {
        let Some(name) = &item.ident else { return };
        let body = item.mac.tokens.to_string();
        let begin = body.find('"').map_or(body.len(), |at| at + 1);
        self.0.insert(name.to_string(), body[begin..].to_owned());
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// True if a text has a statement that writes. `FOR UPDATE` belongs to a read.
fn writes(text: &str) -> bool {
    let text = text.replace("FOR UPDATE", "");
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| WRITES.contains(&word))
}

/// The statements in `source` that write without a transaction.
fn unfenced(source: &syn::File, macros: &BTreeMap<String, String>) -> (usize, Vec<String>) {
    let mut statements = Statements { macros, found: Vec::new() };
    statements.visit_file(source);
    let found: Vec<String> = statements.found.into_iter().filter(|text| writes(text)).collect();
    (found.len(), found.into_iter().filter(|text| !text.trim_start().starts_with("BEGIN;")).collect())
}

#[test]
fn every_statement_that_writes_is_a_fenced_transaction() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/adapters/surreal_store");
    let parsed: Vec<(String, syn::File)> = files(&folder)
        .into_iter()
        .map(|path| (path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned(), path))
        .filter(|(name, _)| name != "tests.rs" && !name.starts_with("tests/"))
        .map(|(name, path)| (name, syn::parse_file(&std::fs::read_to_string(path).unwrap()).unwrap()))
        .collect();
    let mut macros = Macros::default();
    parsed.iter().for_each(|(_, file)| macros.visit_file(file));
    let mut number = 0;
    for (name, file) in &parsed {
        let (writes, unfenced) = unfenced(file, &macros.0);
        number += writes;
        let is_excused = UNFENCED.iter().any(|(file, _)| file == name);
        assert_eq!(
            unfenced.is_empty(),
            !is_excused,
            "{name} writes without `BEGIN;`, which has no check: {unfenced:#?}"
        );
    }
    assert!(number > 30, "the statements are found: {number}");
}

#[test]
fn write_without_a_transaction_is_found() {
    let macros = BTreeMap::from([("write_row".to_owned(), "UPSERT $key SET a = 1".to_owned())]);
    for (source, expected) in [
        (r#"const A: &str = "UPSERT a:1 SET b = 2;";"#, 1),
        (r#"const A: &str = concat!("LET $a = 1;", write_row!(), "RETURN 1;");"#, 1),
        (r#"const A: &str = write_row!();"#, 1),
        (r#"fn a() { run(format!("DELETE {name};")); }"#, 1),
        (r#"const A: &str = concat!("BEGIN; LET $a = 1;", write_row!(), "COMMIT;");"#, 0),
        (r#"const A: &str = "RETURN { a: (SELECT * FROM ONLY a:1 FOR UPDATE) };";"#, 0),
        (r#"#[cfg(test)] mod tests { const A: &str = "DELETE a;"; }"#, 0),
    ] {
        assert_eq!(unfenced(&syn::parse_str(source).unwrap(), &macros).1.len(), expected, "{source}");
    }
}
