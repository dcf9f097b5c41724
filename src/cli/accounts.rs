//! `kastrel user` and `kastrel service-account`: the accounts of people and programs.

use jiff::Timestamp;
use kastrel_actors::model::{AccountKind, AccountName, ProjectId, ProjectRole, ServerRole};

use super::args::{AccountArgs, ReadArgs, RoleArgs, ServiceAccountCommand, UserCommand, UserCreateArgs, UserMailArgs};
use super::ask::{ask, print};
use super::backend::BackendError;
use super::context::{Context, Session};
use super::error::CliError;
use super::exit::Exit;
use super::identities;
use super::output::Style;
use super::secret_file;
use super::table::{Column, cell, grid};
use super::text::plain;
use crate::api_types::{AccountBody, AccountChangeBody, AccountList, CreatedAccount, NewAccountBody, PasswordLink};
use crate::human_time::relative;

/// Runs `kastrel user`.
///
/// # Errors
/// The account does not exist, the request is invalid, or neither a server nor the database is
/// available.
pub(super) async fn user(command: &UserCommand, context: &mut Context) -> Result<Exit, CliError> {
    match command {
        UserCommand::Create(args) => create_user(args, context).await,
        UserCommand::List(args) => list(args, AccountKind::User, context).await,
        UserCommand::Show(args) => show(args, context).await,
        UserCommand::Disable(args) => set_disabled(args, true, context).await,
        UserCommand::Enable(args) => set_disabled(args, false, context).await,
        UserCommand::Role(args) => set_role(args, context).await,
        UserCommand::ResetPassword(args) => reset_password(args, context).await,
        UserCommand::ResetSecondFactor(args) => reset_second_factor(args, context).await,
        UserCommand::Mail(args) => set_mail(args, context).await,
        UserCommand::Link(args) => identities::link(args, context).await,
        UserCommand::Unlink(args) => identities::unlink(args, context).await,
    }
}

/// Runs `kastrel service-account`.
///
/// # Errors
/// The errors of [`user`].
pub(super) async fn service_account(command: &ServiceAccountCommand, context: &mut Context) -> Result<Exit, CliError> {
    match command {
        ServiceAccountCommand::Create(args) => create(args.account(), &args.common, context).await,
        ServiceAccountCommand::List(args) => list(args, AccountKind::Service, context).await,
    }
}

async fn create_user(args: &UserCreateArgs, context: &mut Context) -> Result<Exit, CliError> {
    let mut account = args.account();
    if let Some(file) = &args.password_file {
        let password = secret_file::password(file, &mut context.interrupts).await?;
        let Some(password) = password else { return Ok(Exit::Interrupted) };
        account.password = Some(password);
    }
    create(account, &args.common, context).await
}

async fn create(account: NewAccountBody, args: &ReadArgs, context: &mut Context) -> Result<Exit, CliError> {
    let mailed_to = account.mail.clone().filter(|_| account.send_link);
    let question = async |session: &Session| -> Result<_, BackendError> {
        let created = session.backend.create_account(account).await?;
        let page = created.link.as_ref().and_then(|link| session.page_at(link.path.expose()));
        Ok((created, page))
    };
    let Some((created, page)) = ask(args, context, question).await? else { return Ok(Exit::Interrupted) };
    print(args, context, &created, |created, _, _| created_text(created, page.as_deref(), mailed_to.as_deref()))?;
    Ok(Exit::Done)
}

async fn list(args: &ReadArgs, kind: AccountKind, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.accounts(kind).await;
    let Some(list) = ask(args, context, question).await? else { return Ok(Exit::Interrupted) };
    print(args, context, &list, |list: &AccountList, now, style| table(&list.accounts, kind, now, style))?;
    Ok(Exit::Done)
}

async fn show(args: &AccountArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.account(&args.name).await;
    let Some(account) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let account = account.ok_or_else(|| CliError::NoAccount(args.name.clone()))?;
    print(&args.common, context, &account, |account, now, style| {
        table(std::slice::from_ref(account), account.kind, now, style)
    })?;
    Ok(Exit::Done)
}

