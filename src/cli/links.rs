//! `kastrel link`: the public links of a scan.

use jiff::Timestamp;
use kastrel_actors::model::ScanId;
use serde_json::json;

use super::args::{LinkCommand, LinkCreateArgs, LinkListArgs, LinkRevokeArgs};
use super::ask::{ask, print};
use super::backend::BackendError;
use super::context::{Context, Session};
use super::error::CliError;
use super::exit::Exit;
use super::output::Style;
use super::secret_file;
use super::table::{Column, cell, grid, numeric};
use super::text::plain;
use crate::api_types::{PublicLinkBody, PublicLinkList};
use crate::human_time::relative;

/// Runs the command.
///
/// # Errors
/// The scan or the link does not exist, the request is invalid, or neither a server nor the
/// database is available.
pub(super) async fn run(command: &LinkCommand, context: &mut Context) -> Result<Exit, CliError> {
    match command {
        LinkCommand::Create(args) => create(args, context).await,
        LinkCommand::List(args) => list(args, context).await,
        LinkCommand::Revoke(args) => revoke(args, context).await,
    }
}

/// Prints the link alone on the standard output, so that a script can read it.
async fn create(args: &LinkCreateArgs, context: &mut Context) -> Result<Exit, CliError> {
    let mut link = args.link();
    if let Some(file) = &args.password_file {
        let password = secret_file::password(file, &mut context.interrupts).await?;
        let Some(password) = password else { return Ok(Exit::Interrupted) };
        link.password = Some(password);
    }
    let question = async |session: &Session| -> Result<_, BackendError> {
        let created = session.backend.create_public_link(args.scan, link).await?;
        let page = created.as_ref().and_then(|created| session.page_at(created.path.expose()));
        Ok((created, page))
    };
    let Some((created, page)) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let created = created.ok_or(CliError::NoScan(args.scan))?;
    print(&args.common, context, &created, |created, _, _| {
        plain(page.as_deref().unwrap_or_else(|| created.path.expose()))
    })?;
    context.output.note(&hint(&created.link, args.scan, page.is_some()));
    Ok(Exit::Done)
}

async fn list(args: &LinkListArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.public_links(args.scan).await;
    let Some(list) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let list = list.ok_or(CliError::NoScan(args.scan))?;
    print(&args.common, context, &list, |list: &PublicLinkList, now, style| table(&list.links, args.scan, now, style))?;
    Ok(Exit::Done)
}

async fn revoke(args: &LinkRevokeArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.revoke_public_link(args.scan, &args.link).await;
    let Some(is_revoked) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    if !is_revoked {
        return Err(CliError::NoLink(args.link.clone(), args.scan));
    }
    let revoked = json!({ "scan": args.scan, "id": args.link });
    print(&args.common, context, &revoked, |_, _, _| format!("Link {} of scan {} revoked", args.link, args.scan))?;
    Ok(Exit::Done)
}

/// Formats what to know about a new link. `is_complete`: it was printed with the address of the
/// server.
fn hint(link: &PublicLinkBody, scan: ScanId, is_complete: bool) -> String {
    let rest = if is_complete { "" } else { "; append it to the address of the dashboard" };
    format!("note: Link {} of scan {scan} is shown only now; it expires {:.0}{rest}", link.id, link.expires_at.at())
}

