//! `target`: lists, one target, its tags and notes, and new checks of it.

use std::convert::Infallible;
use std::str::FromStr;

use clap::{Args, Subcommand};
use kastrel_findings::identity::TargetId;

use super::common::ReadArgs;

/// `kastrel target`
#[derive(Debug, Subcommand)]
pub enum TargetCommand {
    /// List targets, those with the worst open findings first
    List(TargetListArgs),
    /// Show a target: its open findings, scans, coverage and assets
    Show(TargetArgs),
    /// Add and remove tags of a target
    Tag(TargetTagArgs),
    /// Replace the notes of a target
    Note(TargetNoteArgs),
    /// Scan a target again, with the plugins of its newest scan or with one of them
    Check(TargetCheckArgs),
}

/// `kastrel target list`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct TargetListArgs {
    /// Words that scheme, host and port must have
    #[arg(value_name = "WORDS")]
    pub words: Vec<String>,
    /// Only targets with this tag; may be repeated
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// Only targets of this project
    #[arg(long, value_name = "ID")]
    pub project: Option<String>,
    /// Number of matches to leave out
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub skip: u32,
    /// Maximum number of targets
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// Which target: its id, or its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedTarget {
    /// The target with this id.
    Id(TargetId),
    /// The target of this address.
    Address(String),
}

impl FromStr for WantedTarget {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::Address(text.to_owned()), Self::Id))
    }
}

impl std::fmt::Display for WantedTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Address(text) => f.pad(text),
        }
    }
}

/// `kastrel target show`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct TargetArgs {
    /// Id of the target, or its address: a host, host:port, or URL
    pub target: WantedTarget,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel target tag`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct TargetTagArgs {
    /// Id of the target, or its address
    pub target: WantedTarget,
    /// Changes: +prod adds the tag prod, -old removes the tag old. Options come before them
    #[arg(value_name = "CHANGE", required = true, allow_hyphen_values = true, value_parser = tag_change)]
    pub changes: Vec<TagChange>,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// A change of the tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagChange {
    /// Adds a tag.
    Add(String),
    /// Removes a tag.
    Remove(String),
}

/// `kastrel target note`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct TargetNoteArgs {
    /// Id of the target, or its address
    pub target: WantedTarget,
    /// Text that replaces the notes: at most 4,000 characters; an empty one removes them
    pub text: String,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel target check`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct TargetCheckArgs {
    /// Id of the target, or its address
    pub target: WantedTarget,
    /// Only plugin to run [default: all of the newest scan]
    #[arg(long, value_name = "PLUGIN")]
    pub plugin: Option<String>,
    /// Confirm that you have the owner's permission to attack the target; required if an active
    /// plugin is to run
    #[arg(long)]
    pub confirm_active: bool,
    #[command(flatten)]
    pub common: ReadArgs,
}

pub(super) fn tag_change(text: &str) -> Result<TagChange, String> {
    if text.starts_with("--") {
        return Err("options come before the changes of tags".into());
    }
    let change = match text.split_at_checked(1) {
        Some(("+", tag)) => TagChange::Add(tag.to_owned()),
        Some(("-", tag)) => TagChange::Remove(tag.to_owned()),
        _ => return Err("expected +TAG or -TAG".into()),
    };
    match &change {
        TagChange::Add(tag) | TagChange::Remove(tag) if tag.is_empty() => Err("expected +TAG or -TAG".into()),
        _ => Ok(change),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn read(words: &[&str]) -> Result<TargetCommand, String> {
        let words = ["kastrel", "target"].iter().chain(words).copied();
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Target(command) => Ok(command),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tags_are_added_with_a_plus_and_removed_with_a_minus() {
        for words in [
            &["tag", "--json", "shop.example", "+prod", "-old", "+eu"][..],
            &["tag", "shop.example", "--json", "+prod", "-old", "+eu"],
        ] {
            let TargetCommand::Tag(args) = read(words).unwrap() else { panic!("another command") };
            let expected =
                [TagChange::Add("prod".into()), TagChange::Remove("old".into()), TagChange::Add("eu".into())];
            assert_eq!((args.changes.as_slice(), args.common.json), (&expected[..], true));
            assert_eq!(args.target, WantedTarget::Address("shop.example".into()));
        }
        let TargetCommand::Tag(args) = read(&["tag", "0123456789abcdef", "-old"]).unwrap() else {
            panic!("another command")
        };
        assert_eq!(args.changes, [TagChange::Remove("old".into())]);
        assert!(matches!(args.target, WantedTarget::Id(_)));
        for (words, part) in [
            (&["tag", "shop.example"][..], "<CHANGE>"),
            (&["tag", "shop.example", "prod"], "+TAG or -TAG"),
            (&["tag", "shop.example", "+"], "+TAG or -TAG"),
            (&["tag", "shop.example", "+prod", "--json"], "options come before"),
        ] {
            let error = read(words).unwrap_err();
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }
}
