//! Nodes, their leases, and their running scans.
//!
//! A node's row is its lease. The transaction that finds orphaned scans also deletes expired rows:
//! a node that returns later finds no row and is refused.

use std::time::Duration;

use kastrel_actors::model::{
    FencingToken, NodeId, NodeLease, NodeLeaseRefused, NodeRecord, NodeRegistration, RunningScan, ScanId,
};
use kastrel_actors::policy::lease::{SILENCE, SPARED, left_to_drain};
use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, SurrealValue};

use super::calls;
use super::error::Failure;
use super::row;
use super::store::SurrealStore;

#[derive(Debug, Clone, SurrealValue)]
struct LeaseArguments {
    key: RecordId,
    name: String,
    description: String,
    ttl: i64,
    offset: i64,
}

#[derive(Debug, SurrealValue)]
struct LeaseAnswer {
    expires_at: Option<i64>,
    cancels: Vec<i64>,
    drain: Option<i64>,
    within: Option<i64>,
    paused: bool,
}

#[derive(Debug, Clone, SurrealValue)]
struct NodeArguments {
    key: RecordId,
    name: String,
}

#[derive(Debug, Clone, SurrealValue)]
struct OrphanArguments {
    offset: i64,
    silence: i64,
    spared: i64,
    for_ever: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct Offset {
    offset: i64,
}

#[derive(Debug, SurrealValue)]
struct RunningRow {
    number: i64,
    node: String,
    token: i64,
    failures: i64,
}

#[derive(Debug, SurrealValue)]
struct RunningAnswer {
    running: Vec<RunningRow>,
}

#[derive(Debug, SurrealValue)]
struct NodeRow {
    name: String,
    alive: bool,
    expires_at: i64,
    drain_by: Option<i64>,
    description: String,
}

#[derive(Debug, SurrealValue)]
struct ClaimArguments {
    name: String,
    every: i64,
    offset: i64,
}

#[derive(Debug, SurrealValue)]
struct ClaimAnswer {
    mine: bool,
}

#[derive(Debug, SurrealValue)]
struct NodesAnswer {
    nodes: Vec<NodeRow>,
}

pub(super) const REGISTER: &str = "
    BEGIN;
    IF (SELECT VALUE since FROM ONLY restore:running FOR UPDATE) != NONE { THROW 'the database is being restored' };
    LET $now = time::nano(time::now()) + $offset;
    LET $granted = UPSERT $key SET name = $name, expires_at = $now + $ttl, ttl = $ttl, description = $description RETURN expires_at, drain_by, drain_within;
    RETURN {
        expires_at: $granted[0].expires_at,
        cancels: (SELECT number FROM scan WHERE node = $name AND cancel = true ORDER BY number).number,
        drain: IF $granted[0].drain_by != NONE { $granted[0].drain_by - $now } ELSE { NONE },
        within: $granted[0].drain_within,
        paused: (SELECT VALUE begun FROM ONLY pause:queue) != NONE,
    };
    COMMIT;";

const RENEW: &str = "
    BEGIN;
    LET $now = time::nano(time::now()) + $offset;
    LET $renewed = UPDATE $key SET expires_at = $now + $ttl, ttl = $ttl, description = $description RETURN expires_at, drain_by, drain_within;
    RETURN {
        expires_at: $renewed[0].expires_at,
        cancels: (SELECT number FROM scan WHERE node = $name AND cancel = true ORDER BY number).number,
        drain: IF $renewed[0].drain_by != NONE { $renewed[0].drain_by - $now } ELSE { NONE },
        within: $renewed[0].drain_within,
        paused: (SELECT VALUE begun FROM ONLY pause:queue) != NONE,
    };
    COMMIT;";

const RUNNING_ON: &str =
    "RETURN { running: (SELECT number, node, token, failures FROM scan WHERE node = $name ORDER BY number) };";

/// Ends expired leases and returns their running scans. `policy::lease::fate` defines the rules.
/// The row of a node of an earlier version, with a `registration`, cannot be changed, and ends with
/// its lease.
const ORPHANS: &str = "
    BEGIN;
    LET $now = time::nano(time::now()) + $offset;
    LET $last = (SELECT VALUE at FROM ONLY watch:leases) ?? $now;
    UPDATE node SET expires_at = $now + ttl WHERE registration = NONE AND expires_at - $now > (ttl ?? $for_ever) RETURN NONE;
    IF $now - $last > $silence { UPDATE node SET expires_at = $now + $spared WHERE registration = NONE AND expires_at <= $now AND expires_at > $last RETURN NONE };
    DELETE node WHERE expires_at <= $now RETURN NONE;
    UPSERT watch:leases SET at = $now RETURN NONE;
    LET $alive = SELECT VALUE name FROM node;
    RETURN { running: (SELECT number, node, token, failures FROM scan WHERE status = 'running' AND node NOT IN $alive ORDER BY number) };
    COMMIT;";

const NODES: &str = "
    LET $now = time::nano(time::now()) + $offset;
    RETURN { nodes: (SELECT name, expires_at, expires_at > $now AS alive, drain_by, description ?? registration AS description FROM node ORDER BY name) };";

const CLAIM_LOOK: &str = "
    BEGIN;
    LET $now = time::nano(time::now()) + $offset;
    LET $next = (SELECT VALUE until FROM ONLY look:cluster) ?? 0;
    LET $mine = $next <= $now OR $next > $now + $every;
    IF $mine { UPSERT look:cluster SET until = $now + $every, holder = $name RETURN NONE };
    RETURN { mine: $mine };
    COMMIT;";

/// Deletes a node and its reconciliation turn, so that another node can take the turn immediately.
const FORGET: &str = "
    BEGIN;
    DELETE $key RETURN NONE;
    DELETE look:cluster WHERE holder = $name RETURN NONE;
    COMMIT;";

const END_OTHERS: &str = "
    BEGIN;
    DELETE node WHERE name != $name RETURN NONE;
    DELETE look:cluster WHERE holder != $name RETURN NONE;
    COMMIT;";

pub(super) fn node_key(node: &NodeId) -> RecordId {
    RecordId::new("node", node.as_str())
}

impl SurrealStore {
    pub(super) async fn grant(&self, node: &NodeRegistration, ttl: Duration) -> Result<NodeLease, StoreError> {
        let answer: LeaseAnswer = calls::call_again(&self.inner.db, REGISTER, self.lease_arguments(node, ttl)?).await?;
        lease(answer)?.ok_or_else(|| row::corrupt("a new lease has no end"))
    }

