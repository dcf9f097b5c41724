//! Checks the statements of the documents that the code can verify.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kastrel_actors::model::{FailureKind, Grants, Interruption, Operation, ProjectId, ProjectRole, ServerRole};
use kastrel_actors::policy::access::decide;
use kastrel_actors::policy::lease::{LeasePolicy, SILENCE, SPARED};
use kastrel_actors::policy::restart::{RetryPolicy, is_worth_another_try};

const SUPERVISION: &str = include_str!("../../docs/supervision.md");
const OPERATIONS: &str = include_str!("../../docs/operations.md");
const SECURITY: &str = include_str!("../../docs/security.md");
const ACCESS: &str = include_str!("../../docs/access.md");

/// Messages of the operating system, which Kastrel only repeats.
const OF_THE_SYSTEM: &[&str] = &["Connection refused (os error 111)", "No space left on device (os error 28)"];

#[test]
fn failure_table_in_docs_matches_the_code() {
    let rows: Vec<Vec<&str>> = SUPERVISION
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), FailureKind::ALL.len());
    for (row, kind) in rows.iter().zip(FailureKind::ALL) {
        let tried_again = if is_worth_another_try(*kind) { "yes" } else { "no" };
        assert_eq!((row[1], row[3]), (format!("`{kind}`").as_str(), tried_again));
    }
}

#[test]
fn every_interruption_is_documented() {
    for why in Interruption::ALL {
        assert!(SUPERVISION.contains(&format!("`{why}`")), "{why}");
    }
}

#[test]
fn every_waiting_reason_is_in_the_documents_and_the_api() {
    for name in kastrel_actors::policy::waiting::Waiting::NAMES {
        assert!(SUPERVISION.contains(&format!("- `{name}`: ")), "{name}");
        assert!(include_str!("../../src/api_types/queue.rs").contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn numbers_in_docs_match_the_code() {
    let retry = RetryPolicy::default();
    let lease = LeasePolicy::default();
    for text in [
        format!("`scans.max_attempts` attempts that may fail ({})", retry.max_attempts),
        format!("`scans.backoff_base_seconds` ({} s)", retry.base.as_secs()),
        format!("`scans.backoff_cap_seconds` ({} s)", retry.cap.as_secs()),
        format!("{} s, renewed every {} s", lease.ttl.as_secs(), lease.renew_every.as_secs()),
        format!("until {} s after it was *sent*", (lease.ttl - lease.margin).as_secs()),
        format!("those that were good when they were last looked at, for {} s", SPARED.as_secs()),
        format!("more than {} s after the leases were last looked at", SILENCE.as_secs()),
        format!("The lease ends at {} s or a moment later", lease.ttl.as_secs()),
        format!("starts at {} s at the earliest", (lease.ttl + retry.base / 2).as_secs()),
        format!(
            "at most {} s after it is resumed, and at most {} s if the database does not answer",
            lease.renew_every.as_secs(),
            lease.trusted_for().as_secs()
        ),
    ] {
        assert!(SUPERVISION.contains(&text), "docs/supervision.md does not say: {text}");
    }
}

/// Returns the text without code blocks.
fn prose(document: &str) -> String {
    let outside = document.split("\n```").step_by(2);
    outside.collect::<Vec<_>>().join("\n")
}

/// Returns the text of all sources that contain messages, with escaped quotes unescaped.
fn sources() -> String {
    let mut text = String::new();
    let mut folders: Vec<std::path::PathBuf> = ["src", "actors/src", "templates"]
        .iter()
        .map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "js" || kind == "html") {
                text.push_str(&std::fs::read_to_string(path).unwrap().replace("\\\"", "\""));
            }
        }
    }
    text
}

#[test]
fn messages_in_the_operations_page_exist_in_the_code() {
    let (prose, sources) = (prose(OPERATIONS), sources());
    let messages: Vec<&str> = prose.split("``").skip(1).step_by(2).collect();
    assert!(messages.len() > 40, "only {} messages were found", messages.len());
    for message in messages {
        assert!(!message.contains('\n'), "a message is on one line: {message}");
        // If the code composes several texts, each part is checked separately.
        let parts = message.split('…').flat_map(|part| {
            OF_THE_SYSTEM.iter().fold(vec![part], |parts, of| parts.iter().flat_map(|part| part.split(of)).collect())
        });
        for part in parts
            .map(|part| part.trim_matches(|c: char| c.is_whitespace() || ":;.,()`?".contains(c)))
            .filter(|part| !part.is_empty())
        {
            assert!(sources.contains(part), "docs/operations.md quotes ``{message}``, but no source says `{part}`");
        }
    }
}

