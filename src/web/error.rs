//! The error type of the web server, as plain data.
//!
//! A handler returns a [`Problem`], which travels in the extensions of its response. The outer
//! middleware, which has the path and the trace, renders it (`problem_response`). The internal
//! cause is only written to the log, where the trace id finds it.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kastrel_actors::model::FieldError;
use kastrel_actors::policy::access::Denial;
use kastrel_actors::policy::admission::{QueueLimit, QueueRefusal};
use kastrel_actors::ports::StoreError;
use kastrel_actors::service::{CommandError, SubmitError};

use crate::ports::ArtifactError;
use crate::service::DeletionError;
use crate::service::access::{AccountError, DeviceLoginError};
use crate::service::findings::{CompareError, TriageError};

/// The longest text that a response repeats from a request, in characters.
pub(crate) const MOST_NAME: usize = 200;
/// The longest detail, and the longest message of a field, in characters.
pub(crate) const MOST_DETAIL: usize = 1000;
/// How many wrong fields a response names.
pub(crate) const MOST_ERRORS: usize = 20;

/// Cuts a text that is longer than `most` characters.
pub(crate) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

/// The kinds of problems. Each kind has a status, a title and the last part of its `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProblemKind {
    Malformed,
    InvalidQuery,
    InvalidKey,
    CrossSite,
    /// The client must say who it is.
    Unauthorized,
    /// The principal has no permission.
    Forbidden,
    NotFound,
    MethodNotAllowed,
    AlreadyEnded,
    /// The server would have no administrator.
    LastAdmin,
    NotEnded,
    NotRendered,
    SlowBody,
    TooLarge,
    NotJson,
    WrongHost,
    InvalidFields,
    KeyReused,
    ClientShare,
    /// Nobody has decided about a device login.
    AuthorizationPending,
    /// A poll of a device login came too early.
    SlowDown,
    /// A device login was denied.
    AccessDenied,
    /// A device login is not valid any more.
    ExpiredToken,
    TooManyLogins,
    QueueFull,
    Internal,
    Busy,
    TooManyStreams,
    Loading,
    StoreUnavailable,
    FilesUnavailable,
    TimedOut,
}

impl ProblemKind {
    /// Returns the status, the slug and the title.
    pub(crate) const fn about(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, "malformed", "The request could not be read"),
            Self::InvalidQuery => (StatusCode::BAD_REQUEST, "invalid-query", "The query has invalid parameters"),
            Self::InvalidKey => (StatusCode::BAD_REQUEST, "invalid-idempotency-key", "The idempotency key is invalid"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Not signed in"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
            Self::CrossSite => (StatusCode::FORBIDDEN, "cross-site", "Request not from this site"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed"),
            Self::AlreadyEnded => (StatusCode::CONFLICT, "already-ended", "Scan already finished"),
            Self::LastAdmin => (StatusCode::CONFLICT, "last-admin", "Last administrator"),
            Self::NotEnded => (StatusCode::CONFLICT, "not-ended", "Scan not finished"),
            Self::NotRendered => (StatusCode::CONFLICT, "not-rendered", "Report not regenerated"),
            Self::SlowBody => (StatusCode::REQUEST_TIMEOUT, "slow-request", "The request arrived too slowly"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large"),
            Self::NotJson => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The request has the wrong content type")
            }
            Self::WrongHost => (StatusCode::MISDIRECTED_REQUEST, "wrong-host", "Host name not allowed"),
            Self::InvalidFields => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid-fields", "The request has invalid fields")
            }
            Self::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "The idempotency key belongs to another request",
            ),
            Self::ClientShare => {
                (StatusCode::TOO_MANY_REQUESTS, "client-share", "Too many queued scans of this client")
            }
            // The words and the status of RFC 8628, 3.5.
            Self::AuthorizationPending => (StatusCode::BAD_REQUEST, "authorization-pending", "Not allowed yet"),
            Self::SlowDown => (StatusCode::BAD_REQUEST, "slow-down", "Polled too often"),
            Self::AccessDenied => (StatusCode::BAD_REQUEST, "access-denied", "Login denied"),
            Self::ExpiredToken => (StatusCode::BAD_REQUEST, "expired-token", "Login not valid any more"),
            Self::TooManyLogins => (StatusCode::TOO_MANY_REQUESTS, "too-many-logins", "Too many logins wait"),
            Self::QueueFull => (StatusCode::SERVICE_UNAVAILABLE, "queue-full", "The queue is full"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many requests at once"),
            Self::TooManyStreams => {
                (StatusCode::SERVICE_UNAVAILABLE, "too-many-streams", "Too many event streams are open")
            }
            Self::Loading => (StatusCode::SERVICE_UNAVAILABLE, "loading", "Not available yet"),
            Self::StoreUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", "Database not responding"),
            Self::FilesUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "files-unavailable", "File store not responding")
            }
            Self::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "timed-out", "The request took too long"),
        }
    }
}