    pub(super) async fn renew_row(
        &self,
        node: &NodeRegistration,
        ttl: Duration,
    ) -> Result<Result<NodeLease, NodeLeaseRefused>, StoreError> {
        let answer: LeaseAnswer = calls::call_again(&self.inner.db, RENEW, self.lease_arguments(node, ttl)?).await?;
        Ok(lease(answer)?.ok_or(NodeLeaseRefused))
    }

    pub(super) async fn forget(&self, node: &NodeId) -> Result<(), StoreError> {
        Ok(calls::execute_again(&self.inner.db, FORGET, NodeArguments { key: node_key(node), name: node.to_string() })
            .await?)
    }

    pub(super) async fn end_others(&self, keep: &NodeId) -> Result<(), StoreError> {
        Ok(calls::execute_again(
            &self.inner.db,
            END_OTHERS,
            NodeArguments { key: node_key(keep), name: keep.to_string() },
        )
        .await?)
    }

    pub(super) async fn of_node(&self, node: &NodeId) -> Result<Vec<RunningScan>, StoreError> {
        let arguments = NodeArguments { key: node_key(node), name: node.to_string() };
        running(calls::call_again(&self.inner.db, RUNNING_ON, arguments).await?)
    }

    pub(super) async fn end_expired(&self) -> Result<Vec<RunningScan>, StoreError> {
        let nanoseconds = |wait: Duration| i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX);
        let arguments = OrphanArguments {
            offset: self.inner.offset(),
            silence: nanoseconds(SILENCE),
            spared: nanoseconds(SPARED),
            for_ever: i64::MAX,
        };
        running(calls::call_again(&self.inner.db, ORPHANS, arguments).await?)
    }

    pub(super) async fn all_nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        let answer: NodesAnswer =
            calls::call_again(&self.inner.db, NODES, Offset { offset: self.inner.offset() }).await?;
        let mut nodes = Vec::with_capacity(answer.nodes.len());
        for node in answer.nodes {
            match serde_json::from_str(&node.description) {
                Ok(registration) => nodes.push(NodeRecord {
                    registration,
                    expires_at: row::timestamp(node.expires_at)?,
                    is_alive: node.alive,
                    drain_by: node.drain_by.map(row::timestamp).transpose()?,
                }),
                // The registration may come from a newer version. The other nodes are still listed.
                Err(error) => tracing::warn!(
                    node.id = node.name,
                    error = &error as &dyn std::error::Error,
                    "cannot read what a node says of itself"
                ),
            }
        }
        Ok(nodes)
    }

    pub(super) async fn claim(&self, node: &NodeId, every: Duration) -> Result<bool, StoreError> {
        let arguments = ClaimArguments {
            name: node.to_string(),
            every: i64::try_from(every.as_nanos()).map_err(row::corrupt)?,
            offset: self.inner.offset(),
        };
        match calls::call::<ClaimAnswer>(&self.inner.db, CLAIM_LOOK, arguments).await {
            Ok(answer) => Ok(answer.mine),
            // Another node has the turn.
            Err(error) if error.failure() == Failure::Conflict => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn lease_arguments(&self, node: &NodeRegistration, ttl: Duration) -> Result<LeaseArguments, StoreError> {
        Ok(LeaseArguments {
            key: node_key(&node.id),
            name: node.id.to_string(),
            description: serde_json::to_string(node).map_err(row::corrupt)?,
            ttl: i64::try_from(ttl.as_nanos()).map_err(row::corrupt)?,
            offset: self.inner.offset(),
        })
    }
}

fn lease(answer: LeaseAnswer) -> Result<Option<NodeLease>, StoreError> {
    let Some(expires_at) = answer.expires_at else { return Ok(None) };
    let cancels =
        answer.cancels.into_iter().map(|number| row::unsigned(number).map(ScanId)).collect::<Result<_, _>>()?;
    let nanoseconds = |number: i64| Duration::from_nanos(u64::try_from(number).unwrap_or_default());
    let drain = answer.drain.map(|left| left_to_drain(nanoseconds(left), answer.within.map(nanoseconds)));
    Ok(Some(NodeLease { expires_at: row::timestamp(expires_at)?, cancels, drain, paused: answer.paused }))
}

fn running(answer: RunningAnswer) -> Result<Vec<RunningScan>, StoreError> {
    answer
        .running
        .into_iter()
        .map(|found| {
            Ok(RunningScan {
                id: ScanId(row::unsigned(found.number)?),
                node: found.node.parse().map_err(row::corrupt)?,
                token: FencingToken(row::unsigned(found.token)?),
                failures: u32::try_from(found.failures).map_err(row::corrupt)?,
            })
        })
        .collect()
}