async fn set_disabled(args: &AccountArgs, disabled: bool, context: &mut Context) -> Result<Exit, CliError> {
    let change = AccountChangeBody { disabled: Some(disabled), ..AccountChangeBody::default() };
    let text = |name: &AccountName| {
        if disabled {
            format!("Account {name} disabled: its sessions have ended, and its tokens are refused")
        } else {
            format!("Account {name} enabled")
        }
    };
    change_account(&args.name, change, &args.common, text, context).await
}

async fn set_role(args: &RoleArgs, context: &mut Context) -> Result<Exit, CliError> {
    let role = args.server_role();
    let change = AccountChangeBody { server_role: Some(role), ..AccountChangeBody::default() };
    let text = |name: &AccountName| match role {
        Some(role) => format!("Account {name} has the role {role} on the server"),
        None => format!("Account {name} has no role on the server"),
    };
    change_account(&args.name, change, &args.common, text, context).await
}

async fn set_mail(args: &UserMailArgs, context: &mut Context) -> Result<Exit, CliError> {
    let mail = args.address.as_ref().map(ToString::to_string);
    let change = AccountChangeBody { mail: Some(mail.clone()), ..AccountChangeBody::default() };
    let text = |name: &AccountName| match &mail {
        Some(mail) => format!("Account {name} has the mail address {mail}"),
        None => format!("Account {name} has no mail address"),
    };
    change_account(&args.name, change, &args.common, text, context).await
}

async fn change_account(
    name: &AccountName,
    change: AccountChangeBody,
    args: &ReadArgs,
    text: impl FnOnce(&AccountName) -> String,
    context: &mut Context,
) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.change_account(name, change).await;
    let Some(changed) = ask(args, context, question).await? else { return Ok(Exit::Interrupted) };
    let account = changed.ok_or_else(|| CliError::NoAccount(name.clone()))?;
    print(args, context, &account, |_, _, _| text(name))?;
    Ok(Exit::Done)
}

async fn reset_password(args: &AccountArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| -> Result<_, BackendError> {
        let link = session.backend.password_link(&args.name).await?;
        let page = link.as_ref().and_then(|link| session.page_at(link.path.expose()));
        Ok((link, page))
    };
    let Some((link, page)) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let link = link.ok_or_else(|| CliError::NoAccount(args.name.clone()))?;
    print(&args.common, context, &link, |link, _, _| link_text(link, page.as_deref()))?;
    Ok(Exit::Done)
}

async fn reset_second_factor(args: &AccountArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| -> Result<_, BackendError> {
        let is_removed = session.backend.reset_second_factor(&args.name).await?;
        Ok((is_removed, session.backend.account(&args.name).await?))
    };
    let Some((is_removed, account)) = ask(&args.common, context, question).await? else {
        return Ok(Exit::Interrupted);
    };
    let account = account.ok_or_else(|| CliError::NoAccount(args.name.clone()))?;
    print(&args.common, context, &account, |account, _, _| {
        let name = plain(&account.name);
        if is_removed {
            format!("Second factor of {name} removed: its sessions have ended")
        } else {
            format!("Account {name} has no second factor")
        }
    })?;
    Ok(Exit::Done)
}

/// Formats a new account; `mailed_to` is the address to which its link was to be mailed.
fn created_text(created: &CreatedAccount, page: Option<&str>, mailed_to: Option<&str>) -> String {
    let account = &created.account;
    let kind = match account.kind {
        AccountKind::User => "User",
        AccountKind::Service => "Service account",
    };
    let first = format!("{kind} {} created", plain(&account.name));
    match (&created.link, account.kind) {
        (Some(link), _) if mailed_to.is_some() => {
            format!("{first}; the mail server did not accept the mail, so pass the link on\n{}", link_text(link, page))
        }
        (Some(link), _) => format!("{first}\n{}", link_text(link, page)),
        (None, AccountKind::Service) => {
            format!("{first}; `kastrel token create --account {} --label TEXT` makes a token", plain(&account.name))
        }
        (None, AccountKind::User) => match mailed_to {
            Some(to) => format!("{first}; a one-time link was mailed to {}", plain(to)),
            None => first,
        },
    }
}

