//! What the pages with passkeys share: the script, the host of the passkeys, the answer that a form
//! sends, and the options for the browser.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use kastrel_actors::policy::second_factor::SecondStep;
use serde_json::json;

use super::fields::{Accounts, Fields};
use crate::service::access::{Confirmation, PasskeyAnswer};
use crate::web::assets;
use crate::web::error::Problem;
use crate::web::state::WebInner;

/// What a form needs to ask for a passkey.
pub(super) struct PasskeyPrompt {
    pub(super) script_url: String,
    /// The host name to which the passkeys belong. Under another one, the button does not work.
    pub(super) host: String,
}

impl PasskeyPrompt {
    /// Returns the prompt; `None` if the server accepts no passkeys.
    pub(super) fn of(web: &WebInner) -> Option<Self> {
        let host = web.access().relying_party().ok()?.host().to_owned();
        Some(Self { script_url: assets::url("passkey.js"), host })
    }

    /// Returns the prompt if this step takes a passkey.
    pub(super) fn of_step(web: &WebInner, step: SecondStep) -> Option<Self> {
        if step.takes_passkey() { Self::of(web) } else { None }
    }
}

/// Returns the answer of an authenticator that a form has.
pub(super) fn answer_of(fields: &Fields) -> Option<PasskeyAnswer> {
    (!fields.is_empty("passkey_answer")).then(|| PasskeyAnswer {
        state: fields.text("passkey_state").to_owned(),
        answer: fields.text("passkey_answer").to_owned(),
    })
}

/// Returns what confirms a change of the own factors.
pub(super) fn confirmation_of(fields: &Fields) -> Confirmation {
    Confirmation {
        current: fields.password("current_password"),
        code: fields.text("code").to_owned(),
        passkey: answer_of(fields),
    }
}

/// Returns the options of a request for a passkey, and its sealed state, as JSON for the script. It
/// touches no row.
pub(crate) async fn options(Accounts(web): Accounts) -> Result<Response, Problem> {
    let asked = web.access().passkey_request()?;
    let options: serde_json::Value = serde_json::from_str(&asked.options).map_err(Problem::internal)?;
    let body = json!({ "options": options, "state": asked.state }).to_string();
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}
