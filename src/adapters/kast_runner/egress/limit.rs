//! The egress limit in the configuration.

use kastrel_actors::policy::scope::ScopeRule;

/// The limit as configured by the operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressLimit {
    /// The destinations that every attempt may reach in addition to its target and the resolvers:
    /// ranges, and names. A name stands for its addresses at the start of an attempt.
    pub allow: Vec<ScopeRule>,
}
