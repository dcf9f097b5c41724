//! `kastrel share`, `kastrel list --shared` and `kastrel transfer`: with whom a scan is shared,
//! which scans are shared with the account of the command, and the transfer of a scan.

use jiff::Timestamp;
use kastrel_actors::model::ScanId;
use serde_json::json;

use super::args::{ShareCommand, ShareCreateArgs, ShareListArgs, ShareRevokeArgs, TransferArgs};
use super::ask::{ask, print};
use super::context::{Context, Session};
use super::error::CliError;
use super::exit::Exit;
use super::output::Style;
use super::table::{Column, cell, grid, numeric, scan_status};
use super::text::plain;
use crate::api_types::{Moment, ShareBody, ShareList, SharedScanBody};
use crate::human_time::relative;

/// Runs the command.
///
/// # Errors
/// The scan or the share does not exist, the request is invalid, or neither a server nor the
/// database is available.
pub(super) async fn run(command: &ShareCommand, context: &mut Context) -> Result<Exit, CliError> {
    match command {
        ShareCommand::Create(args) => create(args, context).await,
        ShareCommand::List(args) => list(args, context).await,
        ShareCommand::Revoke(args) => revoke(args, context).await,
    }
}

async fn create(args: &ShareCreateArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.create_share(args.scan, args.share()).await;
    let Some(share) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let share = share.ok_or(CliError::NoScan(args.scan))?;
    print(&args.common, context, &share, |share: &ShareBody, now, _| {
        let until = share.expires_at.map_or_else(String::new, |at| format!(", expires {}", relative(at.at(), now)));
        format!("Scan {} shared with {} with the right {}{until}", args.scan, share.grantee, share.right)
    })?;
    Ok(Exit::Done)
}

async fn list(args: &ShareListArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.shares(args.scan).await;
    let Some(list) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let list = list.ok_or(CliError::NoScan(args.scan))?;
    print(&args.common, context, &list, |list: &ShareList, now, style| table(&list.shares, args.scan, now, style))?;
    Ok(Exit::Done)
}

async fn revoke(args: &ShareRevokeArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.revoke_share(args.scan, &args.grantee).await;
    let Some(is_revoked) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    if !is_revoked {
        return Err(CliError::NoShare(args.grantee.clone(), args.scan));
    }
    let revoked = json!({ "scan": args.scan, "grantee": args.grantee });
    print(&args.common, context, &revoked, |_, _, _| {
        format!("Share of scan {} with {} revoked", args.scan, args.grantee)
    })?;
    Ok(Exit::Done)
}

/// Runs `kastrel transfer`.
///
/// # Errors
/// The scan or the project does not exist, the scan has not ended, or neither a server nor the
/// database is available.
pub(super) async fn transfer(args: &TransferArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.transfer(args.scan, &args.project).await;
    let Some(scan) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let scan = scan.ok_or(CliError::NoScan(args.scan))?;
    print(&args.common, context, &scan, |_, _, _| {
        format!("Scan {} transferred to project {}", args.scan, args.project)
    })?;
    Ok(Exit::Done)
}

fn expiry(at: Option<Moment>, now: Timestamp) -> String {
    at.map_or_else(|| "never".into(), |at| relative(at.at(), now))
}

fn table(shares: &[ShareBody], scan: ScanId, now: Timestamp, style: Style) -> String {
    if shares.is_empty() {
        return format!("No shares of scan {scan}. Create one: kastrel share create {scan} user:NAME");
    }
    let columns = [
        Column::text("With", 0),
        Column::new("Right", 0),
        Column::new("Expires", 0),
        Column::new("Created by", 1),
        Column::new("Created", 2),
    ];
    let row = |share: &ShareBody| {
        vec![
            cell(&share.grantee.to_string()),
            cell(share.right.as_str()),
            cell(&expiry(share.expires_at, now)),
            cell(&share.created_by),
            cell(&relative(share.created_at.at(), now)),
        ]
    };
    grid(style, &columns, shares.iter().map(row).collect())
}

