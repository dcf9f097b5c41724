//! `kastrel login` and `kastrel logout`: an API token that the commands of this user send to one
//! server, and its end.
//!
//! A login prints an address and a code, and waits until the user allowed it in a browser. It opens
//! no browser by itself: a server must not choose what this machine opens.

use std::time::Duration;

use kastrel_actors::model::AccountName;
use rustix::system::uname;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use super::args::{LoginArgs, LogoutArgs};
use super::backend::{AccessBackend as _, BackendError, DeviceAnswer, RemoteBackend};
use super::context::Context;
use super::credentials::{self, StoredToken};
use super::credentials_error::CredentialsError;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::text::{brief, plain};
use crate::api_types::{DeviceCode, DeviceToken, TokenBody};
use crate::identity::token::ApiToken;
use crate::identity::user_code::UserCode;

/// The longest label of a machine, in characters.
const MOST_OF_LABEL: usize = 64;
/// By how much the time between two polls grows, when the server demands it or does not respond.
const SLOWER_BY: Duration = Duration::from_secs(5);
/// The limits of the time between two polls, whatever a server says.
const LEAST_INTERVAL: u64 = 1;
const MOST_INTERVAL: u64 = 60;
/// The longest wait for a token, whatever a server says.
const MOST_WAIT: u64 = 60 * 60;
/// How long the end of a login is tried after an interrupt.
const GOODBYE: Duration = Duration::from_secs(2);

/// Runs `kastrel login`.
///
/// # Errors
/// No server is named, the server does not respond or refuses, the login was denied or expired, or
/// the token cannot be stored.
pub(super) async fn login(args: &LoginArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    context.host.init_logging(&config, Role::Offline)?;
    let server = context.opener().address(args.server.as_deref())?;
    let path = credentials::path_of(&context.env).ok_or(CredentialsError::NoFolder)?;
    let backend = RemoteBackend::without_redirects(server.clone())?;
    // Before anybody allows something.
    credentials::prepare(&path)?;
    let earlier = credentials::find(&path, &server)?;
    let request = args.request(label_of(context));
    let started = tokio::select! {
        started = backend.start_device_login(&request) => started?,
        () = context.interrupts.next() => return Ok(Exit::Interrupted),
    };
    let Some(new) = started else { return without_accounts(args, context, &backend).await };
    context.output.note(&instructions(&new, &backend)?);
    let waited = tokio::select! {
        waited = wait(&new, || backend.poll_device_login(&new.device_code)) => Some(waited),
        () = context.interrupts.next() => None,
    };
    let Some(waited) = waited else {
        // Without an answer, the login expires by itself.
        let _ = timeout(GOODBYE, backend.cancel_device_login(&new.device_code)).await;
        context.output.note("The login was ended");
        return Ok(Exit::Interrupted);
    };
    let DeviceToken { access_token, token, .. } = match waited? {
        Waited::Token(token) => *token,
        Waited::Denied => return Err(CliError::LoginDenied(backend.address())),
        Waited::Expired => return Err(CliError::LoginExpired(backend.address())),
    };
    let parsed = ApiToken::parse(access_token.expose()).map_err(|_| backend.strange("the token has another form"))?;
    let stored = StoredToken {
        account: token.account.clone(),
        token: parsed,
        expires_at: format!("{:.0}", token.expires_at.at()),
    };
    if let Err(error) = credentials::store(&path, &server, &stored).await {
        // Nobody knows the token any more.
        let _ = timeout(GOODBYE, revoke(&server, &stored)).await;
        return Err(error);
    }
    if let Some(earlier) = earlier
        && !matches!(timeout(GOODBYE, revoke(&server, &earlier)).await, Ok(Ok(_)))
    {
        context.output.note(&format!("note: The earlier token {} was not revoked", earlier.token.id()));
    }
    if context.env.get("KASTREL_TOKEN").is_some_and(|token| !token.is_empty()) {
        context.output.note("note: KASTREL_TOKEN is set: commands send it and not the stored token");
    }
    done(args.json, context, &backend, &token)
}

/// Runs `kastrel logout`.
///
/// # Errors
/// The server is not named, has no stored token, does not respond or refuses, or the file cannot be
/// changed.
pub(super) async fn logout(args: &LogoutArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    context.host.init_logging(&config, Role::Offline)?;
    let server = context.opener().address(args.server.as_deref())?;
    let path = credentials::path_of(&context.env).ok_or(CredentialsError::NoFolder)?;
    let shown = credentials::key_of(&server);
    let Some(stored) = credentials::find(&path, &server)? else { return Err(CliError::NotLoggedIn(shown)) };
    let is_revoked = if args.forget {
        false
    } else {
        let revoked = tokio::select! {
            revoked = revoke(&server, &stored) => revoked,
            () = context.interrupts.next() => return Ok(Exit::Interrupted),
        };
        match revoked {
            Ok(is_revoked) => is_revoked,
            Err(error) => {
                context.output.note(
                    "note: The token is still stored; `kastrel logout --forget` removes it from this machine alone",
                );
                return Err(error);
            }
        }
    };
    credentials::remove(&path, &server).await?;
    if args.json {
        context.output.json(&json!({ "server": shown, "token": stored.token.id(), "revoked": is_revoked }))?;
    } else {
        let how = if is_revoked {
            "the token was revoked"
        } else if args.forget {
            "the token is still valid on the server until it expires or is revoked there"
        } else {
            "the token was no longer valid on the server"
        };
        context.output.line(&format!("Logged out of {shown}: {how}"))?;
    }
    Ok(Exit::Done)
}

