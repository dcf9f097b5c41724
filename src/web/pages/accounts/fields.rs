//! What the forms of accounts share: the guard of servers without accounts, the fields that a
//! browser sends, and fields with their errors as a page shows them. A password is never shown
//! again.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use kastrel_actors::model::FieldError;
use url::form_urlencoded;

use crate::identity::password::Password;
use crate::service::access::{AccountError, SignedIn};
use crate::web::api::submission::unreadable;
use crate::web::error::Problem;
use crate::web::pages::layout::Notice;
use crate::web::state::Web;
use crate::web::text::{clean, sentence};
use crate::web::viewer::Viewer;

const NO_ACCOUNTS: &str =
    "this server has no accounts; set `auth.mode` to `local` in its configuration and restart it to turn them on";
const LAST_ADMIN: &str =
    "this is the last administrator that can sign in; give another account the server role `admin` first";

/// The server, for a page of accounts. On a server without accounts, the page does not exist.
pub(crate) struct Accounts(pub(crate) Web);

impl FromRequestParts<Web> for Accounts {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, web: &Web) -> Result<Self, Problem> {
        if web.has_accounts() { Ok(Self(Web::clone(web))) } else { Err(Problem::not_found(NO_ACCOUNTS)) }
    }
}

/// Returns the account of the viewer.
pub(super) fn own(viewer: &Viewer) -> Result<&SignedIn, Problem> {
    viewer.signed_in.as_ref().ok_or_else(|| Problem::denied("this request belongs to no account; sign in"))
}

/// Refuses a request that a token authenticates: a token that leaks must not lead to further
/// credentials.
pub(super) fn without_token(viewer: &Viewer) -> Result<(), Problem> {
    let has_token = viewer.signed_in.as_ref().is_some_and(|who| who.token.is_some());
    if has_token {
        let why = "a token may not change passwords and second factors or create tokens; sign in with a password";
        return Err(Problem::denied(why));
    }
    Ok(())
}

/// The fields that a browser sent.
#[derive(Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// Returns a field without the blanks around it; empty if it was not sent.
    pub(super) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// Returns a password as it was typed.
    pub(super) fn password(&self, name: &str) -> Password {
        Password::new(self.raw(name).to_owned())
    }

    /// Returns the error of a new password that was not typed twice in the same way.
    pub(super) fn repeated(&self, name: &str, repeat: &str) -> Result<Password, Errors> {
        if self.raw(name) == self.raw(repeat) {
            Ok(self.password(name))
        } else {
            Err(Errors::of(repeat, "the passwords differ; type the new password twice"))
        }
    }

    pub(super) fn is_empty(&self, name: &str) -> bool {
        self.raw(name).is_empty()
    }

    fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await.map_err(|rejection| unreadable(&rejection))?;
        Ok(Self::parse(&body))
    }
}

/// The errors of a form, and the status of the page that shows them.
#[derive(Debug)]
pub(crate) struct Errors {
    status: StatusCode,
    fields: Vec<FieldError>,
}

impl Default for Errors {
    fn default() -> Self {
        Self { status: StatusCode::OK, fields: Vec::new() }
    }
}

impl Errors {
    pub(super) fn of(field: &str, message: &str) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, fields: vec![FieldError::new(field, message)] }
    }

    /// Returns the errors that the page of the form shows, or the problem that has a page of its
    /// own.
    pub(super) fn from_service(error: AccountError) -> Result<Self, Problem> {
        match error {
            AccountError::Invalid(fields) => Ok(Self { status: StatusCode::UNPROCESSABLE_ENTITY, fields }),
            AccountError::LastAdmin => {
                Ok(Self { status: StatusCode::CONFLICT, fields: vec![FieldError::new("", LAST_ADMIN)] })
            }
            other => Err(other.into()),
        }
    }

    /// Takes the errors of a field.
    pub(super) fn take(&mut self, field: &str) -> Option<String> {
        let (taken, left): (Vec<_>, Vec<_>) = self.fields.drain(..).partition(|error| error.field == field);
        self.fields = left;
        let messages: Vec<String> = taken.iter().map(|error| sentence(&clean(&error.message))).collect();
        (!messages.is_empty()).then(|| messages.join(" "))
    }

    /// Returns the errors that no field of the form took, as a notice.
    pub(super) fn notice(&self) -> Option<Notice> {
        let messages: Vec<String> = self.fields.iter().map(|error| sentence(&clean(&error.message))).collect();
        (!messages.is_empty()).then(|| Notice::new("error", messages.join(" ")))
    }

    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }
}

