//! The forms with which administrators link an account to a person of the identity provider.

use axum::response::{IntoResponse, Redirect, Response};

use super::account_detail::{Question, ask, with_errors};
use super::fields::{Accounts, Errors, Fields, without_token};
use super::links::account_url;
use crate::web::error::Problem;
use crate::web::path::{AccountPath, no_account};
use crate::web::viewer::Viewer;

/// Links a person of the identity provider to an account.
pub(crate) async fn link(
    Accounts(web): Accounts,
    viewer: Viewer,
    AccountPath(name): AccountPath,
    fields: Fields,
) -> Result<Response, Problem> {
    without_token(&viewer)?;
    match web.access().link_identity(&viewer.context, &name, None, fields.text("subject")).await {
        Ok(Some(_)) => Ok(Redirect::to(&format!("{}?notice=linked", account_url(&name))).into_response()),
        Ok(None) => Err(no_account()),
        Err(error) => with_errors(&web, &viewer, &name, Errors::from_service(error)?, fields).await,
    }
}

/// Unlinks the identity of an account, after a confirmation.
pub(crate) async fn unlink(
    Accounts(web): Accounts,
    viewer: Viewer,
    AccountPath(name): AccountPath,
    fields: Fields,
) -> Result<Response, Problem> {
    without_token(&viewer)?;
    if fields.text("confirmed") == "yes" {
        return match web.access().unlink_identity(&viewer.context, &name).await {
            Ok(true) => Ok(Redirect::to(&format!("{}?notice=unlinked", account_url(&name))).into_response()),
            Ok(false) => Err(Problem::not_found("this account is not linked to the identity provider")),
            Err(error) => with_errors(&web, &viewer, &name, Errors::from_service(error)?, fields).await,
        };
    }
    let question = format!("Unlink {name} from the identity provider?");
    let consequence = "Its sessions end, and its person cannot sign in with the identity provider any more. \
                      Another sign-in of the person creates no second account while the name is taken.";
    let asked = Question { question, consequence, button: "Unlink account", path: "identity/unlink" };
    ask(&web, &viewer, &name, asked).await
}
