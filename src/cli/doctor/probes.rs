//! Probes the configured services: writes a row and reads it back, reads the state of Redis,
//! exports a span, a metric and a log record, and counts processes without an owner.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kastrel_actors::model::{MailAddress, NodeActivity, NodeHold, NodeId, NodeRegistration};
use kastrel_actors::ports::{Clock as _, SystemClock};
use kastrel_actors::service::NodeService;

use super::model::{Collector, Probe, RedisFacts, Tried};
use crate::adapters::kast_runner::count_leftovers;
use crate::app::{identity_provider, mailer};
use crate::cli::backend::context;
use crate::config::Config;
use crate::ports::Mail;
use crate::telemetry::variables::Plan;
use crate::telemetry::{Signal, try_collector};

/// The timeout of Redis.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes a row of a node that takes no scans, reads it back, and removes it. The row also shows
/// the database's clock.
pub(super) async fn write_and_read(nodes: &NodeService, is_shared: bool) -> Result<Probe, String> {
    let id =
        format!("doctor-{}", uuid::Uuid::new_v4().simple()).parse::<NodeId>().map_err(|error| error.to_string())?;
    let node = NodeRegistration {
        id,
        host: "doctor".into(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        capacity: 0,
        running: 0,
        started_at: SystemClock.now(),
        activity: NodeActivity::Stopping,
        offer: None,
        actors: None,
        hold: NodeHold::default(),
    };
    let skew = nodes
        .probe_store(&context(), node)
        .await
        .map_err(|error| error.to_string())?
        .ok_or("the test record was not there when it was read back")?;
    Ok(Probe { skew: is_shared.then(|| skew.as_secs_f64()) })
}

/// Asks the identity provider for its document; `None` if people do not sign in with one.
pub(super) async fn provider(config: &Config) -> Option<Result<(), String>> {
    match identity_provider(config) {
        Ok(None) => None,
        Ok(Some(provider)) => Some(provider.probe().await.map_err(|error| error.to_string())),
        Err(error) => Some(Err(error.to_string())),
    }
}

/// Returns the version of the server at a `ws://` or `wss://` URL.
pub(super) async fn database_version(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let scheme = if url.scheme() == "wss" { "https" } else { "http" };
    let port = url.port();
    let address =
        format!("{scheme}://{}{}/version", url.host_str()?, port.map(|port| format!(":{port}")).unwrap_or_default());
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answer = reqwest::Client::new().get(address).timeout(PATIENCE).send().await.ok()?.text().await.ok()?;
    let version: String = answer.trim().trim_start_matches("surrealdb-").chars().take(40).collect();
    version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
}

/// Returns the facts that Redis reports about itself.
pub(super) async fn redis(url: &str) -> Result<RedisFacts, String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ask = async {
        let client = redis::Client::open(url)?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut said = String::new();
        for section in ["server", "persistence", "memory"] {
            said.push_str(&redis::cmd("INFO").arg(section).query_async::<String>(&mut connection).await?);
        }
        Ok(info(&said))
    };
    match tokio::time::timeout(PATIENCE, ask).await {
        Ok(answer) => answer.map_err(|error: redis::RedisError| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// Checks the mail server: signs in to it, or sends a test mail to `to`. Returns `None` if no mail
/// server is configured and no mail was requested.
pub(super) async fn mail(config: &Config, to: Option<&MailAddress>) -> Option<Result<(), String>> {
    let mailer = match mailer(config) {
        Ok(Some(mailer)) => mailer,
        Ok(None) => return to.map(|_| Err("no mail server is configured".to_owned())),
        Err(error) => return Some(Err(error.to_string())),
    };
    let answer = match to {
        None => mailer.check().await,
        Some(to) => {
            let url = config.server.public_url.as_ref().map(ToString::to_string).unwrap_or_default();
            let text = format!("This is a test: the mails of this Kastrel arrive.\n\n-- \nKastrel, {url}\n");
            mailer.send(Mail { to: to.clone(), subject: "Kastrel: test", text }).await
        }
    };
    Some(answer.map_err(|error| error.to_string()))
}

/// Parses the relevant lines of `INFO`. Valkey reports its own version in addition to Redis's.
fn info(said: &str) -> RedisFacts {
    let lines: BTreeMap<&str, &str> = said.lines().filter_map(|line| line.trim().split_once(':')).collect();
    let text = |name: &str| lines.get(name).map(|value| (*value).to_owned());
    let version = match (text("valkey_version"), text("redis_version")) {
        (Some(version), _) => Some(format!("Valkey {version}")),
        (None, version) => version.map(|version| format!("Redis {version}")),
    };
    RedisFacts {
        version,
        keeps_a_log: lines.get("aof_enabled").map(|value| *value == "1"),
        eviction: text("maxmemory_policy"),
    }
}

/// Tests the export that the telemetry variables configure.
pub(super) async fn collector(env: &BTreeMap<String, String>) -> Collector {
    let plan = Plan::read(env);
    let service_name = env.get("OTEL_SERVICE_NAME");
    // In parallel, because a collector that does not respond takes its full timeout.
    let tries = Signal::ALL.into_iter().filter_map(|signal| {
        let (export, service_name) = (signal.of(&plan)?.clone(), service_name.cloned());
        let endpoint = export.endpoint.clone();
        Some(async move {
            let answer =
                tokio::task::spawn_blocking(move || try_collector(signal, &export, service_name.as_deref())).await;
            Tried { signal, endpoint, answer: answer.unwrap_or_else(|error| Err(error.to_string())) }
        })
    });
    Collector { tried: futures_util::future::join_all(tries).await, silence: plan.silence, warnings: plan.warnings }
}

/// Returns how many processes of attempts exist. A data folder that was never used has none.
pub(super) async fn leftovers(config: &Config) -> usize {
    match data_dir_id(&config.data.dir) {
        Some(id) => count_leftovers(&id).await,
        None => 0,
    }
}

fn data_dir_id(dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(dir.join("id")).ok()?;
    uuid::Uuid::parse_str(text.trim()).ok().map(|_| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use kastrel_actors::service::{ServicePorts, Services};
    use kastrel_actors::testing::{Cluster, Script, ScriptedRunner};

    use std::sync::Arc;

    use super::*;
    use crate::telemetry::variables::Silence;

    #[test]
    fn redis_info_is_parsed() {
        let said = "# Server\r\nredis_version:7.4.7\r\n# Persistence\r\naof_enabled:1\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n";
        assert_eq!(
            info(said),
            RedisFacts {
                version: Some("Redis 7.4.7".into()),
                keeps_a_log: Some(true),
                eviction: Some("noeviction".into())
            }
        );
        assert_eq!(info("redis_version:7.2.4\nvalkey_version:8.1.0").version.as_deref(), Some("Valkey 8.1.0"));
        assert_eq!(info(""), RedisFacts { version: None, keeps_a_log: None, eviction: None });
    }

    #[tokio::test]
    async fn probe_row_is_removed_and_shows_the_clock_of_the_database() {
        // A clock in the past, as a database may have one.
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let ports = ServicePorts { clock: Arc::new(SystemClock), ..cluster.service_ports() };
        let nodes = Services::new(ports).nodes;
        let probe = write_and_read(&nodes, true).await.unwrap();
        assert!(probe.skew.unwrap() > 3600.0, "{probe:?}");
        assert_eq!(write_and_read(&nodes, false).await.unwrap().skew, None);
        assert!(nodes.list(&context()).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn unreachable_redis_is_an_error() {
        assert!(redis("redis://127.0.0.1:1").await.is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_collector_is_tried_only_where_one_is_named() {
        let env = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(
            collector(&env(&[])).await,
            Collector { tried: Vec::new(), silence: Some(Silence::NotAsked), warnings: Vec::new() }
        );
        let facts = collector(&env(&[("OTEL_SDK_DISABLED", "maybe")])).await;
        assert!(facts.tried.is_empty() && facts.warnings[0].starts_with("OTEL_SDK_DISABLED"), "{facts:?}");
    }
}