fn table(links: &[PublicLinkBody], scan: ScanId, now: Timestamp, style: Style) -> String {
    if links.is_empty() {
        return format!("No public links of scan {scan}. Create one: kastrel link create {scan}");
    }
    let columns = [
        Column::new("Id", 0),
        Column::text("Label", 0),
        Column::new("Expires", 0),
        Column::new("Opened", 1),
        Column::new("Last opened", 2),
        Column::new("Password", 2),
        Column::new("Created by", 3),
        Column::new("Created", 4),
    ];
    let row = |link: &PublicLinkBody| {
        let expires = link.expires_at.at();
        let expiry = match &link.paused {
            _ if expires <= now => "expired".into(),
            Some(_) => format!("{}, paused", relative(expires, now)),
            None => relative(expires, now),
        };
        let opened = link.opened_at.map_or_else(|| "never".into(), |opened| relative(opened.at(), now));
        vec![
            cell(link.id.as_str()),
            cell(&link.label),
            cell(&expiry),
            numeric(link.opened),
            cell(&opened),
            cell(if link.has_password { "yes" } else { "no" }),
            cell(&link.created_by),
            cell(&relative(link.created_at.at(), now)),
        ]
    };
    grid(style, &columns, links.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kastrel_actors::testing::Script;

    use super::*;
    use crate::api_types::Moment;
    use crate::cli::scan::tests::World;
    use crate::identity::secret::RandomSecret;

    fn link(id: &str, expires: i64, opened_at: Option<i64>) -> PublicLinkBody {
        let moment = |at| Moment::of(Timestamp::from_second(at).unwrap());
        PublicLinkBody {
            id: id.parse().unwrap(),
            label: "For them\u{1b}[31m".into(),
            created_by: "user:ana".into(),
            created_at: moment(0),
            expires_at: moment(expires),
            has_password: true,
            opened: if opened_at.is_some() { 2 } else { 0 },
            opened_at: opened_at.map(moment),
            paused: None,
        }
    }

    #[tokio::test]
    async fn link_alone_is_printed_for_a_script() {
        let mut world = World::new(Script::Complete(Duration::from_millis(1)));
        for words in [&["link", "list", "1"][..], &["link", "create", "1"]] {
            assert!(matches!(world.run(words).await.unwrap_err(), CliError::NoScan(_)), "{words:?}");
        }
        assert_eq!(world.run(&["scan", "example.com"]).await.unwrap(), Exit::Done);
        let file = world.context.directory.join("password");
        std::fs::write(&file, "correct horse battery staple\n").unwrap();
        let file = file.display().to_string();
        let before = world.out.text().len();
        let create = ["link", "create", "1", "--label", "For them", "--password-file", &file];
        assert_eq!(world.run(&create).await.unwrap(), Exit::Done);
        let out = world.out.text()[before..].to_owned();
        let secret = RandomSecret::parse(out.trim_end().strip_prefix("/shared/").unwrap()).unwrap();
        let err = world.err.text();
        assert!(err.contains("of scan 1 is shown only now; it expires ") && err.contains("append it to"), "{err}");
        assert!(!err.contains(secret.expose()) && !err.contains("staple"), "{err}");

        let before = world.out.text().len();
        assert_eq!(world.run(&["link", "list", "1", "--json"]).await.unwrap(), Exit::Done);
        let list: PublicLinkList = serde_json::from_str(&world.out.text()[before..]).unwrap();
        let [link] = &list.links[..] else { panic!("{list:?}") };
        assert_eq!((link.label.as_str(), link.has_password, link.opened), ("For them", true, 0));
        let revoke = ["link", "revoke", "1", link.id.as_str()];
        assert_eq!(world.run(&revoke).await.unwrap(), Exit::Done);
        assert!(matches!(world.run(&revoke).await.unwrap_err(), CliError::NoLink(..)));
        std::fs::write(&file, "short\n").unwrap();
        let refused = world.run(&create).await.unwrap_err();
        assert!(refused.exit() == Exit::Usage && refused.to_string().contains("password"), "{refused}");
    }

    #[test]
    fn links_are_listed_in_a_table() {
        let open = PublicLinkBody {
            label: String::new(),
            created_by: "system".into(),
            has_password: false,
            ..link("abcdefghi2", 100, None)
        };
        let now = Timestamp::from_second(7_500).unwrap();
        let paused = PublicLinkBody { paused: Some("creator_disabled".into()), ..link("c3D4e5f6g7", 11_100, None) };
        let links = [link("a1B2c3D4e5", 7_500 + 86_400, Some(0)), open, paused];
        insta::assert_snapshot!(table(&links, ScanId(7), now, Style::PLAIN), @"
         Id          Label     Expires         Opened  Last opened  Password  Created by  Created
         a1B2c3D4e5  For them  in 1 d               2  2 h ago      yes       user:ana    2 h ago
         abcdefghi2            expired              0  never        no        system      2 h ago
         c3D4e5f6g7  For them  in 1 h, paused       0  never        yes       user:ana    2 h ago
        ");
        assert!(table(&[], ScanId(7), now, Style::PLAIN).contains("kastrel link create 7"));
    }

    #[test]
    fn hint_names_the_end_of_a_link() {
        let link = link("a1B2c3D4e5", 100, None);
        let text = "note: Link a1B2c3D4e5 of scan 7 is shown only now; it expires 1970-01-01T00:01:40Z";
        assert_eq!(hint(&link, ScanId(7), true), text);
        assert_eq!(hint(&link, ScanId(7), false), format!("{text}; append it to the address of the dashboard"));
    }
}
