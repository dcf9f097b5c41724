//! Generators of hostile documents.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

/// Keys that readers look for, so that arbitrary documents reach their code.
const KEYS: &[&str] = &[
    "findings",
    "results",
    "issues",
    "disposition",
    "error",
    "tests",
    "passed",
    "failed",
    "pass",
    "result",
    "scanResult",
    "protocols",
    "vulnerabilities",
    "cipherTests",
    "serverDefaults",
    "id",
    "severity",
    "finding",
    "targetHost",
    "port",
    "site",
    "alerts",
    "instances",
    "uri",
    "url",
    "param",
    "pluginid",
    "name",
    "riskcode",
    "count",
    "cors_findings",
    "jsonp_findings",
    "paths_tested",
    "issue_type",
    "urls",
    "found",
    "confidence",
    "scripts",
    "is_cross_origin",
    "vulnerable_libraries",
    "plugins",
    "version",
    "detected",
    "firewall",
    "host",
    "live_hosts",
    "dead_hosts",
    "ports",
    "discovered_domains",
    "domain",
    "shodan_exposure",
    "ip",
    "detections",
    "platform",
    "issue",
    "location",
    "evidence",
    "title",
    "details",
    "executive_summary",
    "description",
];

const WORDS: &[&str] = &[
    "https://shop.example/a/1?b=c#d",
    "shop.example:443",
    "sid at https://shop.example/",
    "exposed_admin_panel",
    "whatweb-eol-technology",
    "End-of-life technologies detected: ; PHP 5",
    "cipher-tls1_2_xc028",
    "cipher-",
    "TLS1",
    "HIGH",
    "offered",
    "[GET] https://x [depth:",
    "[a] ",
    "fail",
    "success",
    "No WAF Detected",
    "Name [High]",
    "[High]",
    " <cert#",
    "cert_notAfter",
    "cert_notAfter <cert#999>",
    "2027-02-30 99:99",
    "technology_detected",
    "/",
    " v1",
    "endpoint(s)\n - ://",
    "\u{1b}[31m",
    "\u{202e}",
    "10010",
    "",
];

pub(super) fn hostile() -> impl Strategy<Value = Value> {
    let key = || prop_oneof![9 => proptest::sample::select(KEYS).prop_map(str::to_owned), 1 => any::<String>()];
    let leaf = prop_oneof![
        4 => proptest::sample::select(WORDS).prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<u16>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(6, 80, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The documents of the golden tests, by plugin.
fn documents() -> Vec<(&'static str, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/input");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &Path| {
        let plugin = path.file_name().unwrap().to_str().unwrap().split('.').next().unwrap().to_owned();
        let document = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let plugin: &'static str = plugin.leak();
        (plugin, document)
    };
    files.iter().map(|path| read(path)).collect()
}

/// One change of a document.
#[derive(Debug, Clone)]
enum Change {
    Replace(Value),
    Insert(usize, String),
    Repeat(usize),
    InList,
    AsText,
    CopyOf(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let word = proptest::sample::select(WORDS).prop_map(str::to_owned);
    prop_oneof![
        3 => hostile().prop_map(Change::Replace),
        3 => word.clone().prop_map(|word| Change::Replace(word.into())),
        3 => (0_usize..20, prop_oneof![word, any::<String>()]).prop_map(|(at, text)| Change::Insert(at, text)),
        1 => (2_usize..50).prop_map(Change::Repeat),
        1 => Just(Change::InList),
        1 => Just(Change::AsText),
        2 => any::<prop::sample::Index>().prop_map(Change::CopyOf),
    ]
}

/// The pointers of all values of a document.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(number, one)| pointers(one, &format!("{at}/{number}"), found));
        }
        Value::Object(members) => members.iter().for_each(|(key, one)| {
            pointers(one, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
        }),
        _ => {}
    }
}

fn apply(document: &mut Value, at: prop::sample::Index, change: Change) {
    let mut all = Vec::new();
    pointers(document, "", &mut all);
    let copy = match &change {
        Change::CopyOf(other) => document.pointer(&all[other.index(all.len())]).cloned(),
        _ => None,
    };
    let Some(value) = document.pointer_mut(&all[at.index(all.len())]) else { return };
    *value = match (change, value.take()) {
        (Change::Replace(new), _) => new,
        (Change::Insert(at, text), Value::String(old)) => {
            let at = old.char_indices().nth(at).map_or(old.len(), |(at, _)| at);
            format!("{}{text}{}", &old[..at], &old[at..]).into()
        }
        (Change::Insert(_, text), _) => text.into(),
        (Change::Repeat(times), old) => vec![old; times].into(),
        (Change::InList, old) => json!([old]),
        (Change::AsText, old) => old.to_string().into(),
        (Change::CopyOf(_), old) => copy.unwrap_or(old),
    };
}

/// A document of the golden tests with some changes.
pub(super) fn mutated() -> impl Strategy<Value = (&'static str, Value)> {
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), change()), 0..6);
    (proptest::sample::select(documents()), changes).prop_map(|((plugin, mut document), changes)| {
        changes.into_iter().for_each(|(at, change)| apply(&mut document, at, change));
        (plugin, document)
    })
}
