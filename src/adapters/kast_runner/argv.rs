//! The scanner's argument list: a pure function of the job and its paths, never a shell.

use std::ffi::OsString;
use std::path::Path;

use kastrel_actors::model::ScanRequest;

use super::container::ZapContainer;
use super::folder::AttemptPaths;

/// What goes into the argument list beside the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct ArgvParts<'a> {
    /// Arguments before all others: how the built-in scanner is reached in our own program.
    pub(super) leading: &'a [OsString],
    /// The attempt's folder.
    pub(super) paths: &'a AttemptPaths,
    /// The selected plugins with all they depend on; empty means all of the mode.
    pub(super) plugins: &'a [String],
    /// The attempt's own ZAP container, where one may be started.
    pub(super) zap: Option<&'a ZapContainer>,
    /// KAST's configuration file, where the node has one.
    pub(super) config: Option<&'a Path>,
    /// A logo for the reports.
    pub(super) logo: Option<&'a Path>,
}

/// Builds the arguments in the form that KAST 2.14 and 3.x both take.
pub(super) fn argv(request: &ScanRequest, parts: ArgvParts<'_>) -> Vec<OsString> {
    let mut args = parts.leading.to_vec();
    let mut push = |text: &str| args.push(text.into());
    push("-t");
    push(&request.target.to_string());
    push("-m");
    push(request.mode.as_str());
    push("--format");
    push(request.format.as_str());
    if !parts.plugins.is_empty() {
        push("--run-only");
        push(&parts.plugins.join(","));
    }
    if request.parallel {
        push("-p");
        push("--max-workers");
        push(&request.max_workers.to_string());
    }
    if request.verbose {
        push("-v");
    }
    if request.dry_run {
        push("--dry-run");
    }
    for argument in parts.zap.into_iter().flat_map(ZapContainer::overrides) {
        push("--set");
        push(&argument);
    }
    for change in &request.overrides {
        push("--set");
        push(&change.argument());
    }
    for (option, path) in
        [("--config", parts.config), ("--logo", parts.logo), ("-l", Some(parts.paths.log_dir.as_path())), ("-o", Some(parts.paths.attempt_dir.as_path()))]
    {
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

    fn shown(draft: ScanRequestDraft, leading: &[OsString], zap: Option<&ZapContainer>, config: Option<&Path>, logo: Option<&Path>) -> String {
        let draft = ScanRequestDraft { target: "https://example.com:444/app".into(), ..draft };
        let request = draft.check().unwrap();
        let paths = AttemptPaths::new(Path::new("/r"), &request.target, "2026-11-23T19:06:59Z".parse().unwrap(), ScanId(7), AttemptNumber(2));
        let parts = ArgvParts { leading, paths: &paths, plugins: &request.plugins, zap, config, logo };
        argv(&request, parts).iter().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join("|")
    }

    const TAIL: &str = "|-l|/r/example.com_444-20261123-190659-7/attempt-2/logs|-o|/r/example.com_444-20261123-190659-7/attempt-2";

    #[test]
    fn every_option_has_its_place() {
        let none = ScanRequestDraft::default;
        for (draft, expected) in [
            (none(), "-t|https://example.com:444/app|-m|passive|--format|html|-p|--max-workers|5"),
            (ScanRequestDraft { parallel: Some(false), ..none() }, "-t|https://example.com:444/app|-m|passive|--format|html"),
            (
                ScanRequestDraft {
                    mode: Some("both".into()),
                    format: Some("pdf".into()),
                    plugins: vec!["whatweb".into(), "testssl".into()],
                    max_workers: Some(2),
                    verbose: Some(true),
                    dry_run: Some(true),
                    overrides: vec!["testssl.timeout=600".into(), "whatweb.agent=a b; rm -rf /".into()],
                    ..none()
                },
                "-t|https://example.com:444/app|-m|both|--format|pdf|--run-only|whatweb,testssl|-p|--max-workers|2|-v|--dry-run|--set|testssl.timeout=600|--set|whatweb.agent=a b; rm -rf /",
            ),
        ] {
            assert_eq!(shown(draft, &[], None, None, None), format!("{expected}{TAIL}"));
        }
    }

    #[test]
    fn the_node_adds_its_own() {
        let leading = ["scanner".into()];
        let zap = ZapContainer { name: "kastrel-zap-d-7-2-9".into(), port: 40_000 };
        let draft = ScanRequestDraft { parallel: Some(false), mode: Some("active".into()), ..ScanRequestDraft::default() };
        let text = shown(draft, &leading, Some(&zap), Some(Path::new("/etc/kast.yaml")), Some(Path::new("/logo.png")));
        assert_eq!(
            text,
            format!(
                "scanner|-t|https://example.com:444/app|-m|active|--format|html|--set|zap.local.container_name=kastrel-zap-d-7-2-9|--set|zap.local.api_port=40000|--config|/etc/kast.yaml|--logo|/logo.png{TAIL}"
            )
        );
    }
}
