//! A health check that reports the faults that a test sets.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::model::NodeFault;
use crate::ports::{CheckDepth, NodeHealth};

/// A scripted [`NodeHealth`].
#[derive(Debug, Clone, Default)]
pub struct ScriptedHealth(Arc<Mutex<Vec<NodeFault>>>);

impl ScriptedHealth {
    /// Sets the fault that each check reports from now on; `None` means that the machine is well.
    pub fn lack(&self, fault: Option<NodeFault>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fault.into_iter().collect();
    }
}

#[async_trait]
impl NodeHealth for ScriptedHealth {
    async fn check(&self, _: CheckDepth) -> Vec<NodeFault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
