//! `kastrel findings export`: writes findings to a file or to the standard output.

use super::args::FindingExportArgs;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::new_file::NewFile;
use super::scan_exports::{write_file, write_output};

/// Runs the command.
///
/// # Errors
/// The filter is invalid, the file exists or cannot be written, or neither a server nor the
/// database is available.
pub(super) async fn run(args: &FindingExportArgs, context: &mut Context) -> Result<Exit, CliError> {
    let common = &args.common;
    let config = context.resolve(&common.config, common.flags(), None)?.config;
    let file = match &args.output {
        Some(path) => Some(NewFile::begin(&context.directory.join(path), args.force)?),
        None => None,
    };
    let Some(session) = context.open(&common.server, &config, Role::Offline).await? else {
        return Ok(Exit::Interrupted);
    };
    let (interrupts, output) = (&mut context.interrupts, &mut context.output);
    let written = async {
        let bytes = session.backend.export_findings(&args.filter(), args.format()).await?;
        match file {
            Some(file) => write_file(bytes, file).await,
            None => write_output(bytes, output).await,
        }
    };
    let written = tokio::select! {
        written = written => Some(written),
        () = interrupts.next() => None,
    };
    session.close().await;
    match written {
        Some(written) => written.map(|()| Exit::Done),
        None => Ok(Exit::Interrupted),
    }
}
