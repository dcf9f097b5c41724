//! Who acts, with which rights and in which trace: the context that every operation of a service
//! takes.

use std::sync::Arc;

use super::{Grants, Principal, TraceContext};

/// Who acts, with which rights, and the trace that the operation belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// Who acts.
    pub principal: Principal,
    /// What it may do.
    pub grants: Arc<Grants>,
    /// The trace of the request or of the command.
    pub trace: TraceContext,
}

impl RequestContext {
    /// Returns the context of Kastrel itself, which has all rights.
    #[must_use]
    pub fn system(trace: TraceContext) -> Self {
        Self { principal: Principal::System, grants: Arc::new(Grants::all()), trace }
    }
}
