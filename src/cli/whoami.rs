//! `kastrel whoami`: the account and the rights of the user's commands.

use super::accounts::roles;
use super::args::ReadArgs;
use super::ask::{ask, print};
use super::context::{Context, Session};
use super::error::CliError;
use super::exit::Exit;
use super::text::plain;
use crate::api_types::Whoami;

/// Runs the command.
///
/// # Errors
/// Neither a server nor the database is available.
pub(super) async fn run(args: &ReadArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.whoami().await;
    let Some(whoami) = ask(args, context, question).await? else { return Ok(Exit::Interrupted) };
    print(args, context, &whoami, |whoami, _, _| text(whoami))?;
    Ok(Exit::Done)
}

fn text(whoami: &Whoami) -> String {
    let roles = roles(whoami.server_role, whoami.projects.iter().map(|(id, role)| (id, *role)));
    let token = whoami.token.as_ref().map(|id| format!("\nToken: {id}")).unwrap_or_default();
    format!("{}\nRoles: {roles}{token}", plain(&whoami.principal))
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{ProjectId, ProjectRole, ServerRole};

    use super::*;

    #[test]
    fn principal_is_printed_with_its_roles_and_its_token() {
        let system = Whoami {
            principal: "system".into(),
            account: None,
            token: None,
            server_role: Some(ServerRole::Admin),
            projects: [(ProjectId::default(), ProjectRole::Owner)].into(),
        };
        assert_eq!(text(&system), "system\nRoles: admin, owner");
        let ci = Whoami {
            principal: "service:ci".into(),
            account: Some("ci".into()),
            token: "abcdefghij".parse().ok(),
            server_role: None,
            projects: [].into(),
        };
        assert_eq!(text(&ci), "service:ci\nRoles: -\nToken: abcdefghij");
    }
}
