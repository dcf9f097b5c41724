//! `kastrel completions` and `kastrel man`: the completion scripts and the manual pages, generated
//! from the grammar of the command line.

use clap::Command;

use super::args::{CompletionsArgs, ManArgs};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;

/// The name of the program in scripts and pages.
const PROGRAM: &str = "kastrel";

/// Prints the completion script for a shell. `grammar` is the grammar of the command line.
///
/// # Errors
/// The output cannot be written.
pub(super) fn completions(
    args: &CompletionsArgs,
    mut grammar: Command,
    context: &mut Context,
) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut grammar, PROGRAM, &mut script);
    context.output.bytes(&script)?;
    Ok(Exit::Done)
}

/// Writes a manual page of the program and of each command: `kastrel.1`, `kastrel-scan.1`.
///
/// # Errors
/// The folder or a page cannot be written.
pub(super) fn pages(args: &ManArgs, grammar: Command) -> Result<Exit, CliError> {
    std::fs::create_dir_all(&args.output)?;
    clap_mangen::generate_to(grammar, &args.output)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap_complete::Shell;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn each_command_has_a_manual_page_without_hidden_commands() {
        let folder = tempfile::tempdir().unwrap();
        pages(&ManArgs { output: folder.path().join("man1") }, Cli::command()).unwrap();
        let page = |name: &str| std::fs::read_to_string(folder.path().join("man1").join(name)).ok();
        let command = Cli::command();
        for one in command.get_subcommands() {
            let page = page(&format!("{PROGRAM}-{}.1", one.get_name()));
            assert_eq!(page.is_some(), !one.is_hide_set(), "{}", one.get_name());
        }
        assert!(page("kastrel-scan.1").unwrap().contains("fail\\-on"), "the options of the command");
        assert!(page("kastrel-user-create.1").is_some(), "the commands of a command");
        assert!(page("kastrel.1").unwrap().contains("Exit codes"), "the exit codes");
    }

    #[test]
    fn completion_scripts_know_commands_and_options() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), PROGRAM, &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("dead-letters") && script.contains("fail-on"), "{shell}");
        }
    }
}
