//! The probe of the store for `kastrel doctor`: it writes a row, reads it back and removes it.

use std::time::Duration;

use jiff::SignedDuration;

use super::NodeService;
use super::error::CommandError;
use crate::model::{NodeRegistration, Operation, RequestContext};
use crate::policy::access::decide;

/// The lease duration of the written row, in case nothing removes it.
const ROW_LIVES: Duration = Duration::from_secs(30);

impl NodeService {
    /// Writes the row of `node`, which must take no scans, reads it back, and removes it. Returns
    /// the least difference between the store's clock and the clock of this process, or `None` if
    /// the row was not there when it was read back.
    ///
    /// # Errors
    /// The principal may not change the server, or the store fails.
    pub async fn probe_store(
        &self,
        context: &RequestContext,
        node: NodeRegistration,
    ) -> Result<Option<SignedDuration>, CommandError> {
        decide(&context.grants, Operation::ChangeServer, None)?;
        let (id, before) = (node.id.clone(), self.ports.clock.now());
        self.ports.store.nodes.register(node, ROW_LIVES).await?;
        let after = self.ports.clock.now();
        let read = self.sorted().await;
        let removed = self.ports.store.nodes.remove(&id).await;
        let Some(row) = read?.into_iter().find(|node| node.registration.id == id) else { return Ok(None) };
        removed?;
        let theirs = row
            .expires_at
            .saturating_sub(SignedDuration::try_from(ROW_LIVES).unwrap_or_default())
            .unwrap_or(row.expires_at);
        // Without skew, the store's time is between our two times. Outside of them, the distance is
        // the minimum skew.
        Ok(Some(if theirs < before {
            before.duration_since(theirs)
        } else if theirs > after {
            theirs.duration_since(after)
        } else {
            SignedDuration::ZERO
        }))
    }
}
