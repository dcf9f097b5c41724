//! The sessions of an account, as its pages show them.

use kastrel_actors::model::{SecretDigest, Session};

use super::fields::Fields;
use crate::web::error::{Problem, ProblemKind};
use crate::web::text::{MomentText, clean};
use crate::web::zone::WallClock;

/// A session.
pub(super) struct SessionRow {
    pub(super) key: String,
    pub(super) created: MomentText,
    pub(super) used: MomentText,
    pub(super) address: String,
    pub(super) agent: String,
    /// Whether the viewer sees the page in this session.
    pub(super) is_this: bool,
}

/// Returns the rows of sessions. `own` is the viewer's.
pub(super) fn session_rows(sessions: &[Session], own: Option<SecretDigest>, clock: &WallClock) -> Vec<SessionRow> {
    let row = |session: &Session| SessionRow {
        key: session.key.to_string(),
        created: clock.moment(session.created_at),
        used: clock.moment(session.used_at),
        address: clean(&session.address),
        agent: clean(&session.agent),
        is_this: own == Some(session.key),
    };
    sessions.iter().map(row).collect()
}

/// The sessions that a form ends.
pub(super) enum ToEnd {
    One(SecretDigest),
    /// All, except the viewer's own.
    Others,
}

impl ToEnd {
    pub(super) fn read(fields: &Fields) -> Result<Self, Problem> {
        if fields.text("all") == "1" {
            return Ok(Self::Others);
        }
        let key = fields.text("key").parse::<SecretDigest>();
        key.map(Self::One).map_err(|_| Problem::new(ProblemKind::Malformed, "the form names no session"))
    }
}
