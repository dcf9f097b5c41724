//! The fields that a browser sends with a form, and errors of fields.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use kastrel_actors::model::FieldError;
use kastrel_actors::service::CommandError;
use url::form_urlencoded;

use crate::web::api::submission::unreadable;
use crate::web::error::Problem;
use crate::web::text::{clean, sentence};

/// The fields of a form.
#[derive(Debug, Default, Clone)]
pub(crate) struct Typed(Vec<(String, String)>);

impl Typed {
    pub(crate) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// Returns a field without the blanks around it; empty if it was not sent.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.trim())
    }

    /// Returns all values of a field.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.trim())
    }

    /// Returns whether a box is ticked.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.text(name) == "yes"
    }
}

impl<S: Send + Sync> FromRequest<S> for Typed {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await.map_err(|rejection| unreadable(&rejection))?;
        Ok(Self::parse(&body))
    }
}

/// A field as it was typed, with its error.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) value: String,
    pub(crate) error: Option<String>,
}

impl Field {
    /// Returns the field of a form with the first error that belongs to it.
    pub(crate) fn new(name: &str, value: &str, errors: &[FieldError]) -> Self {
        let error = errors.iter().find(|error| error.field == name);
        Self { value: clean(value), error: error.map(|error| sentence(&clean(&error.message))) }
    }
}

/// Returns the errors of fields that a page has not shown beside a field of its own.
pub(crate) fn other_errors(shown: &[&str], errors: &[FieldError]) -> Vec<String> {
    let others = errors.iter().filter(|error| !shown.contains(&error.field.as_str()));
    others.map(|error| sentence(&clean(&format!("{}: {}.", error.field, error.message)))).collect()
}

/// Returns the error of a field that a service names.
///
/// # Errors
/// The error is of another kind: it has a page of its own.
pub(crate) fn field_error(error: CommandError) -> Result<FieldError, Problem> {
    match error {
        CommandError::Invalid(error) => Ok(error),
        other => Err(other.into()),
    }
}
