//! `/livez` and `/readyz`: the liveness and readiness probes of this process.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::SignedDuration;
use kastrel_actors::model::{FaultKind, HeldBack, Operation, RequestContext};
use kastrel_actors::policy::access::decide;
use kastrel_actors::policy::waiting::StartBlocker;
use kastrel_actors::ports::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use super::scans::fresh;
use super::stats::queue_depth;
use crate::api_types::{Check, Readiness};
use crate::web::state::{Web, WebInner};
use crate::web::viewer::Context;

/// The detail of a failed check, for clients that may not read the state of the server.
const HIDDEN: &str = "failed; sign in with a role on the server to read why";

const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// The age of an entry of the audit log from which on its seal is late.
const LATE_SEAL: SignedDuration = SignedDuration::from_secs(60);

/// The liveness of the process.
#[derive(Debug, Serialize, ToSchema)]
struct Alive {
    status: &'static str,
}

/// Liveness probe: responds while the process runs.
#[utoipa::path(
    get, path = "/livez", tag = "server",
    responses((status = 200, description = "The process responds", body = Alive, content_type = "application/json"))
)]
pub(crate) async fn livez() -> Response {
    fresh(StatusCode::OK, &Alive { status: "alive" })
}

/// Readiness probe: responds whether the process can do its work. On a server with accounts, only
/// clients that may read its state get the details of the checks.
#[utoipa::path(
    get, path = "/readyz", tag = "server",
    responses(
        (status = 200, description = "Ready", body = Readiness, content_type = "application/json"),
        (status = 503, description = "Not ready; see the failed checks", body = Readiness, content_type = "application/json"),
    )
)]
pub(crate) async fn readyz(State(web): State<Web>, Context(context): Context) -> Response {
    let (store, queue, blockers, sealing) =
        tokio::join!(store_check(&web), queue_check(&web), web.queue().start_blockers(), sealing_check(&web, &context));
    let mut checks = vec![store, queue, node_check(&web), starts_check(&blockers)];
    checks.extend(fault_checks(web.nodes().own_hold().as_ref()));
    checks.extend(sealing);
    let ready = checks.iter().all(|check| check.ok || !check.required);
    // The details name folders, addresses and counts of all scans.
    let sees_details = !web.has_accounts() || decide(&context.grants, Operation::ReadServer, None).is_ok();
    if !sees_details {
        for check in &mut checks {
            check.detail = if check.ok { "ok" } else { HIDDEN }.into();
        }
    }
    fresh(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &Readiness { ready, checks })
}

async fn store_check(web: &WebInner) -> Check {
    let (ok, detail) = match tokio::time::timeout(STORE_PATIENCE, web.reporting().ping()).await {
        Ok(Ok(())) => (true, "responding"),
        Ok(Err(error @ StoreError::Outdated)) => {
            return Check { name: "store".into(), ok: false, required: true, detail: error.to_string() };
        }
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the store failed its readiness check");
            (false, "not responding")
        }
        Err(_) => (false, "no response in time"),
    };
    Check { name: "store".into(), ok, required: true, detail: detail.into() }
}

async fn queue_check(web: &WebInner) -> Check {
    // This call comes first: if it finds a broken connection, the state that is read next already
    // shows that.
    let depth = queue_depth(web).await;
    let redis = web.state.redis.as_ref();
    let redis = redis.map(|redis| RedisView {
        address: redis.address().to_owned(),
        state: redis.state().to_string(),
        is_well: redis.is_connected(),
        deaf: redis.subscription_denied(),
    });
    queue_of(depth, redis)
}

/// The state of the Redis connection, as the queue check shows it.
struct RedisView {
    address: String,
    state: String,
    /// Whether the connection is up and Redis accepts signals.
    is_well: bool,
    /// Why Redis denies this node the subscription to the other nodes' messages.
    deaf: Option<String>,
}

