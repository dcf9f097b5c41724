//! Builds the scanner's argument list: a pure function of the job and its paths. No shell is
//! involved.

use std::ffi::OsString;
use std::path::Path;

use crate::ports::{AttemptPaths, CONFIG_NAME};
use kastrel_actors::model::ScanRequest;

/// The inputs of the argument list other than the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct ArgvParts<'a> {
    /// The arguments before all others, which select the built-in scanner in Kastrel's own program.
    pub(super) leading: &'a [OsString],
    /// The attempt's folder.
    pub(super) paths: &'a AttemptPaths,
    /// The selected plugins with all dependencies; empty means all plugins of the mode.
    pub(super) plugins: &'a [String],
    /// The logo of the reports.
    pub(super) logo: Option<&'a Path>,
}

/// Builds the arguments in the form that both KAST 2.14 and 3.x accept.
pub(super) fn argv(request: &ScanRequest, parts: ArgvParts<'_>) -> Vec<OsString> {
    let mut args = parts.leading.to_vec();
    let mut push = |text: &str| args.push(text.into());
    push("-t");
    push(&request.target.to_string());
    push("-m");
    push(request.options.mode.as_str());
    push("--format");
    push(request.options.format.as_str());
    if !parts.plugins.is_empty() {
        push("--run-only");
        push(&parts.plugins.join(","));
    }
    if request.options.parallel {
        push("-p");
        push("--max-workers");
        push(&request.options.max_workers.to_string());
    }
    if request.options.verbose {
        push("-v");
    }
    if request.options.dry_run {
        push("--dry-run");
    }
    let config = parts.paths.attempt_dir.join(CONFIG_NAME);
    for (option, path) in [
        ("--config", Some(config.as_path())),
        ("--logo", parts.logo),
        ("-l", Some(parts.paths.log_dir.as_path())),
        ("-o", Some(parts.paths.attempt_dir.as_path())),
    ] {
        if let Some(path) = path {
            args.push(option.into());
            args.push(path.into());
        }
    }
    args
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{AttemptNumber, ScanId, ScanRequestDraft};

    use super::*;

    fn shown(draft: ScanRequestDraft, leading: &[OsString], logo: Option<&Path>) -> String {
        let draft = ScanRequestDraft { target: "https://example.com:444/app".into(), ..draft };
        let request = draft.check().unwrap();
        let paths = AttemptPaths::new(
            Path::new("/r"),
            &request.target,
            "2026-11-23T19:06:59Z".parse().unwrap(),
            ScanId(7),
            AttemptNumber(2),
        );
        let parts = ArgvParts { leading, paths: &paths, plugins: &request.options.plugins, logo };
        argv(&request, parts).iter().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join("|")
    }

    const FOLDER: &str = "/r/example.com_444-20261123-190659-7/attempt-2";

    #[test]
    fn each_option_becomes_its_arguments() {
        let none = ScanRequestDraft::default;
        for (draft, expected) in [
            (none(), "-t|https://example.com:444/app|-m|passive|--format|html|-p|--max-workers|5"),
            (
                ScanRequestDraft { parallel: Some(false), ..none() },
                "-t|https://example.com:444/app|-m|passive|--format|html",
            ),
            (
                ScanRequestDraft {
                    mode: Some("both".into()),
                    format: Some("pdf".into()),
                    plugins: vec!["whatweb".into(), "testssl".into()],
                    max_workers: Some(2),
                    verbose: Some(true),
                    dry_run: Some(true),
                    // Overrides are in the configuration file, not in the arguments.
                    overrides: vec!["testssl.timeout=600".into(), "whatweb.agent=a b; rm -rf /".into()],
                    ..none()
                },
                "-t|https://example.com:444/app|-m|both|--format|pdf|--run-only|whatweb,testssl|-p|--max-workers|2|-v|--dry-run",
            ),
        ] {
            assert_eq!(
                shown(draft, &[], None),
                format!("{expected}|--config|{FOLDER}/.kastrel-config.yaml|-l|{FOLDER}/logs|-o|{FOLDER}")
            );
        }
    }

    #[test]
    fn node_adds_leading_arguments_and_logo() {
        let draft =
            ScanRequestDraft { parallel: Some(false), mode: Some("active".into()), ..ScanRequestDraft::default() };
        let text = shown(draft, &["scanner".into()], Some(Path::new("/logo.png")));
        let expected = "scanner|-t|https://example.com:444/app|-m|active|--format|html";
        assert_eq!(
            text,
            format!("{expected}|--config|{FOLDER}/.kastrel-config.yaml|--logo|/logo.png|-l|{FOLDER}/logs|-o|{FOLDER}")
        );
    }
}
