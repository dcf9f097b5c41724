//! A machine that lacks what a test takes from it.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::model::NodeFault;
use crate::ports::{CheckDepth, NodeHealth};

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct ScriptedHealth(Arc<Mutex<Vec<NodeFault>>>);

impl ScriptedHealth {
    /// From now on each check finds this; nothing: the machine is well.
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
