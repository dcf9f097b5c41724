//! `note` and `tag`: the notes and tags of a scan.

use clap::Args;
use kastrel_actors::model::ScanId;

use super::common::ReadArgs;
use super::scans::scan_number;
use super::targets::{TagChange, tag_change};

/// `kastrel note`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ScanNoteArgs {
    /// The scan's number
    #[arg(value_parser = scan_number)]
    pub id: ScanId,
    /// Text that replaces the notes: at most 4,000 characters; an empty one removes them [default:
    /// show tags and notes]
    pub text: Option<String>,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel tag`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ScanTagArgs {
    /// The scan's number
    #[arg(value_parser = scan_number)]
    pub id: ScanId,
    /// Changes: +prod adds the tag prod, -old removes the tag old. Options come before them
    #[arg(value_name = "CHANGE", required = true, allow_hyphen_values = true, value_parser = tag_change)]
    pub changes: Vec<TagChange>,
    #[command(flatten)]
    pub common: ReadArgs,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn scan_is_named_before_its_notes_and_tags() {
        let read =
            |words: &[&str]| Cli::try_parse_from(std::iter::once(&"kastrel").chain(words)).map(|cli| cli.command);
        let Ok(Command::Note(args)) = read(&["note", "12", "known to the team"]) else { panic!("another command") };
        assert_eq!((args.id, args.text.as_deref()), (ScanId(12), Some("known to the team")));
        let Ok(Command::Note(args)) = read(&["note", "12", "--json"]) else { panic!("another command") };
        assert_eq!((args.text, args.common.json), (None, true));
        let Ok(Command::Tag(args)) = read(&["tag", "12", "+prod", "-old"]) else { panic!("another command") };
        assert_eq!(args.changes, [TagChange::Add("prod".into()), TagChange::Remove("old".into())]);
        for words in [&["note"][..], &["note", "first"], &["tag", "12"], &["tag", "12", "prod"], &["tag", "0", "+a"]] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
