//! The server: binds the listener, serves the web application, and stops in order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kastrel_actors::model::Grants;
use kastrel_actors::ports::{Clock as _, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::app::App;
use crate::config::{AuthMode, BasePath, Config, Role};
use crate::connections::{ConnectionLimits, Connections, connections_within};
use crate::descriptors;
use crate::server_proof::ServerKey;
use crate::service::DeletionService;
use crate::tls::{Fingerprint, Pair, PairError, PairFiles, Reloader};
use crate::web::{self, AppInfo, Edge, HostRule, RequestLimits, ServerProof, SettingLine, TrustedProxies, WebState};

/// How long open requests may take after the server begins to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// A client that reads nothing of a response for this long is disconnected.
const STALL: Duration = Duration::from_secs(60);

/// The errors of starting the server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Without accounts, only this machine may reach the server.
    #[error(
        "server.listen is {0}, but without accounts only loopback addresses (127.0.0.1, [::1]) are allowed; set auth.mode to local (KASTREL_AUTH_MODE=local)"
    )]
    NotLoopback(SocketAddr),
    /// A worker has no users at all, so only this machine needs to reach it.
    #[error(
        "worker.listen is {0}, but only loopback addresses (127.0.0.1, [::1]) are allowed; set worker.allow_any_address where the network itself keeps others out"
    )]
    WorkerNotLoopback(SocketAddr),
    /// The address is in use, or does not belong to this machine.
    #[error("failed to listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The certificate or the key of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] PairError),
    /// The file with which other commands find this server could not be written.
    #[error("failed to write {}", path.display())]
    ServerFile {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// A bound server that does not serve yet.
pub struct Server {
    listener: TcpListener,
    /// The address. If the configured port is 0, it has the port that the system chose.
    pub address: SocketAddr,
    role: Role,
    tls: Option<Tls>,
    file: Option<ServerFile>,
    proof: Option<ServerProof>,
}

/// The certificate pair of a server that speaks TLS.
#[derive(Debug)]
struct Tls {
    files: PairFiles,
    pair: Pair,
}

impl Tls {
    /// Reads the pair of the configuration, if it has one. A worker has no TLS: it serves health
    /// checks and metrics alone.
    fn read(config: &Config, role: Role) -> Result<Option<Self>, PairError> {
        let files = PairFiles::of(config.server.tls_certificate.as_deref(), config.server.tls_key.as_deref());
        let Some(files) = files.filter(|_| role != Role::Worker) else { return Ok(None) };
        let pair = files.read()?;
        report(&pair, SystemClock.now());
        Ok(Some(Self { files, pair }))
    }
}

/// Logs a certificate that is in use from now on.
fn report(pair: &Pair, now: Timestamp) {
    let until = pair.validity.until;
    if until <= now {
        warn!(%until, fingerprint = %pair.fingerprint, "the TLS certificate has expired");
    } else {
        info!(%until, fingerprint = %pair.fingerprint, "using a TLS certificate");
    }
}

/// The file `server.json`. It is removed on drop, unless another server of the same data folder has
/// overwritten it: two web nodes may share a folder.
#[derive(Debug)]
struct ServerFile {
    path: PathBuf,
    content: String,
    url: String,
}

/// Returns the content of the file. `certificate` identifies a server with TLS: commands of the
/// data folder accept that certificate and no other.
fn server_json(url: &str, certificate: Option<Fingerprint>) -> String {
    let mut content = serde_json::json!({ "pid": std::process::id(), "url": url });
    if let Some(certificate) = certificate {
        content["certificate"] = certificate.to_string().into();
    }
    content.to_string()
}

impl ServerFile {
    fn write(path: PathBuf, address: SocketAddr, certificate: Option<Fingerprint>) -> Result<Self, ServerError> {
        let reached = reached_at(address);
        let url = url_of(reached, certificate.is_some());
        let content = server_json(&url, certificate);
        match std::fs::write(&path, &content) {
            Ok(()) => Ok(Self { path, content, url }),
            Err(source) => Err(ServerError::ServerFile { path, source }),
        }
    }

    /// Replaces the certificate in the file, in one step: a command may read the file meanwhile.
    fn renew(&mut self, certificate: Fingerprint) -> std::io::Result<()> {
        if !self.is_ours() {
            return Ok(());
        }
        let (fresh, content) = (self.path.with_extension("json.new"), server_json(&self.url, Some(certificate)));
        std::fs::write(&fresh, &content)?;
        std::fs::rename(&fresh, &self.path)?;
        self.content = content;
        Ok(())
    }

    /// Returns whether the file still has the content that was written here. The process id alone
    /// would not prove that: in containers, each server may be process 1.
    fn is_ours(&self) -> bool {
        std::fs::read_to_string(&self.path).is_ok_and(|found| found == self.content)
    }
}

impl Drop for ServerFile {
    fn drop(&mut self) {
        if self.is_ours()
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            warn!(error = &error as &dyn std::error::Error, "could not remove {}", self.path.display());
        }
    }
}