/// kast-web's guide has these titles, and its readers look for them.
#[test]
fn operations_page_has_the_titles_of_kast_webs_guide() {
    for title in [
        "\n### \"Connection refused\" Error When Starting Scan\n",
        "\n### Scans Stay in \"Pending\" Status\n",
        "\n### Worker Not Starting\n",
        "\n### Results Not Updating\n",
    ] {
        assert!(OPERATIONS.contains(title), "{title}");
    }
}

/// Returns true if a source has a test of this name that runs. A function that is not a test, or an
/// ignored test, does not count.
fn is_a_test(source: &str, name: &str) -> bool {
    source.match_indices(&format!("fn {name}(")).any(|(at, _)| {
        let above = source[..at].lines().rev().skip(usize::from(!source[..at].ends_with('\n')));
        let attributes: Vec<&str> =
            above.map(str::trim).take_while(|line| line.starts_with("#[") || line.starts_with("///")).collect();
        let is_test = attributes.iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
        is_test && !attributes.iter().any(|line| line.starts_with("#[ignore"))
    })
}

#[test]
fn only_a_running_test_counts_as_evidence() {
    for (source, expected) in [
        ("#[test]\nfn a() {}", true),
        ("    #[tokio::test(start_paused = true)]\n    async fn a() {}", true),
        ("/// Why.\n#[test]\n/// More.\nfn a() {}", true),
        ("fn a() {}", false),
        ("#[test]\nfn b() {}\nasync fn a() {}", false),
        ("#[test]\n#[ignore = \"slow\"]\nfn a() {}", false),
        ("#[ignore]\n#[tokio::test]\nasync fn a() {}", false),
        ("fn a() {}\n#[test]\nfn a() {}", true),
    ] {
        assert_eq!(is_a_test(source, "a"), expected, "{source}");
    }
}

/// Returns the text of all sources that contain tests.
fn test_sources() -> String {
    let mut sources = String::new();
    let mut folders: Vec<std::path::PathBuf> = ["src", "actors", "scanner", "tests"]
        .iter()
        .map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    sources
}

/// Checks the rows of a table, whose last of three columns names the tests that hold the first.
fn assert_tests_exist(rows: &[&str], sources: &str) {
    for row in rows {
        let columns: Vec<&str> = row.split(" | ").collect();
        let [promise, _, tests] = columns.as_slice() else { panic!("{row:?}: expected three columns") };
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test holds: {promise}");
        for name in named {
            assert!(is_a_test(sources, name), "there is no test {name} that runs, which should hold: {promise}");
        }
    }
}

/// Every statement of docs/security.md names the tests that verify it, and these tests run.
#[test]
fn every_test_that_the_security_page_names_exists() {
    let rows: Vec<&str> =
        SECURITY.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what")).collect();
    assert!(rows.len() > 20, "only {} promises were found", rows.len());
    assert_tests_exist(&rows, &test_sources());
}

/// So does every row of ASVS that docs/access.md calls met.
#[test]
fn every_test_that_the_access_page_names_exists() {
    let (_, table) = ACCESS.split_once("\n| row | what Kastrel does | tests |\n").unwrap();
    let rows: Vec<&str> = table.lines().skip(1).take_while(|line| line.starts_with("| ")).collect();
    assert!(rows.len() > 30, "only {} rows were found", rows.len());
    assert_tests_exist(&rows, &test_sources());
}