/// Revokes a stored token with itself. Returns `false` if the server does not know it any more.
async fn revoke(server: &Url, stored: &StoredToken) -> Result<bool, CliError> {
    let backend = RemoteBackend::with_stored_token(server.clone(), stored.token.clone())?;
    let strange = || backend.strange("the stored token has no valid id or account");
    let account: AccountName = stored.account.parse().map_err(|_| strange())?;
    let id = stored.token.id().parse().map_err(|_| strange())?;
    match backend.revoke_token(&account, &id).await {
        Ok(is_revoked) => Ok(is_revoked),
        Err(BackendError::Unauthorized { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Ends a login to a server without device logins: one without accounts needs none.
async fn without_accounts(args: &LoginArgs, context: &mut Context, backend: &RemoteBackend) -> Result<Exit, CliError> {
    match backend.whoami().await {
        Ok(_) => {}
        Err(BackendError::Unauthorized { .. }) => {
            return Err(backend.strange("it has no logins of the command line; it is an older version").into());
        }
        Err(error) => return Err(error.into()),
    }
    let address = backend.address();
    if args.json {
        context.output.json(&json!({ "server": address, "account": null, "token": null }))?;
    } else {
        context.output.line(&format!("The server at {address} has no accounts and needs no login"))?;
    }
    Ok(Exit::Done)
}

fn done(is_json: bool, context: &mut Context, backend: &RemoteBackend, token: &TokenBody) -> Result<Exit, CliError> {
    let address = backend.address();
    if is_json {
        context.output.json(&json!({ "server": address, "account": token.account, "token": token }))?;
    } else {
        let (account, day) = (plain(&token.account), token.expires_at.at().strftime("%Y-%m-%d"));
        context.output.line(&format!("Logged in to {address} as {account}; the token expires {day}"))?;
    }
    Ok(Exit::Done)
}

/// The name of this machine and its user, for the person who allows the login.
fn label_of(context: &Context) -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| context.env.get(*name).filter(|user| !user.is_empty()));
    let machine = uname().nodename().to_string_lossy().into_owned();
    let machine = if machine.is_empty() { "an unnamed machine".to_owned() } else { machine };
    brief(&user.map_or_else(|| machine.clone(), |user| format!("{user}@{machine}")), MOST_OF_LABEL)
}

/// Says where to go and what to compare. What the server sent is checked: it is printed on a
/// terminal, and people open it.
fn instructions(new: &DeviceCode, backend: &RemoteBackend) -> Result<String, BackendError> {
    let code = UserCode::parse(&new.user_code).map_err(|_| backend.strange("the code has another form"))?;
    let address = |text: &str| {
        let full = if text.starts_with('/') { backend.page_at(text) } else { text.to_owned() };
        let url = Url::parse(&full).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        url.map(|url| plain(url.as_str())).ok_or_else(|| backend.strange("its page for the login has no address"))
    };
    let (page, complete) = (address(&new.verification_uri)?, address(&new.verification_uri_complete)?);
    let minutes = new.expires_in.min(MOST_WAIT).div_ceil(60);
    Ok(format!(
        "Open this address in a browser, and allow the login if the page shows the same code:\n\n  {complete}\n\n  \
         Code: {code}\n\nOr open {page} and enter the code, which is valid for {minutes} min. Ctrl-C ends the login."
    ))
}

/// The end of a wait for a token.
#[derive(Debug)]
enum Waited {
    Token(Box<DeviceToken>),
    Denied,
    Expired,
}

/// Polls until the login ends. A server that does not respond may do so later, so only the expiry
/// of the code ends the wait then.
async fn wait<P>(new: &DeviceCode, mut poll: impl FnMut() -> P) -> Result<Waited, BackendError>
where
    P: Future<Output = Result<DeviceAnswer, BackendError>>,
{
    let until = Instant::now() + Duration::from_secs(new.expires_in.min(MOST_WAIT));
    let mut interval = Duration::from_secs(new.interval.clamp(LEAST_INTERVAL, MOST_INTERVAL));
    loop {
        sleep(interval).await;
        let last = match poll().await {
            Ok(DeviceAnswer::Token(token)) => return Ok(Waited::Token(token)),
            Ok(DeviceAnswer::Denied) => return Ok(Waited::Denied),
            Ok(DeviceAnswer::Expired) => return Ok(Waited::Expired),
            Ok(DeviceAnswer::Pending) => Ok(Waited::Expired),
            Ok(DeviceAnswer::SlowDown) => {
                interval += SLOWER_BY;
                Ok(Waited::Expired)
            }
            Err(error) if error.may_pass() => {
                interval = (interval + SLOWER_BY).min(Duration::from_secs(MOST_INTERVAL));
                Err(error)
            }
            Err(error) => return Err(error),
        };
        if Instant::now() >= until {
            return last;
        }
    }
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