fn queue_of(depth: Option<usize>, redis: Option<RedisView>) -> Check {
    let queue = depth.map_or_else(
        || "not responding; scans are accepted and start when it is back".into(),
        |depth| format!("responding, {depth} waiting"),
    );
    let (detail, is_well) = match redis {
        None => (queue, true),
        Some(RedisView { address, state, is_well, deaf: None }) => {
            (format!("Redis at {address}: {state}; {queue}"), is_well)
        }
        Some(RedisView { address, state, deaf: Some(why), .. }) => (
            format!("Redis at {address}: {state}, but this node receives no messages from other nodes: {why}; {queue}"),
            false,
        ),
    };
    Check { name: "queue".into(), ok: depth.is_some() && is_well, required: false, detail }
}

/// Returns the check whether any node can start scans. It is not required: this process accepts
/// scans even if no node starts any.
fn starts_check(blockers: &[StartBlocker]) -> Check {
    let detail = if blockers.is_empty() {
        "scans start".into()
    } else {
        blockers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    Check { name: "starts".into(), ok: blockers.is_empty(), required: false, detail }
}

/// Returns the check of the audit log, if its entries wait for long for their seal. It is not
/// required: they are sealed later.
async fn sealing_check(web: &WebInner, context: &RequestContext) -> Option<Check> {
    let state = tokio::time::timeout(STORE_PATIENCE, web.audit().sealing(context)).await.ok()?.ok()?;
    let age = web.now().duration_since(state.oldest?);
    (age > LATE_SEAL).then(|| Check {
        name: "audit_log".into(),
        ok: false,
        required: false,
        detail: format!(
            "entries of the audit log wait for their seal: {}, the oldest for {} s",
            state.waiting,
            age.as_secs()
        ),
    })
}

fn node_check(web: &WebInner) -> Check {
    if web.state.closing.is_cancelled() {
        return Check { name: "node".into(), ok: false, required: true, detail: "stopping".into() };
    }
    if !web.state.runs_scans {
        return Check {
            name: "node".into(),
            ok: true,
            required: true,
            detail: "none: this process runs no scans".into(),
        };
    }
    let state = web.nodes().state();
    Check { name: "node".into(), ok: state == "running", required: true, detail: state }
}

/// Returns a check for each fault of this process's node. The fault `Failures` is not required:
/// failed attempts hold scans back for some seconds only, and say nothing about the node.
fn fault_checks(held: Option<&HeldBack>) -> Vec<Check> {
    let faults = held.into_iter().flat_map(|held| &held.faults);
    faults
        .map(|fault| Check {
            name: fault.kind.to_string(),
            ok: false,
            required: fault.kind != FaultKind::Failures,
            detail: fault.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use kastrel_actors::testing::fixtures;

    use super::*;
    use crate::web::testing::{TestApp, json_of};

    #[test]
    fn queue_check_passes_when_redis_responds_and_the_subscription_works() {
        let redis = |deaf: Option<&str>| RedisView {
            address: "redis:6379/0".into(),
            state: "connected to Redis 7.2.5".into(),
            is_well: true,
            deaf: deaf.map(Into::into),
        };
        let refusing = RedisView {
            state: "connected to Redis 7.2.5, which refuses signals since 2026: OOM".into(),
            is_well: false,
            ..redis(None)
        };
        for (depth, redis, ok, detail) in [
            (Some(2), None, true, "responding, 2 waiting"),
            (None, None, false, "not responding; scans are accepted and start when it is back"),
            (
                Some(2),
                Some(refusing),
                false,
                "Redis at redis:6379/0: connected to Redis 7.2.5, which refuses signals since 2026: OOM; responding, 2 waiting",
            ),
            (
                Some(2),
                Some(redis(None)),
                true,
                "Redis at redis:6379/0: connected to Redis 7.2.5; responding, 2 waiting",
            ),
            (
                Some(2),
                Some(redis(Some("NOPERM no permissions to access one of the channels"))),
                false,
                "Redis at redis:6379/0: connected to Redis 7.2.5, but this node receives no messages from other nodes: NOPERM no permissions to access one of the channels; responding, 2 waiting",
            ),
        ] {
            let check = queue_of(depth, redis);
            assert_eq!((check.ok, check.required, check.detail.as_str()), (ok, false, detail));
        }
    }

    #[tokio::test]
    async fn node_with_a_fault_is_not_ready_and_names_fault_and_remedy() {
        let app = TestApp::new();
        app.snapshots.status.actor("node", jiff::Timestamp::UNIX_EPOCH, |view| view.state = "running".into());
        for (kind, status) in [(FaultKind::ResultsFolder, 503), (FaultKind::Failures, 200)] {
            app.hold(kind, "the results folder /r is missing");
            let response = app.get("/readyz").await;
            assert_eq!(response.status(), status, "{kind}");
            let check = json_of(response).await["checks"][4].clone();
            let expected = serde_json::json!({ "name": kind, "ok": false, "required": status == 503, "detail": "the results folder /r is missing (make it again)" });
            assert_eq!(check, expected);
        }
        app.hold_nothing();
        assert_eq!(json_of(app.get("/readyz").await).await["checks"].as_array().map(Vec::len), Some(4));
    }

    #[tokio::test(start_paused = true)]
    async fn late_seals_of_the_audit_log_are_shown_and_do_not_make_the_process_unready() {
        let app = TestApp::new();
        app.snapshots.status.actor("node", jiff::Timestamp::UNIX_EPOCH, |view| view.state = "running".into());
        app.submitted("example.com").await;
        let late = async || json_of(app.get("/readyz").await).await["checks"].as_array().unwrap().get(4).cloned();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(late().await, None);
        tokio::time::advance(Duration::from_secs(10)).await;
        let detail = "entries of the audit log wait for their seal: 1, the oldest for 70 s";
        let expected = serde_json::json!({ "name": "audit_log", "ok": false, "required": false, "detail": detail });
        assert_eq!(late().await, Some(expected));
        assert_eq!(app.get("/readyz").await.status(), 200);
    }

    #[tokio::test]
    async fn start_blockers_are_shown_and_do_not_make_the_process_unready() {
        let app = TestApp::new();
        app.snapshots.status.actor("node", jiff::Timestamp::UNIX_EPOCH, |view| view.state = "running".into());
        let starts = async || json_of(app.get("/readyz").await).await["checks"][3].clone();
        assert_eq!(
            starts().await,
            serde_json::json!({ "name": "starts", "ok": true, "required": false, "detail": "scans start" })
        );
        app.services.queue.pause(&fixtures::context(), Some("an upgrade")).await.unwrap();
        assert_eq!(
            starts().await["detail"],
            "Queue paused: no scan starts. Reason: an upgrade. Running scans continue."
        );
        assert_eq!(app.get("/readyz").await.status(), 200);
    }

    #[tokio::test]
    async fn details_are_hidden_from_clients_that_may_not_read_the_server() {
        let app = TestApp::with_accounts();
        app.hold(FaultKind::ResultsFolder, "the results folder /r is missing");
        app.submitted("example.com").await;
        let response = app.get("/readyz").await;
        assert_eq!(response.status(), 503);
        let checks = json_of(response).await["checks"].clone();
        let details: Vec<&str> =
            checks.as_array().unwrap().iter().map(|check| check["detail"].as_str().unwrap()).collect();
        assert_eq!(details, ["ok", "ok", HIDDEN, HIDDEN, HIDDEN]);
    }

    #[tokio::test]
    async fn livez_succeeds_whatever_is_broken() {
        let app = TestApp::new();
        app.store.fail_with("down");
        assert_eq!(app.get("/livez").await.status(), 200);
    }

    #[tokio::test]
    async fn readyz_succeeds_when_store_queue_and_node_are_ready() {
        let app = TestApp::new();
        let not_yet = app.get("/readyz").await;
        assert_eq!(not_yet.status(), 503);
        assert_eq!(json_of(not_yet).await["checks"][2]["detail"], "not running");
        app.snapshots.status.actor("node", jiff::Timestamp::UNIX_EPOCH, |view| view.state = "running".into());
        assert_eq!(app.get("/readyz").await.status(), 200);
        app.store.fail_with("down at secret-host");
        let down = app.get("/readyz").await;
        assert_eq!(down.status(), 503);
        let body = json_of(down).await;
        assert_eq!((&body["ready"], &body["checks"][0]["ok"]), (&false.into(), &false.into()));
        assert!(!body.to_string().contains("secret"));
        app.store.recover();
        app.closing.cancel();
        assert_eq!(app.get("/readyz").await.status(), 503, "a server that stops takes no more");
    }
}