/// Returns the address at which this machine reaches a server. One that listens on all addresses is
/// reached through loopback.
const fn reached_at(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), address.port()),
        _ => address,
    }
}

/// Returns the URL of a server at an address.
fn url_of(address: SocketAddr, has_tls: bool) -> String {
    format!("{}://{address}", if has_tls { "https" } else { "http" })
}

/// Uses a new certificate for new connections after its files changed. A pair that cannot be used
/// leaves the current one in use. Never ends.
async fn renew_certificate(
    mut reloader: Reloader,
    current: watch::Sender<Arc<rustls::ServerConfig>>,
    file: &mut Option<ServerFile>,
) {
    let mut checks = tokio::time::interval(Reloader::EVERY);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        checks.tick().await;
        match reloader.check() {
            None => {}
            Some(Ok(pair)) => {
                report(&pair, SystemClock.now());
                // Commands read the new fingerprint before they can meet the new certificate.
                if let Some(Err(error)) = file.as_mut().map(|file| file.renew(pair.fingerprint)) {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "could not write the new certificate to server.json"
                    );
                }
                current.send_replace(pair.config);
            }
            Some(Err(error)) => warn!("the new TLS certificate cannot be used, the current one stays in use: {error}"),
        }
    }
}

/// Returns the host names under which browsers may reach the server, besides its own.
fn allowed_hosts(config: &Config) -> Vec<String> {
    let public = config.server.public_url.as_ref().map(|url| url.host().to_owned());
    config.server.allowed_hosts.iter().cloned().chain(public).collect()
}

/// Returns how many connections this process accepts.
fn connections_of(config: &Config) -> usize {
    connections_within(descriptors::limit(), config.scans.concurrency, config.server.max_connections)
}

/// Returns a size in the largest unit in which it is a whole number.
fn exact_size(bytes: usize) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes.is_multiple_of(*unit)) {
        Some((name, unit)) if bytes > 0 => format!("{} {name}", bytes / unit),
        _ => format!("{bytes} bytes"),
    }
}

/// Returns the part of the configuration that the about page shows: the limits that users
/// encounter. `kastrel config show` lists everything, with the source of each value.
fn setting_lines(config: &Config) -> Vec<SettingLine> {
    let seconds = |duration: Duration| format!("{} s", duration.as_secs());
    [
        ("scans.concurrency", config.scans.concurrency.to_string()),
        ("scans.max_attempts", config.scans.max_attempts.to_string()),
        ("scans.wall_clock_limit_seconds", seconds(config.scans.wall_clock_limit_seconds)),
        ("scans.no_progress_limit_seconds", seconds(config.scans.no_progress_limit_seconds)),
        ("scans.shutdown_grace_seconds", seconds(config.scans.shutdown_grace_seconds)),
        ("queue.max_waiting", config.queue.max_waiting.to_string()),
        ("queue.client_share", format!("{} %", config.queue.client_share)),
        ("backup.every_hours", format!("{} h", config.backup.every_hours)),
        ("backup.keep", config.backup.keep.to_string()),
        ("kast.log_cap_bytes", exact_size(config.kast.log_cap_bytes)),
        ("server.poll_interval_seconds", seconds(config.server.poll_interval_seconds)),
        ("server.max_event_streams", config.server.max_event_streams.to_string()),
        ("server.max_requests", config.server.max_requests.to_string()),
        ("server.max_connections", connections_of(config).to_string()),
        ("server.body_limit_bytes", exact_size(config.server.body_limit_bytes)),
        ("server.request_timeout_seconds", seconds(config.server.request_timeout_seconds)),
    ]
    .map(|(key, value)| SettingLine { key: key.into(), value })
    .into()
}

