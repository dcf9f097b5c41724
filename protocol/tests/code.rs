//! Compares the model with the code: what the model names exists, and the durations are the same.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;

use kastrel_protocol::bounds::{MAX_ATTEMPTS, TIMING, UNIT_SECONDS};
use kastrel_protocol::code::{self, Code, STEPS};

/// Reads a file of the repository.
fn read(file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Returns true if a line of the text has the identifier at a place where it is defined: after a
/// keyword, or as a variant of an enumeration; in a script, anywhere.
fn defines(file: &str, text: &str, item: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let is_script = Path::new(file).extension().is_some_and(|extension| extension == "lua");
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("//") && !line.starts_with("--")).any(|line| {
        let words: Vec<&str> = line.split(|c| !is_part(c)).filter(|word| !word.is_empty()).collect();
        let is_after = |keyword: &str| words.windows(2).any(|pair| pair == [keyword, item]);
        let is_variant = words.first() == Some(&item) && item.starts_with(char::is_uppercase)
            || line.contains(&format!("Message::{item}"))
            || line.contains(&format!("Command::{item}"));
        if is_script {
            words.contains(&item)
        } else {
            ["fn", "const", "macro_rules"].into_iter().any(is_after) || is_variant
        }
    })
}

#[test]
fn every_step_names_code_that_exists() {
    let mut missing = Vec::new();
    for step in STEPS {
        assert!(!code::of(step).is_empty(), "{step:?}");
        for Code { file, item } in code::of(step) {
            if !defines(file, &read(file), item) {
                missing.push(format!("{step:?}: {file} has no {item}"));
            }
        }
    }
    assert!(missing.is_empty(), "the model names what was moved or renamed:\n{}", missing.join("\n"));
    let text = "/// fn gone()\nfn here() {}\nconst THERE: u8 = 1;\nlet x = gone();\n";
    assert!(defines("a.rs", text, "here") && defines("a.rs", text, "THERE") && !defines("a.rs", text, "gone"));
}

/// Returns the number after `name` in a file, as in `ttl: Duration::from_secs(30)`.
fn seconds(file: &str, name: &str) -> u64 {
    let text = read(file);
    let call = "Duration::from_secs(";
    let found = text.match_indices(name).find_map(|(at, _)| {
        let rest = text[at + name.len()..].strip_prefix(call)?;
        rest.split(')').next()?.parse().ok()
    });
    found.unwrap_or_else(|| panic!("{file} has no {name}{call}…)"))
}

#[test]
fn durations_of_the_model_are_those_of_the_code() {
    let policy = "actors/src/policy/lease.rs";
    let ttl = seconds(policy, "ttl: ");
    let trusted = ttl - seconds(policy, "margin: ");
    let units = |seconds: u64| u8::try_from(seconds / UNIT_SECONDS).unwrap();
    assert_eq!(ttl % UNIT_SECONDS, 0);
    assert_eq!((TIMING.ttl, TIMING.trusted), (units(ttl), units(trusted)));
    // What is due at a moment happens before the next one. The kill must be before the lease ends.
    const { assert!(TIMING.trusted < TIMING.ttl) };
    assert_eq!(TIMING.renew_every, units(seconds(policy, "renew_every: ")));
    assert_eq!(TIMING.grace, units(seconds("actors/src/reconciler/actor.rs", "const GRACE: Duration = ")));
    assert_eq!(TIMING.entry_lease, units(seconds("actors/src/policy/delivery.rs", "pub const LEASE: Duration = ")));
    let keys = read("src/config/keys.rs");
    assert!(keys.contains(&format!("max_attempts: u32 = {MAX_ATTEMPTS},")));
}

/// The model assumes that these are shorter than the margin: an answer that is late by more than
/// the margin could start an attempt under the next lease of its node, without any freeze.
#[test]
fn waits_of_the_dispatcher_are_shorter_than_the_margin() {
    let margin = seconds("actors/src/policy/lease.rs", "margin: ");
    let limit = seconds("actors/src/dispatcher/actor.rs", "const LEASE_LIMIT: Duration = ");
    let grace = seconds("actors/src/reconciler/actor.rs", "const GRACE: Duration = ");
    assert!(limit < margin && limit < grace, "{limit} {margin} {grace}");
}