/// Formats the scans that are shared with the account of the command.
pub(super) fn shared_table(scans: &[SharedScanBody], now: Timestamp, style: Style) -> String {
    if scans.is_empty() {
        return "No scans are shared with you.".into();
    }
    let columns = [
        Column::new("Scan", 0),
        Column::new("State", 0),
        Column::text("Target", 0),
        Column::new("Right", 0),
        Column::new("Shared by", 1),
        Column::new("Until", 2),
        Column::new("With", 3),
    ];
    let row = |one: &SharedScanBody| {
        vec![
            numeric(one.scan.scan_id.0),
            scan_status(one.scan.status),
            cell(&plain(&one.scan.target)),
            cell(one.right.as_str()),
            cell(&one.share.created_by),
            cell(&expiry(one.share.expires_at, now)),
            cell(&one.share.grantee.to_string()),
        ]
    };
    grid(style, &columns, scans.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kastrel_actors::model::{ScanStatus, ShareRight};
    use kastrel_actors::testing::Script;

    use super::*;
    use crate::cli::scan::tests::World;
    use crate::cli::view::tests::view;

    fn share(grantee: &str, expires: Option<i64>) -> ShareBody {
        let moment = |at| Moment::of(Timestamp::from_second(at).unwrap());
        ShareBody {
            grantee: grantee.parse().unwrap(),
            right: ShareRight::Edit,
            created_by: "user:ana".into(),
            created_at: moment(0),
            expires_at: expires.map(moment),
        }
    }

    #[tokio::test]
    async fn shares_and_transfers_name_what_does_not_exist() {
        let mut world = World::new(Script::Complete(Duration::from_millis(1)));
        for words in [&["share", "list", "1"][..], &["share", "create", "1", "user:ana"], &["transfer", "1", "default"]]
        {
            assert!(matches!(world.run(words).await.unwrap_err(), CliError::NoScan(_)), "{words:?}");
        }
        assert_eq!(world.run(&["scan", "example.com"]).await.unwrap(), Exit::Done);
        let refused = world.run(&["share", "create", "1", "user:nobody"]).await.unwrap_err();
        assert!(refused.exit() == Exit::Usage && refused.to_string().contains("no active user"), "{refused}");
        let refused = world.run(&["transfer", "1", "nowhere"]).await.unwrap_err();
        assert!(refused.exit() == Exit::Usage && refused.to_string().contains("no such project"), "{refused}");
        let missing = world.run(&["share", "revoke", "1", "user:nobody"]).await.unwrap_err();
        assert!(matches!(missing, CliError::NoShare(..)), "{missing}");
        let local = world.run(&["list", "--shared"]).await.unwrap_err();
        assert!(local.to_string().contains("--server"), "{local}");
    }

    #[test]
    fn shares_are_listed_in_a_table() {
        let now = Timestamp::from_second(7_500).unwrap();
        let shares = [share("project:web", Some(7_500 + 86_400)), share("user:ben", None)];
        insta::assert_snapshot!(table(&shares, ScanId(7), now, Style::PLAIN), @"
         With         Right  Expires  Created by  Created
         project:web  edit   in 1 d   user:ana    2 h ago
         user:ben     edit   never    user:ana    2 h ago
        ");
        assert!(table(&[], ScanId(7), now, Style::PLAIN).contains("kastrel share create 7"));
    }

    #[test]
    fn shared_scans_are_listed_in_a_table() {
        let now = Timestamp::from_second(7_500).unwrap();
        let scan = view(ScanStatus::Completed).summary;
        let one = SharedScanBody { scan, right: ShareRight::View, share: share("project:web", None) };
        insta::assert_snapshot!(shared_table(&[one], now, Style::PLAIN), @"
         Scan  State      Target       Right  Shared by  Until  With
            3  completed  example.com  view   user:ana   never  project:web
        ");
        assert_eq!(shared_table(&[], now, Style::PLAIN), "No scans are shared with you.");
    }
}