/// Gives a page a status.
pub(super) fn with_status(status: StatusCode, mut page: Response) -> Response {
    *page.status_mut() = status;
    page
}

/// A field of a form, with its label and its error.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) value: String,
    pub(crate) autocomplete: &'static str,
    /// The kind of keyboard of a device without one; empty for the usual one.
    pub(crate) mode: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) is_required: bool,
    pub(crate) is_focused: bool,
    /// The smallest and the largest number.
    pub(crate) bounds: Option<(u32, u32)>,
    pub(crate) error: Option<String>,
}

impl Input {
    /// A field for text, which keeps what was typed.
    pub(super) fn text(name: &'static str, label: &'static str, typed: &Fields, errors: &mut Errors) -> Self {
        Self {
            name,
            label,
            kind: "text",
            value: clean(typed.text(name)),
            autocomplete: "off",
            mode: "",
            hint: "",
            is_required: true,
            is_focused: false,
            bounds: None,
            error: errors.take(name),
        }
    }

    /// A field for the name of an account that somebody signs in to.
    pub(super) fn user(typed: &Fields, errors: &mut Errors) -> Self {
        Self { autocomplete: "username", ..Self::text("name", "Name", typed, errors) }
    }

    /// A field for a new password, or for the current one. It is always empty.
    pub(super) fn password(
        name: &'static str,
        label: &'static str,
        autocomplete: &'static str,
        errors: &mut Errors,
    ) -> Self {
        Self { kind: "password", autocomplete, ..Self::text(name, label, &Fields::default(), errors) }
    }

    /// A field for a code of an authenticator app. It is always empty.
    pub(super) fn code(errors: &mut Errors) -> Self {
        let text = Self::text("code", "Code of the app", &Fields::default(), errors);
        Self { autocomplete: "one-time-code", mode: "numeric", ..text }
    }

    /// A field for a code of an authenticator app, or for a recovery code. It is always empty.
    pub(super) fn any_code(errors: &mut Errors) -> Self {
        let text = Self::text("code", "Code of the app, or a recovery code", &Fields::default(), errors);
        Self { autocomplete: "one-time-code", ..text }
    }

    /// A field for a number.
    pub(super) fn number(
        name: &'static str,
        label: &'static str,
        bounds: (u32, u32),
        typed: &Fields,
        errors: &mut Errors,
    ) -> Self {
        Self { kind: "number", bounds: Some(bounds), ..Self::text(name, label, typed, errors) }
    }

    pub(super) fn with_hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    pub(super) fn optional(self) -> Self {
        Self { is_required: false, ..self }
    }

    pub(super) fn focused(self) -> Self {
        Self { is_focused: true, ..self }
    }
}

/// A field with a few choices.
#[derive(Debug, Clone)]
pub(crate) struct Select {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) options: Vec<SelectOption>,
    pub(crate) hint: &'static str,
    pub(crate) error: Option<String>,
}

/// One choice of a field.
#[derive(Debug, Clone)]
pub(crate) struct SelectOption {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) is_chosen: bool,
}

impl Select {
    /// A field with the choices `options`: the value and the label of each. `chosen` is a value.
    pub(super) fn new(
        name: &'static str,
        label: &'static str,
        options: impl IntoIterator<Item = (String, String)>,
        chosen: &str,
        errors: &mut Errors,
    ) -> Self {
        let option = |(value, label): (String, String)| SelectOption {
            is_chosen: value == chosen,
            value: clean(&value),
            label: clean(&label),
        };
        Self { name, label, options: options.into_iter().map(option).collect(), hint: "", error: errors.take(name) }
    }

    pub(super) fn with_hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }
}