/// An error response, before it is rendered.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(super) kind: ProblemKind,
    pub(super) detail: Cow<'static, str>,
    pub(super) errors: Vec<FieldError>,
    pub(super) retry_after: Option<u32>,
    /// True if the denial has no entry in the audit log yet.
    pub(super) is_unrecorded_denial: bool,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            is_unrecorded_denial: false,
            source: None,
        }
    }

    /// The scan, file or page does not exist.
    pub(crate) fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ProblemKind::NotFound, detail)
    }

    /// The principal lacks a right. The middleware records the denial.
    pub(crate) fn denied(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { is_unrecorded_denial: true, ..Self::new(ProblemKind::Forbidden, detail) }
    }

    /// The store cannot say whose credential the request has.
    pub(crate) fn unknown_sender(error: &StoreError) -> Self {
        tracing::warn!(error = error as &dyn Error, "the sender of a request could not be read");
        Self::new(ProblemKind::StoreUnavailable, "the database does not respond, so nobody can sign in; try again")
            .retry_after(5)
    }

    /// An internal failure that the client cannot fix.
    pub(crate) fn internal(source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            source: Some(Arc::new(source)),
            ..Self::new(ProblemKind::Internal, "the cause is in the server's log under this trace id")
        }
    }

    /// A problem with all wrong fields.
    pub(crate) fn fields(kind: ProblemKind, errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => format!("{}: {}", only.field, only.message),
            several => format!("{} invalid fields", several.len()),
        };
        let errors = errors.into_iter().take(MOST_ERRORS);
        let errors = errors
            .map(|error| FieldError::new(shortened(&error.field, MOST_NAME), shortened(&error.message, MOST_DETAIL)))
            .collect();
        Self { errors, ..Self::new(kind, detail) }
    }

    /// Adds a `Retry-After` header with this number of seconds.
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Puts a text in front of the detail: the part of the work that was done despite the problem.
    pub(crate) fn after(self, done: &str) -> Self {
        Self { detail: format!("{done}; {}", self.detail).into(), ..self }
    }

    /// Returns the last part of the `type`.
    pub(crate) fn slug(&self) -> &'static str {
        self.kind.about().1
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.kind.about().0
    }

    /// Writes a failure of the server to the log, with its cause.
    pub(crate) fn log(&self, path: &str, trace_id: &str) {
        if !self.status().is_server_error() {
            return;
        }
        let problem = self.slug();
        match &self.source {
            Some(source) => tracing::error!(
                trace_id,
                http.path = path,
                problem,
                error = source.as_ref() as &dyn Error,
                "a request failed"
            ),
            None => {
                tracing::warn!(trace_id, http.path = path, problem, detail = %self.detail, "a request was turned away");
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ArtifactError> for Problem {
    fn from(error: ArtifactError) -> Self {
        match error {
            // An invalid path and a missing file give the same response, so that a client that
            // probes paths learns nothing.
            ArtifactError::NotFound | ArtifactError::Refused => Self::not_found("file not found"),
            // The route that supports ranges handles `OutOfRange` itself.
            ArtifactError::OutOfRange { .. } | ArtifactError::Broken(_) => Self::internal(error),
            ArtifactError::Unavailable(_) => {
                let problem = Self::new(
                    ProblemKind::FilesUnavailable,
                    "the scans themselves are not affected; try again in a moment",
                )
                .retry_after(5);
                Self { source: Some(Arc::new(error)), ..problem }
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                let problem =
                    Self::new(ProblemKind::StoreUnavailable, "nothing was lost; try again in a moment").retry_after(5);
                Self { source: Some(Arc::new(error)), ..problem }
            }
            StoreError::Corrupt(_) => Self::internal(error),
            StoreError::Outdated => {
                let problem = Self::new(ProblemKind::StoreUnavailable, error.to_string());
                Self { source: Some(Arc::new(error)), ..problem }
            }
        }
    }
}

impl From<QueueRefusal> for Problem {
    fn from(refusal: QueueRefusal) -> Self {
        let kind = match refusal.limit {
            QueueLimit::Full { .. } => ProblemKind::QueueFull,
            QueueLimit::ClientShare { .. } => ProblemKind::ClientShare,
        };
        Self::new(kind, refusal.to_string())
            .retry_after(u32::try_from(refusal.retry_after.as_secs()).unwrap_or(u32::MAX))
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Invalid(errors) => Self::fields(ProblemKind::InvalidFields, errors),
            SubmitError::KeyReused(id) => {
                let wrong = FieldError::new(
                    "Idempotency-Key",
                    format!("already used for scan {id}, which was submitted with other fields"),
                );
                Self::fields(ProblemKind::KeyReused, vec![wrong])
            }
            SubmitError::Denied(denial) => denial.into(),
            error @ SubmitError::NotEnded(..) => Self::new(ProblemKind::NotEnded, error.to_string()),
            SubmitError::Queue(refusal) => refusal.into(),
            SubmitError::Store(error) => error.into(),
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Invalid(error) => Self::fields(ProblemKind::InvalidFields, vec![error]),
            CommandError::Denied(denial) => denial.into(),
            CommandError::Store(error) => error.into(),
        }
    }
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Self {
        match denial {
            // A missing object gives the same response.
            Denial::NotVisible => Self::not_found(denial.to_string()),
            Denial::Lacks { .. } | Denial::NotCleared(_) => Self::denied(denial.to_string()),
        }
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Invalid(errors) => Self::fields(ProblemKind::InvalidFields, errors),
            // The access service has recorded it.
            AccountError::Denied(denial) => Self { is_unrecorded_denial: false, ..denial.into() },
            AccountError::LastAdmin => Self::new(ProblemKind::LastAdmin, error.to_string()),
            AccountError::Store(error) => error.into(),
        }
    }
}

impl From<CompareError> for Problem {
    fn from(error: CompareError) -> Self {
        let text = error.to_string();
        match error {
            // A scan that may not be read has the response of one that does not exist.
            CompareError::NoScan(_) => Self::not_found("scan not found"),
            CompareError::NoResult(_) => Self::not_found(text),
            CompareError::SameScan(_) | CompareError::OtherTarget(..) => {
                Self::fields(ProblemKind::InvalidFields, vec![FieldError::new("with", text)])
            }
            CompareError::Store(error) => error.into(),
        }
    }
}

impl From<TriageError> for Problem {
    fn from(error: TriageError) -> Self {
        match error {
            TriageError::Invalid(errors) => Self::fields(ProblemKind::InvalidFields, errors),
            TriageError::Denied(denial) => denial.into(),
            TriageError::Store(error) => error.into(),
        }
    }
}

impl From<DeviceLoginError> for Problem {
    fn from(error: DeviceLoginError) -> Self {
        let detail = error.to_string();
        match error {
            DeviceLoginError::Invalid(errors) => Self::fields(ProblemKind::InvalidFields, errors),
            DeviceLoginError::Full { retry_after } => Self::new(ProblemKind::TooManyLogins, detail)
                .retry_after(u32::try_from(retry_after.as_secs()).unwrap_or(u32::MAX)),
            DeviceLoginError::Store(error) => error.into(),
        }
    }
}

impl From<DeletionError> for Problem {
    fn from(error: DeletionError) -> Self {
        match error {
            DeletionError::Command(error) => error.into(),
            DeletionError::Task(error) => Self::internal(error),
        }
    }
}

/// Returns whether the clients of this path are programs.
pub(crate) fn is_for_programs(path: &str) -> bool {
    path.starts_with("/api/") || matches!(path, "/api" | "/mcp" | "/livez" | "/readyz" | "/metrics")
}