/// Formats a one-time link; `page` is its URL, if the address of the server is known.
fn link_text(link: &PasswordLink, page: Option<&str>) -> String {
    let hours = link.lifetime_seconds / 3600;
    match page {
        Some(page) => format!("One-time link to set the password, valid for {hours} h:\n{}", plain(page)),
        None => format!(
            "One-time link to set the password, valid for {hours} h; append it to the address of the dashboard:\n{}",
            plain(link.path.expose())
        ),
    }
}

fn table(accounts: &[AccountBody], kind: AccountKind, now: Timestamp, style: Style) -> String {
    if accounts.is_empty() {
        return match kind {
            AccountKind::User => "No users. Create one: kastrel user create NAME --admin".into(),
            AccountKind::Service => "No service accounts. Create one: kastrel service-account create NAME".into(),
        };
    }
    let columns = [
        Column::new("Name", 0),
        Column::new("State", 0),
        Column::new("Second factor", 2),
        Column::text("Roles", 1),
        Column::new("Created", 2),
    ];
    let row = |account: &AccountBody| {
        let roles = roles(account.server_role, account.memberships.iter().map(|(id, role)| (id, *role)));
        vec![
            cell(&account.name),
            cell(state(account)),
            cell(second_factor(account)),
            cell(&roles),
            cell(&relative(account.created_at.at(), now)),
        ]
    };
    grid(style, &columns, accounts.iter().map(row).collect())
}

const fn state(account: &AccountBody) -> &'static str {
    match (account.disabled, account.kind, account.has_password) {
        (true, _, _) => "disabled",
        (false, AccountKind::User, false) => "no password",
        (false, _, _) => "active",
    }
}

const fn second_factor(account: &AccountBody) -> &'static str {
    match (account.kind, account.has_second_factor) {
        (_, true) => "yes",
        (AccountKind::User, false) => "no",
        (AccountKind::Service, false) => "-",
    }
}

