//! A loopback HTTP server with scripted responses, and helpers to scan it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use kastrel_actors::policy::scope::ScopePolicy;
use kastrel_scanner::info::Info;
use kastrel_scanner::journal::Journal;
use kastrel_scanner::plugins::registry;
use kastrel_scanner::run::{ScanOptions, run_scan};
use kastrel_scanner::scope::Gate;
use kastrel_scanner::settings::Settings;
use kastrel_scanner::target::Target;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// One received request: the path, and the complete head in lower case.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) head: String,
}

type Handler = dyn Fn(&Request) -> String + Send + Sync;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(handler: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        Self::start_with(handler, None).await
    }

    pub(crate) async fn start_with(
        handler: impl Fn(&Request) -> String + Send + Sync + 'static,
        tls: Option<ServerConfig>,
    ) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), handler, tls)
    }

    pub(crate) fn start_on(
        listener: TcpListener,
        handler: impl Fn(&Request) -> String + Send + Sync + 'static,
        tls: Option<ServerConfig>,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (handler, log): (Arc<Handler>, _) = (Arc::new(handler), seen.clone());
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (handler, log, acceptor) = (handler.clone(), log.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => answer(stream, &handler, &log).await,
                        // A probe for an old version ends in a failed handshake, which the client
                        // reports.
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                answer(stream, &handler, &log).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, seen, task }
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, handler: &Arc<Handler>, log: &Mutex<Vec<Request>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) if head.len() < 65_536 => head.push(byte),
            _ => return,
        }
        // The server answers a TLS hello on a plain port immediately, as real servers do.
        if head == [22] {
            let _ =
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
            return;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let request =
        Request { path: head.split(' ').nth(1).unwrap_or_default().to_owned(), head: head.to_ascii_lowercase() };
    log.lock().unwrap().push(request.clone());
    let _ = stream.write_all(handler(&request).as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Returns a complete response.
pub(crate) fn response(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
}

/// Returns the options of a scan of `target` with the named plugins.
pub(crate) fn options(target: &str, plugins: &[&str], folder: &Path, settings: &[&str]) -> ScanOptions {
    let mut parsed = Settings::default();
    for setting in settings {
        parsed.apply(setting).unwrap();
    }
    ScanOptions {
        target: Target::parse(target).unwrap(),
        plugins: registry::all()
            .into_iter()
            .filter(|plugin| plugins.is_empty() || plugins.contains(&plugin.meta().name))
            .collect(),
        workers: 4,
        output_dir: folder.to_owned(),
        settings: parsed,
        // The test servers are on the loopback interface.
        gate: Gate::new(ScopePolicy { allow_private: true, ..ScopePolicy::default() }),
        logo: None,
        notes: Vec::new(),
        arguments: json!({ "target": target }),
    }
}

/// Runs a scan and returns the content of `kast_info.json`.
pub(crate) async fn scan(target: &str, plugins: &[&str], folder: &Path, settings: &[&str]) -> Info {
    run_scan(options(target, plugins, folder, settings), &Journal::silent()).await.unwrap()
}

/// Returns one plugin's processed file.
pub(crate) fn processed(folder: &Path, plugin: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(format!("{plugin}_processed.json"))).unwrap()).unwrap()
}

/// Returns the issue ids of one plugin.
pub(crate) fn issues(folder: &Path, plugin: &str) -> Vec<String> {
    processed(folder, plugin)["issues"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

/// Returns the status of one plugin in `kast_info.json`.
pub(crate) fn status<'a>(info: &'a Info, plugin: &str) -> &'a str {
    &info.plugins.iter().find(|run| run.plugin_name == plugin).unwrap().status
}