impl Server {
    /// Binds the listener. Clients that connect now wait for [`run`](Self::run).
    ///
    /// # Errors
    /// The address is in use, does not belong to this machine, or is not allowed; or the
    /// certificate pair cannot be used.
    pub async fn bind(config: &Config, role: Role) -> Result<Self, ServerError> {
        let is_worker = role == Role::Worker;
        let wanted = if is_worker { config.worker.listen } else { config.server.listen };
        if !wanted.ip().is_loopback() {
            if is_worker && !config.worker.allow_any_address {
                return Err(ServerError::WorkerNotLoopback(wanted));
            }
            if !is_worker && config.auth.mode == AuthMode::Off {
                return Err(ServerError::NotLoopback(wanted));
            }
            if is_worker {
                warn!(address = %wanted, "everyone who reaches this address can read this worker's health and metrics: worker.allow_any_address is set");
            } else if config.server.tls_certificate.is_none() {
                warn!(address = %wanted, "passwords and tokens cross the network in the clear unless a proxy adds TLS: set server.tls_certificate, or put a proxy in front of it");
            }
        }
        let tls = Tls::read(config, role)?;
        let listener =
            TcpListener::bind(wanted).await.map_err(|source| ServerError::Bind { address: wanted, source })?;
        let address = listener.local_addr().map_err(|source| ServerError::Bind { address: wanted, source })?;
        Ok(Self { listener, address, role, tls, file: None, proof: None })
    }

    /// Returns the URL of the server.
    #[must_use]
    pub fn url(&self) -> String {
        url_of(self.address, self.tls.is_some())
    }

    /// Returns the URL at which this machine reaches the server.
    #[must_use]
    pub fn local_url(&self) -> String {
        url_of(reached_at(self.address), self.tls.is_some())
    }

    /// Writes the file with which other commands of this data folder find the API, if this process
    /// has one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn announce(mut self, config: &Config) -> Result<Self, ServerError> {
        if self.role != Role::Worker {
            // Create the key first: a command that finds the file requests a proof.
            let key = ServerKey::open(&config.data.dir)
                .map_err(|source| ServerError::ServerFile { path: config.data.dir.join("server.key"), source })?;
            let file = ServerFile::write(
                config.server_file(),
                self.address,
                self.tls.as_ref().map(|tls| tls.pair.fingerprint),
            )?;
            self.proof = Some(ServerProof { key, url: file.url.clone() });
            self.file = Some(file);
        }
        Ok(self)
    }

    /// Serves until `stop` is cancelled, then waits for open requests for a limited time.
    pub async fn run(self, app: &App, config: &Config, stop: CancellationToken) {
        let state = WebState {
            services: app.services.clone(),
            deletion: DeletionService::new(app.services.scans.clone(), Arc::clone(&app.artifacts)),
            catalogue: app.catalogue(),
            artifacts: Arc::clone(&app.artifacts),
            renderer: app.renderer.clone(),
            settings: Arc::new(setting_lines(config)),
            backup: Arc::clone(&app.backup),
            backups: app.backups(),
            info: AppInfo { version: env!("CARGO_PKG_VERSION").into(), data_label: data_label(config) },
            poll_interval: config.server.poll_interval_seconds,
            max_attempts: config.scans.max_attempts,
            runs_scans: app.runs_scans(),
            redis: app.redis.clone(),
            telemetry: app.telemetry.clone(),
            sources: app.sources.clone(),
            trace_url: config.telemetry.trace_url.clone().map(Arc::new),
            hosts: HostRule {
                loopback: self.address.ip().is_loopback(),
                names: allowed_hosts(config),
                port: self.address.port(),
            },
            edge: Edge {
                base: config.server.base_path.clone(),
                trusted: TrustedProxies(config.server.trusted_proxies.rules().to_vec()),
            },
            access: app.access.clone(),
            findings: app.findings.clone(),
            targets: app.targets.clone(),
            public_url: config.server.public_url.clone().map(Arc::new),
            // Without accounts, every client has all rights; the server listens on loopback only.
            anonymous: (config.auth.mode == AuthMode::Off).then(|| Arc::new(Grants::all())),
            proof: self.proof.clone(),
            closing: stop.clone(),
        };
        let connections = connections_of(config);
        if connections < config.server.max_connections {
            warn!(
                connections,
                "server.max_connections is {}, but the limit of open files leaves room for fewer beside the scans; raise it (ulimit -n, LimitNOFILE=) or lower the key",
                config.server.max_connections
            );
        }
        let limits = RequestLimits {
            body_bytes: config.server.body_limit_bytes,
            timeout: config.server.request_timeout_seconds,
            body_timeout: config.server.body_timeout_seconds,
            requests: config.server.max_requests,
            // Streams must leave connections for other requests.
            event_streams: config.server.max_event_streams.min(connections / 4 * 3),
            ..RequestLimits::default()
        };
        let connection_limits = ConnectionLimits {
            connections,
            head: config.server.header_timeout_seconds,
            idle: config.server.idle_timeout_seconds,
            stall: STALL,
        };
        // A worker has no base path.
        let base = if self.role == Role::Worker { BasePath::default() } else { config.server.base_path.clone() };
        let router =
            if self.role == Role::Worker { web::health_router(state, limits) } else { web::router(state, limits) };
        let reserved_use = move |path: &str| web::reserved_use_under(&base, path);
        let (tls, renewal) = match self.tls {
            Some(Tls { files, pair }) => {
                let reloader = Reloader::new(files, &pair);
                let (current, tls) = watch::channel(pair.config);
                (Some(tls), Some((reloader, current)))
            }
            None => (None, None),
        };
        let mut file = self.file;
        let renews = async {
            match renewal {
                Some((reloader, current)) => renew_certificate(reloader, current, &mut file).await,
                None => std::future::pending().await,
            }
        };
        let serve = Connections::new(connection_limits, router, tls, reserved_use).serve(self.listener, stop.clone());
        // A worker shows no lists.
        let _findings = (self.role != Role::Worker).then(|| app.findings.preload());
        let drained = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            () = serve => {}
            () = renews => {}
            () = drained => warn!("some requests were still open when the server stopped"),
        }
        info!("the server has stopped");
        drop(file);
    }
}