/// Formats the roles of an account. While there is only the default project, its name is left out.
pub(super) fn roles<'a>(
    server_role: Option<ServerRole>,
    projects: impl Iterator<Item = (&'a ProjectId, ProjectRole)> + Clone,
) -> String {
    let only_default = projects.clone().all(|(id, _)| id.is_default());
    let in_projects = projects.map(|(id, role)| if only_default { role.to_string() } else { format!("{id}: {role}") });
    let all: Vec<String> = server_role.map(|role| role.to_string()).into_iter().chain(in_projects).collect();
    if all.is_empty() { "-".into() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kastrel_actors::testing::Script;

    use super::*;
    use crate::api_types::{Moment, SecretText};
    use crate::cli::scan::tests::World;

    fn account(name: &str, kind: AccountKind) -> AccountBody {
        AccountBody {
            name: name.into(),
            kind,
            server_role: None,
            disabled: false,
            has_password: kind == AccountKind::User,
            has_second_factor: name == "cy",
            mail: None,
            created_at: Moment::of(Timestamp::UNIX_EPOCH),
            memberships: [(ProjectId::default(), ProjectRole::Viewer)].into(),
        }
    }

    #[tokio::test]
    async fn commands_on_a_data_folder_manage_accounts() {
        let mut world = World::new(Script::Complete(Duration::from_secs(1)));
        let folder = world.context.directory.clone();
        std::fs::write(folder.join("password"), "correct horse battery staple\n").unwrap();
        let password = folder.join("password").display().to_string();
        let ana = ["user", "create", "ana", "--admin", "--password-file", &password];
        assert_eq!(world.run(&ana).await.unwrap(), Exit::Done);
        assert_eq!(world.run(&["user", "create", "bo", "--role", "scanner"]).await.unwrap(), Exit::Done);
        assert_eq!(world.run(&["service-account", "create", "ci"]).await.unwrap(), Exit::Done);
        let out = world.out.text();
        assert!(out.contains("User ana created\nUser bo created") && out.contains("\n/set-password?link="), "{out}");
        for words in [
            &["project", "create", "shop"][..],
            &["project", "grant", "shop", "bo", "owner"],
            &["project", "members", "shop"],
            &["project", "revoke", "shop", "bo"],
            &["user", "role", "bo", "auditor"],
            &["user", "disable", "bo"],
            &["user", "show", "bo", "--json"],
            &["user", "enable", "bo"],
            &["user", "reset-password", "bo"],
            &["user", "reset-second-factor", "bo"],
            &["user", "mail", "bo", "bo@example.com"],
            &["user", "mail", "bo", "--remove"],
            &["whoami"],
        ] {
            assert_eq!(world.run(words).await.unwrap(), Exit::Done, "{words:?}");
        }
        let out = world.out.text();
        for part in [
            "Account bo has the role owner in project shop",
            "Account bo is no member of project shop",
            r#""server_role": "auditor""#,
            r#""disabled": true"#,
            "Account bo enabled",
            "Account bo has no second factor",
            "Account bo has the mail address bo@example.com",
            "Account bo has no mail address",
            "system\nRoles: admin, default: owner, shop: owner",
        ] {
            assert!(out.contains(part), "{part}: {out}");
        }
        assert!(!out.contains("staple"), "{out}");
        for (words, code) in [
            (&["user", "show", "nobody"][..], 1),
            (&["user", "create", "ana"], 2),
            (&["user", "disable", "ana"], 1),
            (&["user", "reset-password", "ci"], 2),
            (&["user", "reset-second-factor", "nobody"], 1),
            (&["user", "mail", "nobody", "--remove"], 1),
            // This folder has no mail server.
            (&["user", "create", "di", "--mail", "di@example.com", "--send-link"], 2),
            (&["project", "members", "none"], 1),
            (&["project", "grant", "none", "ana", "owner"], 1),
            (&["user", "create", "cy", "--password-file", "/does/not/exist"], 2),
        ] {
            let error = world.run(words).await.unwrap_err();
            assert_eq!(error.exit().code(), code, "{words:?}: {error}");
        }
    }

    #[test]
    fn accounts_are_listed_in_a_table() {
        let ana = account("ana", AccountKind::User);
        let admin = AccountBody {
            server_role: Some(ServerRole::Admin),
            memberships: [].into(),
            has_password: false,
            ..account("bo", AccountKind::User)
        };
        let mut of_two = account("cy", AccountKind::User);
        of_two.memberships.insert("shop".parse().unwrap(), ProjectRole::Owner);
        let gone = AccountBody { disabled: true, memberships: [].into(), ..account("di", AccountKind::User) };
        let now = Timestamp::from_second(7_500).unwrap();
        insta::assert_snapshot!(table(&[ana, admin, of_two, gone], AccountKind::User, now, Style::PLAIN), @"
         Name  State        Second factor  Roles                         Created
         ana   active       no             viewer                        2 h ago
         bo    no password  no             admin                         2 h ago
         cy    active       yes            default: viewer, shop: owner  2 h ago
         di    disabled     no             -                             2 h ago
        ");
        assert!(table(&[], AccountKind::User, now, Style::PLAIN).contains("kastrel user create"));
        assert!(table(&[], AccountKind::Service, now, Style::PLAIN).contains("kastrel service-account create"));
    }

    #[test]
    fn new_account_is_printed_with_its_link() {
        let link = PasswordLink { path: SecretText::new("/set-password?link=ab"), lifetime_seconds: 86_400 };
        let created = |kind, link| CreatedAccount { account: account("ana", kind), link };
        let text =
            created_text(&created(AccountKind::User, Some(link.clone())), Some("http://a/set-password?link=ab"), None);
        assert_eq!(
            text,
            "User ana created\nOne-time link to set the password, valid for 24 h:\nhttp://a/set-password?link=ab"
        );
        let text = link_text(&link, None);
        assert!(text.contains("append it to the address") && text.ends_with("\n/set-password?link=ab"), "{text}");
        assert_eq!(created_text(&created(AccountKind::User, None), None, None), "User ana created");
        let text = created_text(&created(AccountKind::Service, None), None, None);
        assert!(text.starts_with("Service account ana created; `kastrel token create --account ana"), "{text}");
    }
}
