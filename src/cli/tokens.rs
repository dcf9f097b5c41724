//! `kastrel token`: the API tokens of an account.

use jiff::Timestamp;
use kastrel_actors::model::AccountName;
use serde_json::json;

use super::args::{TokenCommand, TokenCreateArgs, TokenListArgs, TokenRevokeArgs};
use super::ask::{ask, print};
use super::backend::BackendError;
use super::context::{Context, Session};
use super::error::CliError;
use super::exit::Exit;
use super::output::Style;
use super::table::{Column, cell, grid};
use super::text::plain;
use crate::api_types::{TokenBody, TokenList};
use crate::human_time::relative;

/// Runs the command.
///
/// # Errors
/// The account or the token does not exist, the request is invalid, or neither a server nor the
/// database is available.
pub(super) async fn run(command: &TokenCommand, context: &mut Context) -> Result<Exit, CliError> {
    match command {
        TokenCommand::Create(args) => create(args, context).await,
        TokenCommand::List(args) => list(args, context).await,
        TokenCommand::Revoke(args) => revoke(args, context).await,
    }
}

/// Returns the account that the user named, or the user's own.
async fn account_of(session: &Session, named: Option<&AccountName>) -> Result<AccountName, BackendError> {
    if let Some(name) = named {
        return Ok(name.clone());
    }
    let own = session.backend.whoami().await?.account;
    own.and_then(|name| name.parse().ok()).ok_or_else(|| {
        BackendError::Other("this command has no account of its own: name one with --account NAME".into())
    })
}

/// Prints the token alone on the standard output, so that a script can read it.
async fn create(args: &TokenCreateArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| {
        let account = account_of(session, args.account.as_ref()).await?;
        session.backend.create_token(&account, args.token()).await
    };
    let Some(created) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    print(&args.common, context, &created, |created, _, _| plain(created.secret.expose()))?;
    let token = &created.token;
    context.output.note(&format!(
        "note: Token {} of {} is shown only now; it expires {}",
        token.id,
        plain(&token.account),
        token.expires_at.at().strftime("%Y-%m-%d")
    ));
    Ok(Exit::Done)
}

async fn list(args: &TokenListArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| -> Result<_, BackendError> {
        let account = account_of(session, args.account.as_ref()).await?;
        let tokens = session.backend.tokens(&account).await?;
        Ok((account, tokens))
    };
    let Some((account, list)) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let list = list.ok_or(CliError::NoAccount(account))?;
    print(&args.common, context, &list, |list: &TokenList, now, style| table(&list.tokens, now, style))?;
    Ok(Exit::Done)
}

async fn revoke(args: &TokenRevokeArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| {
        let account = account_of(session, args.account.as_ref()).await?;
        session.backend.revoke_token(&account, &args.id).await
    };
    let Some(is_known) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    if !is_known {
        return Err(CliError::NoToken(args.id.clone()));
    }
    print(&args.common, context, &json!({ "id": args.id }), |_, _, _| format!("Token {} revoked", args.id))?;
    Ok(Exit::Done)
}

fn table(tokens: &[TokenBody], now: Timestamp, style: Style) -> String {
    if tokens.is_empty() {
        return "No tokens. Create one: kastrel token create --label TEXT".into();
    }
    let columns = [
        Column::new("Id", 0),
        Column::text("Label", 0),
        Column::text("Rights", 1),
        Column::new("Expires", 0),
        Column::new("Last used", 2),
    ];
    let row = |token: &TokenBody| {
        let expires = token.expires_at.at();
        let expiry = if expires <= now { "expired".into() } else { relative(expires, now) };
        let used = token.used_at.map_or_else(|| "never".into(), |used| relative(used.at(), now));
        vec![cell(token.id.as_str()), cell(&token.label), cell(&rights(token)), cell(&expiry), cell(&used)]
    };
    grid(style, &columns, tokens.iter().map(row).collect())
}

/// Formats the limits of a token: `scanner`, `viewer in shop, server role, from 192.0.2.0/24`.
fn rights(token: &TokenBody) -> String {
    let project = token.project.as_ref().map(|project| format!(" in {project}")).unwrap_or_default();
    let server = if token.server_role { ", server role" } else { "" };
    let from = if token.networks.is_empty() { String::new() } else { format!(", from {}", token.networks.join(" ")) };
    format!("{}{project}{server}{from}", token.role)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kastrel_actors::model::ProjectRole;
    use kastrel_actors::testing::Script;

    use super::*;
    use crate::api_types::Moment;
    use crate::cli::scan::tests::World;
    use crate::identity::token::ApiToken;

    #[tokio::test]
    async fn token_alone_is_printed_for_a_script() {
        let mut world = World::new(Script::Complete(Duration::from_secs(1)));
        world.run(&["service-account", "create", "ci", "--json"]).await.unwrap();
        let before = world.out.text().len();
        let create = ["token", "create", "--account", "ci", "--label", "deploy"];
        assert_eq!(world.run(&create).await.unwrap(), Exit::Done);
        let out = world.out.text()[before..].to_owned();
        let token = ApiToken::parse(out.trim_end()).unwrap();
        let err = world.err.text();
        assert!(err.contains(&format!("Token {} of ci is shown only now", token.id())), "{err}");
        assert!(!err.contains(token.expose()), "{err}");
        let revoke = ["token", "revoke", token.id(), "--account", "ci"];
        assert_eq!(world.run(&revoke).await.unwrap(), Exit::Done);
        assert!(matches!(world.run(&revoke).await.unwrap_err(), CliError::NoToken(_)));
        let unknown = world.run(&["token", "list", "--account", "bo"]).await.unwrap_err();
        assert!(matches!(unknown, CliError::NoAccount(_)));
        let own = world.run(&["token", "list"]).await.unwrap_err();
        assert!(own.to_string().contains("--account"), "{own}");
    }

    #[test]
    fn tokens_are_listed_in_a_table() {
        let token = |id: &str, expires, used_at: Option<i64>| TokenBody {
            id: id.parse().unwrap(),
            account: "ana".into(),
            label: "deploy\u{1b}[31m".into(),
            role: ProjectRole::Scanner,
            project: None,
            server_role: false,
            networks: Vec::new(),
            created_at: Moment::of(Timestamp::UNIX_EPOCH),
            expires_at: Moment::of(Timestamp::from_second(expires).unwrap()),
            used_at: used_at.map(|at| Moment::of(Timestamp::from_second(at).unwrap())),
        };
        let limited =
            TokenBody { project: "shop".parse().ok(), server_role: true, ..token("abcdefghi2", 100, Some(0)) };
        let near = TokenBody { networks: vec!["192.0.2.0/24".into(), "::1".into()], ..token("abcdefghi3", 100, None) };
        assert_eq!(rights(&near), "scanner, from 192.0.2.0/24 ::1");
        let now = Timestamp::from_second(7_500).unwrap();
        insta::assert_snapshot!(table(&[token("abcdefghi1", 7_500 + 86_400, None), limited], now, Style::PLAIN), @"
         Id          Label   Rights                        Expires  Last used
         abcdefghi1  deploy  scanner                       in 1 d   never
         abcdefghi2  deploy  scanner in shop, server role  expired  2 h ago
        ");
        assert!(table(&[], now, Style::PLAIN).contains("kastrel token create"));
    }
}