/// Returns the location of the data, for the footer of the pages.
fn data_label(config: &Config) -> String {
    config.database.url.as_ref().map_or_else(|| config.data.dir.display().to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_the_largest_unit_that_is_exact() {
        let sizes = [10_485_760, 262_144, 1 << 30, 10_485_761, 4096].map(exact_size);
        assert_eq!(sizes, ["10 MiB", "256 KiB", "1 GiB", "10485761 bytes", "4 KiB"]);
    }

    #[test]
    fn ending_server_keeps_the_file_of_another_server() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.json");
        let first = ServerFile::write(path.clone(), "127.0.0.1:5000".parse().unwrap(), None).unwrap();
        // Both have the same process id, as in two containers.
        let second = ServerFile::write(path.clone(), "0.0.0.0:5002".parse().unwrap(), None).unwrap();
        drop(first);
        let content = std::fs::read_to_string(&path).unwrap();
        assert!(content.contains("http://127.0.0.1:5002"), "{content}");
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn file_of_a_server_with_tls_names_its_current_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.json");
        let fingerprint = |digit: &str| digit.repeat(64).parse::<Fingerprint>().unwrap();
        let (old, new) = (fingerprint("a"), fingerprint("b"));
        let content = || serde_json::from_str::<serde_json::Value>(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let mut first = ServerFile::write(path.clone(), "127.0.0.1:5000".parse().unwrap(), Some(old)).unwrap();
        assert_eq!(content()["url"], "https://127.0.0.1:5000");
        assert_eq!(content()["certificate"], old.to_string());
        first.renew(new).unwrap();
        assert_eq!(content()["certificate"], new.to_string());
        let second = ServerFile::write(path.clone(), "127.0.0.1:5001".parse().unwrap(), Some(old)).unwrap();
        first.renew(new).unwrap();
        assert_eq!(content()["certificate"], old.to_string(), "the file of another server stays");
        drop(second);
        assert!(!path.exists());
        let mut third = ServerFile::write(path.clone(), "127.0.0.1:5002".parse().unwrap(), Some(old)).unwrap();
        third.renew(new).unwrap();
        drop(third);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn certificate_is_renewed_and_a_broken_pair_changes_nothing() {
        use crate::tls::testing::{replace, write_pair};

        let folder = tempfile::tempdir().unwrap();
        let files = write_pair(folder.path());
        let pair = files.read().unwrap();
        let path = folder.path().join("server.json");
        let mut file =
            Some(ServerFile::write(path.clone(), "127.0.0.1:5000".parse().unwrap(), Some(pair.fingerprint)).unwrap());
        let first = Arc::clone(&pair.config);
        let (current, mut tls) = watch::channel(pair.config.clone());
        let reloader = Reloader::new(files.clone(), &pair);
        let renews = renew_certificate(reloader, current, &mut file);
        let changes = async {
            write_pair(folder.path());
            tls.changed().await.unwrap();
            let second = Arc::clone(&tls.borrow_and_update());
            assert!(!Arc::ptr_eq(&first, &second));
            let fingerprint = files.read().unwrap().fingerprint.to_string();
            assert!(std::fs::read_to_string(&path).unwrap().contains(&fingerprint));
            replace(&folder.path().join("key.pem"), "broken");
            assert!(tokio::time::timeout(10 * Reloader::EVERY, tls.changed()).await.is_err());
            assert!(Arc::ptr_eq(&second, &tls.borrow()));
        };
        tokio::select! {
            () = renews => unreachable!("it never ends"),
            () = changes => {}
        }
    }
}
