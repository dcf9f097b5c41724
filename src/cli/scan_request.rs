//! The request of `kastrel scan`: its options, and the secrets that it reads from files.

use kastrel_actors::model::ScanRequestDraft;

use super::args::ScanArgs;
use super::context::Context;
use super::error::CliError;
use super::secret_file;

/// Returns the request, and warns of settings that others can read.
pub(super) fn draft(args: &ScanArgs, secrets: Vec<String>, context: &mut Context) -> ScanRequestDraft {
    let mut draft = args.draft();
    draft.overrides.extend(secrets);
    for name in args.exposed() {
        context.output.note(&format!(
            "warning: The value of {name} is visible in the process list; use --set-secret {name}=FILE"
        ));
    }
    draft
}

/// Reads the settings of `--set-secret`.
///
/// # Errors
/// A setting is not of the form `PLUGIN.KEY=FILE`, or its file cannot be read.
pub(super) async fn secrets(args: &ScanArgs) -> Result<Vec<String>, CliError> {
    if args.set_secret.is_empty() {
        return Ok(Vec::new());
    }
    let args = args.clone();
    let read = secret_file::on_own_thread(move || args.secrets(secret_file::read)).await?;
    read.map_err(CliError::Usage)
}
