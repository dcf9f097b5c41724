//! Checks `action.yml` and `ci/gitlab/`: the files can be read, every flag of `kastrel` in them
//! exists, and no input becomes text of a script.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use clap::CommandFactory as _;
use serde_json::{Value, json};

use super::repository;

fn yaml(path: &str) -> Value {
    let text = std::fs::read_to_string(repository(path)).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The flags of `kastrel scan`.
fn flags() -> BTreeSet<String> {
    let cli = kastrel::cli::Cli::command();
    let scan = cli.find_subcommand("scan").unwrap();
    scan.get_arguments().filter_map(|argument| argument.get_long()).map(|long| format!("--{long}")).collect()
}

/// The flags in the lines of a script that build the command line of `kastrel scan`.
fn flags_in(script: &str) -> BTreeSet<String> {
    let is_of_kastrel = |line: &&str| ["options", "set --", "kastrel scan"].iter().any(|part| line.contains(part));
    let words = script.lines().filter(is_of_kastrel).flat_map(|line| line.split([' ', '(', ')', '"', '\'', ';']));
    words.filter(|word| word.len() > 2 && word.starts_with("--")).map(str::to_owned).collect()
}

#[test]
fn action_uses_existing_flags_and_formats_and_passes_inputs_as_variables() {
    let action = yaml("action.yml");
    let steps = action["runs"]["steps"].as_array().unwrap();
    let scripts: Vec<&str> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
    let used: BTreeSet<String> = scripts.iter().flat_map(|script| flags_in(script)).collect();
    for flag in ["--format", "--output", "--fail-on", "--require-coverage", "--only-new", "--baseline", "--data-dir"] {
        assert!(used.contains(flag), "{flag}: {used:?}");
    }
    let known = flags();
    let unknown: Vec<&String> = used.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    for script in &scripts {
        assert!(!script.contains("${{"), "an input would be text of the script: {script}");
    }
    // Every input is used, and every used input exists.
    let text = std::fs::read_to_string(repository("action.yml")).unwrap();
    for name in action["inputs"].as_object().unwrap().keys() {
        assert!(text.contains(&format!("inputs.{name} ")), "{name}");
    }
    for name in ["target", "version", "sha256"] {
        assert_eq!(action["inputs"][name]["required"], true, "{name}");
    }
    assert!(scripts[0].contains("sha256sum --check --strict"), "the archive is checked before it is used");
    let upload = steps.iter().find(|step| step["uses"].as_str().is_some()).unwrap();
    assert!(upload["uses"].as_str().unwrap().starts_with("github/codeql-action/upload-sarif@"), "{upload}");
    assert_eq!(upload["if"], "${{ steps.prepare.outputs.sarif != '' }}", "an incomplete scan is not uploaded");
    assert_eq!(upload["with"]["sarif_file"], "${{ steps.prepare.outputs.sarif }}");
}

/// Runs the script of a step of the action, as the runner does. `folder` has the programs and the
/// temporary files.
fn run_step(id: &str, folder: &Path, variables: &[(&str, &str)]) -> (Output, String) {
    let action = yaml("action.yml");
    let step = action["runs"]["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).unwrap().clone();
    let (script, outputs) = (folder.join("step.sh"), folder.join("outputs"));
    std::fs::write(&script, step["run"].as_str().unwrap()).unwrap();
    std::fs::write(&outputs, "").unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let ran = Command::new("bash")
        .args(["--noprofile", "--norc", "-eo", "pipefail"])
        .arg(script)
        .envs([("PATH", path.as_str()), ("RUNNER_TEMP", folder.to_str().unwrap())])
        .env("GITHUB_OUTPUT", &outputs)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    (ran, std::fs::read_to_string(outputs).unwrap())
}

/// Returns the value of an output of a step.
fn output<'a>(outputs: &'a str, name: &str) -> Option<&'a str> {
    outputs.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// A program `kastrel` that prints texts of a site on both streams and writes this file, or none.
fn install_program(folder: &Path, sarif: Option<&Value>) {
    let program = folder.join("kastrel");
    let write = sarif.map_or(String::new(), |sarif| {
        std::fs::write(folder.join("written.json"), sarif.to_string()).unwrap();
        format!("cp '{}' \"$5\"\n", folder.join("written.json").display())
    });
    let text = format!(
        "#!/bin/sh\necho 'Title: ##[add-path]/evil'\necho '::add-path::/evil' >&2\n{write}printf 'no end of line'\nexit 10\n"
    );
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
}

const SCAN: [(&str, &str); 7] = [
    ("TARGET", "shop.example"),
    ("FAIL_ON", "high"),
    ("ONLY_NEW", "false"),
    ("BASELINE", ""),
    ("REQUIRE_COVERAGE", "any"),
    ("KASTREL_SERVER", ""),
    ("KASTREL_TOKEN", ""),
];

#[test]
fn action_lets_no_text_of_a_scan_become_a_command_of_the_runner() {
    let folder = tempfile::tempdir().unwrap();
    install_program(folder.path(), None);
    let mut tokens = BTreeSet::new();
    for _ in 0..2 {
        let (ran, outputs) = run_step("scan", folder.path(), &SCAN);
        assert_eq!((ran.status.code(), output(&outputs, "exit-code")), (Some(0), Some("10")), "{ran:?}");
        assert_eq!(ran.stderr, b"", "the order of two streams is not known");
        let text = String::from_utf8(ran.stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let token = lines[0].strip_prefix("::stop-commands::").unwrap().to_owned();
        assert!(token.len() > 32, "{token}");
        assert_eq!(
            lines[1..],
            ["Title: ##[add-path]/evil", "::add-path::/evil", "no end of line", &format!("::{token}::")]
        );
        tokens.insert(token);
    }
    assert_eq!(tokens.len(), 2, "a token cannot be foreseen");
}

#[test]
fn action_takes_no_file_of_an_earlier_step() {
    let folder = tempfile::tempdir().unwrap();
    install_program(folder.path(), Some(&json!({ "runs": [] })));
    let (_, outputs) = run_step("scan", folder.path(), &SCAN);
    let first = output(&outputs, "sarif").unwrap().to_owned();
    assert!(Path::new(&first).is_file());
    let (_, outputs) = run_step("scan", folder.path(), &SCAN);
    assert_ne!(output(&outputs, "sarif").unwrap(), first);
    install_program(folder.path(), None);
    let (_, outputs) = run_step("scan", folder.path(), &SCAN);
    assert_eq!(output(&outputs, "sarif"), None, "this scan left no findings");
}

#[test]
fn action_uploads_only_open_findings_of_a_complete_scan() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kastrel.sarif");
    let results = json!([
        { "ruleId": "new", "baselineState": "new", "suppressions": [] },
        { "ruleId": "plain" },
        { "ruleId": "fixed", "baselineState": "absent" },
        { "ruleId": "decided", "suppressions": [{ "kind": "external" }] },
    ]);
    for (invocations, is_uploaded) in [
        (json!([{ "executionSuccessful": true }]), true),
        (json!([{ "executionSuccessful": false }]), false),
        (json!([]), false),
    ] {
        let sarif = json!({ "runs": [{ "invocations": invocations, "results": results }] });
        std::fs::write(&file, sarif.to_string()).unwrap();
        let (ran, outputs) = run_step("prepare", folder.path(), &[("SARIF", file.to_str().unwrap())]);
        assert!(ran.status.success(), "{ran:?}");
        let text = String::from_utf8(ran.stdout).unwrap();
        assert_eq!(text.starts_with("::warning "), !is_uploaded, "{sarif}: {text}");
        let upload = output(&outputs, "sarif");
        assert_eq!(upload.is_some(), is_uploaded, "{sarif}: {outputs}");
        if let Some(upload) = upload {
            let uploaded: Value = serde_json::from_slice(&std::fs::read(upload).unwrap()).unwrap();
            let rules: Vec<&str> = uploaded["runs"][0]["results"]
                .as_array()
                .unwrap()
                .iter()
                .map(|result| result["ruleId"].as_str().unwrap())
                .collect();
            assert_eq!(rules, ["new", "plain"]);
        }
    }
}

#[test]
fn gitlab_template_uses_existing_flags_and_checks_the_archive() {
    let template = yaml("ci/gitlab/kastrel.gitlab-ci.yml");
    let job = &template[".kastrel-scan"];
    let lines = |name: &str| -> Vec<String> {
        job[name].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    };
    let used = flags_in(&lines("script").join("\n"));
    for flag in ["--format", "--output", "--fail-on", "--require-coverage", "--only-new", "--baseline", "--data-dir"] {
        assert!(used.contains(flag), "{flag}: {used:?}");
    }
    let unknown: Vec<String> = used.difference(&flags()).cloned().collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(lines("before_script").iter().any(|line| line.contains("sha256sum --check --strict")));
    assert_eq!(job["artifacts"]["reports"]["junit"], "kastrel-junit.xml");
    assert_eq!(job["artifacts"]["when"], "always");
    assert_eq!(job["artifacts"]["paths"], json!(["kastrel-junit.xml", "kastrel.sarif"]));
}

#[test]
fn gitlab_job_writes_sarif_after_the_scan_and_ends_with_its_code() {
    let template = yaml("ci/gitlab/kastrel.gitlab-ci.yml");
    let lines = template[".kastrel-scan"]["script"].as_array().unwrap();
    let script: Vec<&str> = lines.iter().map(|line| line.as_str().unwrap()).collect();
    for (export, baseline, server) in [("0", "", ""), ("1", "old.sarif", "https://kastrel.example")] {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("kastrel");
        let text = format!("#!/bin/sh\necho \"$@\" >> calls\n[ \"$1\" = scan ] && exit 10\nexit {export}\n");
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        // The runner joins the lines, and ends at the first one that fails.
        let ran = Command::new("sh")
            .args(["-e", "-c", &script.join("\n")])
            .current_dir(folder.path())
            .env("program", &program)
            .envs(SCAN.map(|(name, value)| (format!("KASTREL_{}", name.trim_start_matches("KASTREL_")), value)))
            .envs([("KASTREL_BASELINE", baseline), ("KASTREL_SERVER", server)])
            .output()
            .unwrap();
        assert_eq!(ran.status.code(), Some(10), "{ran:?}");
        let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
        let [scan, written] = calls.lines().collect::<Vec<_>>()[..] else { panic!("{calls}") };
        assert!(scan.starts_with("scan --format junit") && scan.ends_with("-- shop.example"), "{scan}");
        assert_eq!(scan.contains("--baseline old.sarif"), !baseline.is_empty(), "{scan}");
        assert!(written.starts_with("findings export --format sarif --output kastrel.sarif"), "{written}");
        assert!(written.ends_with("-- target:shop.example"), "{written}");
        assert_eq!(written.contains("--data-dir"), server.is_empty(), "{written}");
    }
}

#[test]
fn command_line_of_the_templates_is_accepted() {
    for words in [
        &[
            "scan",
            "--format",
            "sarif",
            "--output",
            "k.sarif",
            "--fail-on",
            "high",
            "--require-coverage",
            "any",
            "--only-new",
            "--",
            "shop.example",
        ][..],
        &[
            "scan",
            "--format",
            "junit",
            "--output",
            "k.xml",
            "--fail-on",
            "high",
            "--baseline",
            "old.sarif",
            "--",
            "shop.example",
        ],
        &[
            "findings",
            "export",
            "--format",
            "sarif",
            "--output",
            "kastrel.sarif",
            "--data-dir",
            "kastrel-data",
            "--",
            "target:shop.example",
        ],
    ] {
        super::assert_is_command(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    }
}
