//! `kastrel user link` and `kastrel user unlink`: who signs in to an account with the identity
//! provider.

use kastrel_actors::model::AccountName;

use super::args::{AccountArgs, LinkIdentityArgs};
use super::ask::{ask, print};
use super::backend::BackendError;
use super::context::{Context, Session};
use super::error::CliError;
use super::exit::Exit;
use super::text::plain;
use crate::api_types::NewIdentityBody;

/// Links a person of the identity provider to an account.
///
/// # Errors
/// The account does not exist, the request is invalid, or neither a server nor the database is
/// available.
pub(super) async fn link(args: &LinkIdentityArgs, context: &mut Context) -> Result<Exit, CliError> {
    let identity = NewIdentityBody { subject: args.subject.clone(), issuer: args.issuer.clone() };
    let question = async |session: &Session| session.backend.link_identity(&args.name, identity).await;
    let Some(linked) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let linked = linked.ok_or_else(|| CliError::NoAccount(args.name.clone()))?;
    print(&args.common, context, &linked, |linked, _, _| {
        let (account, subject, issuer) = (plain(&linked.account), plain(&linked.subject), plain(&linked.issuer));
        format!("Account {account} linked to {subject} of {issuer}")
    })?;
    Ok(Exit::Done)
}

/// Unlinks the identity of an account.
///
/// # Errors
/// The errors of [`link`].
pub(super) async fn unlink(args: &AccountArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| -> Result<_, BackendError> {
        let is_unlinked = session.backend.unlink_identity(&args.name).await?;
        Ok((is_unlinked, session.backend.account(&args.name).await?))
    };
    let Some((is_unlinked, account)) = ask(&args.common, context, question).await? else {
        return Ok(Exit::Interrupted);
    };
    let account = account.ok_or_else(|| CliError::NoAccount(args.name.clone()))?;
    print(&args.common, context, &account, |_, _, _| text(&args.name, is_unlinked))?;
    Ok(Exit::Done)
}

fn text(name: &AccountName, is_unlinked: bool) -> String {
    if is_unlinked {
        format!("Account {name} unlinked: its sessions have ended")
    } else {
        format!("Account {name} is not linked to an identity provider")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kastrel_actors::testing::Script;

    use super::*;
    use crate::cli::scan::tests::World;

    #[tokio::test]
    async fn commands_on_a_data_folder_link_and_unlink() {
        let mut world = World::new(Script::Complete(Duration::from_secs(1)));
        assert_eq!(world.run(&["user", "create", "ana"]).await.unwrap(), Exit::Done);
        let issuer = ["--issuer", "https://id.example"];
        let link = [&["user", "link", "ana", "--subject", "auth0|7"][..], &issuer].concat();
        for words in [&link[..], &["user", "unlink", "ana"], &["user", "unlink", "ana"]] {
            assert_eq!(world.run(words).await.unwrap(), Exit::Done, "{words:?}");
        }
        let out = world.out.text();
        for part in [
            "Account ana linked to auth0|7 of https://id.example",
            "Account ana unlinked: its sessions have ended",
            "Account ana is not linked to an identity provider",
        ] {
            assert!(out.contains(part), "{part}: {out}");
        }
        let unknown = [&["user", "link", "nobody", "--subject", "7"][..], &issuer].concat();
        for (words, code) in [
            (&unknown[..], 1),
            (&["user", "unlink", "nobody"], 1),
            // There is no provider.
            (&["user", "link", "ana", "--subject", "7"], 2),
        ] {
            let error = world.run(words).await.unwrap_err();
            assert_eq!(error.exit().code(), code, "{words:?}: {error}");
        }
    }
}