#[test]
fn rights_table_in_docs_matches_the_policy() {
    let project = ProjectId::default();
    let member = |role: ProjectRole| Grants::new(None, BTreeMap::from([(ProjectId::default(), role)]));
    let mut roles: Vec<Grants> = ProjectRole::ALL.iter().copied().map(member).collect();
    roles.extend(ServerRole::ALL.iter().map(|role| Grants::new(Some(*role), BTreeMap::new())));
    let names =
        ProjectRole::ALL.iter().map(|role| role.as_str()).chain(ServerRole::ALL.iter().map(|role| role.as_str()));
    let head = format!("\n| operation | {} | what it covers |\n", names.collect::<Vec<_>>().join(" | "));
    assert!(ACCESS.contains(&head), "docs/access.md has no table with the head: {head}");
    for operation in Operation::ALL.iter().copied() {
        let cell = |grants: &Grants| if decide(grants, operation, Some(&project)).is_ok() { "yes" } else { "-" };
        let row = format!("\n| `{operation}` | {} | ", roles.iter().map(cell).collect::<Vec<_>>().join(" | "));
        assert!(ACCESS.contains(&row), "docs/access.md has no row that begins with: {row}");
    }
}

#[test]
fn every_key_and_command_of_the_operations_page_exists() {
    use clap::Parser as _;
    let sections: BTreeSet<&str> = kastrel::config::KEYS.iter().map(kastrel::config::Key::section).collect();
    let spans: Vec<String> =
        prose(OPERATIONS).replace("``", "").split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let is_key = |text: &str| {
        text.split_once('.').is_some_and(|(section, field)| {
            sections.contains(section) && field.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        })
    };
    for span in spans.iter().filter(|span| is_key(span) && !span.ends_with(".service")) {
        assert!(kastrel::config::Key::find(span).is_some(), "there is no key {span}");
    }
    let variables: Vec<String> = kastrel::config::KEYS
        .iter()
        .flat_map(|key| key.env.iter().map(ToString::to_string).chain([key.variable()]))
        .collect();
    for span in spans.iter().filter(|span| span.starts_with("KASTREL_") && **span != "KASTREL_SERVER") {
        assert!(variables.contains(span), "there is no variable {span}");
    }
    let in_blocks =
        OPERATIONS.split("\n```").skip(1).step_by(2).flat_map(str::lines).filter(|line| line.starts_with("kastrel "));
    let mut commands = 0;
    for line in in_blocks {
        let words = line.split(['|', '>', '#']).next().unwrap().replace("\"network works until noon\"", "why");
        assert!(kastrel::cli::Cli::try_parse_from(words.split_whitespace()).is_ok(), "{line}");
        commands += 1;
    }
    assert!(commands >= 8, "only {commands} commands were found");
}

#[test]
fn fast_tests_of_nextest_are_those_of_make() {
    let makefile = include_str!("../../Makefile");
    let fast = makefile.lines().skip_while(|line| !line.starts_with("test-fast:")).nth(1).unwrap();
    let skipped_by_make: BTreeSet<String> = fast.split(" --skip ").skip(1).map(|name| name.trim().to_owned()).collect();

    let nextest: toml::Table = include_str!("../../.config/nextest.toml").parse().unwrap();
    let filter = nextest["profile"]["fast"]["default-filter"].as_str().unwrap();
    let skipped_by_nextest: BTreeSet<String> = filter
        .lines()
        .filter_map(|line| line.strip_prefix("- test(/^")?.strip_suffix("/)"))
        .flat_map(|pattern| match pattern.split_once('(') {
            Some((before, rest)) => {
                let (choices, after) = rest.split_once(')').unwrap();
                choices.split('|').map(|choice| format!("{before}{choice}{after}")).collect()
            }
            None => vec![pattern.to_owned()],
        })
        .collect();
    assert_eq!(skipped_by_nextest, skipped_by_make);
    assert!(skipped_by_make.len() > 3, "{skipped_by_make:?}");

    for program in ["--lib", "--test architecture", "--test words"] {
        assert!(fast.contains(program), "{fast}");
    }
    assert!(filter.contains("(kind(lib) | binary(architecture) | binary(words))"), "{filter}");
    // A group whose tests were moved would be skipped nowhere.
    for group in &skipped_by_make {
        let path: Vec<&str> = group.trim_end_matches("::").split("::").collect();
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(path.join("/"));
        let inline = format!("mod {} {{", path.last().unwrap());
        let parent = module.parent().unwrap();
        let is_inline = [parent.with_extension("rs"), parent.join("mod.rs")]
            .iter()
            .any(|file| std::fs::read_to_string(file).is_ok_and(|text| text.contains(&inline)));
        assert!(module.with_extension("rs").exists() || is_inline, "{group}");
    }
}
