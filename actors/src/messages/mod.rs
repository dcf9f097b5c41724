//! The messages of the actors that more than one other actor addresses. They stand below the actors,
//! so that no actor imports another one.

pub(crate) mod scan;
pub(crate) mod supervisor;
