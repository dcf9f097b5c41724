//! The identity of an account at the identity provider, as the pages show it.

use kastrel_actors::model::LinkedIdentity;

use super::fields::{Errors, Fields, Input};
use crate::service::access::AccessService;
use crate::web::text::{MomentText, clean};
use crate::web::zone::WallClock;

/// The identity of an account, as the pages show it.
pub(super) struct IdentityLine {
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) linked: MomentText,
}

impl IdentityLine {
    pub(super) fn new(linked: &LinkedIdentity, clock: &WallClock) -> Self {
        Self {
            subject: clean(linked.identity.subject()),
            issuer: clean(linked.identity.issuer()),
            linked: clock.moment(linked.linked_at),
        }
    }
}

/// Returns the field of the form that links an account, where there is an identity provider.
pub(super) fn subject_field(access: &AccessService, typed: &Fields, errors: &mut Errors) -> Option<Input> {
    access.provider_name()?;
    Some(Input::text("subject", "Subject at the identity provider", typed, errors))
}
