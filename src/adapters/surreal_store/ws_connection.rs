//! One WebSocket connection to a database server: sends requests, dispatches responses, and detects
//! its own end.
//!
//! The connection of the SDK is not used. It reconnects by itself and keeps every request until
//! then, even if the caller gave up long ago, so it would execute abandoned writes after an outage.
//! It also does not disable Nagle's algorithm, which delays small requests. Here a broken
//! connection is never reused: every request on it fails immediately, requests of dropped callers
//! are never sent, and [`super::reconnecting_client`] makes another connection.
//!
//! - **Owns** one WebSocket, in one task, and the requests that wait for a response on it.
//! - **Detects** an unresponsive server: sends a ping after [`QUIET`] without a message, and gives
//!   the connection up after [`SILENT`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use surrealdb::types::{Array, Number, Object, SurrealValue, Uuid, Value};
use surrealdb_rpc::{DbResponse, DbResult};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

use super::error::{CallError, ConnectError};
use super::executor::Executor;
use crate::config::RemoteDatabase;

/// How long the server may be silent before the connection sends a ping.
const QUIET: Duration = Duration::from_secs(2);

/// How long the server may be silent before the connection is given up, and the timeout for sending
/// one message.
const SILENT: Duration = Duration::from_secs(6);

/// The capacity of the request queue. When it is full, callers wait.
const WAITING: usize = 256;

/// The largest message, in bytes; the same as the server's limit.
const MAX_MESSAGE: usize = 128 << 20;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Answer = surrealdb::Result<DbResult>;
/// The id of a transaction that is open on a server.
type Transaction = Uuid;

/// An open connection. Dropping it closes it.
#[derive(Debug)]
pub(super) struct WsConnection {
    requests: mpsc::Sender<Request>,
    gone: CancellationToken,
}

#[derive(Debug)]
struct Request {
    method: &'static str,
    parameters: Vec<Value>,
    /// The transaction of the request, if it is part of one.
    transaction: Option<Transaction>,
    answer: oneshot::Sender<Answer>,
}

impl WsConnection {
    /// Connects, without signing in.
    pub(super) async fn connect(address: &RemoteDatabase) -> Result<Self, ConnectError> {
        let mut request = address.endpoint().into_client_request().map_err(socket_error)?;
        // The server's own encoding, because no other encoding supports every value.
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("flatbuffers"));
        let limits = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
        let connector = if address.tls { Connector::Rustls(Arc::new(tls(address)?)) } else { Connector::Plain };
        let connected = tokio_tungstenite::connect_async_tls_with_config(request, Some(limits), true, Some(connector));
        let (socket, _) = connected.await.map_err(socket_error)?;
        let (requests, waiting) = mpsc::channel(WAITING);
        let gone = CancellationToken::new();
        tokio::spawn(serve(socket, waiting, gone.clone()));
        Ok(Self { requests, gone })
    }

    /// Sends a request, and waits for the response as long as the connection lives.
    pub(super) async fn ask(&self, method: &'static str, parameters: Vec<Value>) -> Result<Answer, CallError> {
        self.send(method, parameters, None).await
    }

    /// Sends a request like [`ask`](Self::ask), within a transaction that `begin` opened on this
    /// connection.
    pub(super) async fn ask_within(
        &self,
        transaction: Transaction,
        method: &'static str,
        parameters: Vec<Value>,
    ) -> Result<Answer, CallError> {
        self.send(method, parameters, Some(transaction)).await
    }

    async fn send(
        &self,
        method: &'static str,
        parameters: Vec<Value>,
        transaction: Option<Transaction>,
    ) -> Result<Answer, CallError> {
        let (answer, answered) = oneshot::channel();
        // Not sent: the receiver of the channel is dropped, and the request with it.
        self.requests.send(Request { method, parameters, transaction, answer }).await.map_err(|_| CallError::Lost)?;
        answered.await.map_err(|_| CallError::Lost)
    }

    /// Completes when the connection is broken or given up.
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.gone.is_cancelled()
    }

    /// Gives the connection up: pending requests fail.
    pub(super) fn give_up(&self) {
        self.gone.cancel();
    }
}

#[async_trait]
impl Executor for WsConnection {
    async fn query(&self, sql: String, variables: Value) -> Result<Vec<surrealdb::Result<Value>>, CallError> {
        match self.ask("query", vec![sql.into_value(), variables]).await?.map_err(CallError::Failed)? {
            DbResult::Query(results) => Ok(results.into_iter().map(|result| result.result).collect()),
            DbResult::Other(_) | DbResult::Live(_) => Err(CallError::Shape("the answer to a query is not one".into())),
        }
    }

    async fn select(&self, namespace: &str, database: &str) -> Result<(), CallError> {
        let parameters = vec![namespace.to_owned().into_value(), database.to_owned().into_value()];
        self.ask("use", parameters).await?.map(drop).map_err(CallError::Failed)
    }
}

fn socket_error(error: SocketError) -> ConnectError {
    match error {
        // A server that is still starting, or a proxy in front of one.
        SocketError::Http(response) if response.status().is_server_error() => {
            ConnectError::Refused(format!("it answers {}", response.status()).into())
        }
        // The response of a web server that supports neither the path nor the protocol, and of
        // SurrealDB before version 3.
        SocketError::Http(_) | SocketError::Protocol(_) | SocketError::HttpFormat(_) => {
            ConnectError::NotADatabase(error.to_string())
        }
        SocketError::Io(error)
            if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>) =>
        {
            ConnectError::Handshake(error.into())
        }
        SocketError::Tls(error) => ConnectError::Handshake(error.into()),
        other => ConnectError::Refused(Box::new(other)),
    }
}

/// Sets the provider explicitly, so that it does not matter whether the process has a default: two
/// providers are compiled in, so rustls chooses none by itself.
fn tls(address: &RemoteDatabase) -> Result<ClientConfig, ConnectError> {
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| ConnectError::Tls { ca: address.ca.clone(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.into()))?;
    let builder = match &address.ca {
        None => builder.with_platform_verifier().map_err(|error| failed(error.into()))?,
        Some(file) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(file).map_err(|error| failed(error.into()))? {
                roots.add(certificate.map_err(|error| failed(error.into()))?).map_err(|error| failed(error.into()))?;
            }
            if roots.is_empty() {
                return Err(failed("it holds no certificate".into()));
            }
            builder.with_root_certificates(roots)
        }
    };
    Ok(builder.with_no_client_auth())
}

/// The task of the connection. When it ends, all pending requests fail.
async fn serve(mut socket: Socket, mut requests: mpsc::Receiver<Request>, gone: CancellationToken) {
    let _gone = gone.clone().drop_guard();
    let mut waiting: HashMap<i64, oneshot::Sender<Answer>> = HashMap::new();
    let mut next_id = 0;
    let mut heard = Instant::now();
    let mut check = tokio::time::interval(QUIET);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = gone.cancelled() => return,
            request = requests.recv() => {
                let Some(request) = request else {
                    // The store was dropped. The server closes its end after it has read the close
                    // message.
                    let _ = tokio::time::timeout(SILENT, socket.close(None)).await;
                    return;
                };
                // The caller gave up before the request was sent, so nothing must be written.
                if request.answer.is_closed() {
                    continue;
                }
                next_id += 1;
                let message = match encoded(next_id, request.method, request.parameters, request.transaction) {
                    Ok(message) => message,
                    Err(error) => {
                        let _ = request.answer.send(Err(error));
                        continue;
                    }
                };
                waiting.insert(next_id, request.answer);
                if !sent(&mut socket, message).await {
                    return;
                }
            }
            message = socket.next() => {
                heard = Instant::now();
                match message {
                    Some(Ok(Message::Binary(bytes))) => {
                        if !deliver(&mut waiting, &bytes) {
                            return;
                        }
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => {}
                }
            }
            _ = check.tick() => {
                if heard.elapsed() >= SILENT {
                    tracing::warn!(silent_ms = heard.elapsed().as_millis(), "the database server gives no sign of life");
                    return;
                }
                if heard.elapsed() >= QUIET && !sent(&mut socket, Message::Ping(Vec::new().into())).await {
                    return;
                }
            }
        }
    }
}

async fn sent(socket: &mut Socket, message: Message) -> bool {
    matches!(tokio::time::timeout(SILENT, socket.send(message)).await, Ok(Ok(())))
}

fn encoded(
    id: i64,
    method: &'static str,
    parameters: Vec<Value>,
    transaction: Option<Transaction>,
) -> surrealdb::Result<Message> {
    let mut request = Object::new();
    request.insert("id".to_owned(), id.into_value());
    request.insert("method".to_owned(), method.to_owned().into_value());
    request.insert("params".to_owned(), Value::Array(Array::from(parameters)));
    if let Some(transaction) = transaction {
        request.insert("txn".to_owned(), Value::Uuid(transaction));
    }
    let bytes = surrealdb::types::encode(&Value::Object(request))
        .map_err(|error| surrealdb::Error::internal(error.to_string()))?;
    Ok(Message::Binary(bytes.into()))
}

/// Dispatches a response to its caller. Returns false for an unreadable response: its caller is
/// unknown, so the connection is no longer usable.
fn deliver(waiting: &mut HashMap<i64, oneshot::Sender<Answer>>, bytes: &[u8]) -> bool {
    match surrealdb_rpc::db_response_from_bytes(bytes) {
        Ok(DbResponse { id: Some(Value::Number(Number::Int(id))), result, .. }) => {
            if let Some(answer) = waiting.remove(&id) {
                // The caller may have given up.
                let _ = answer.send(result);
            }
            true
        }
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(error = %error, "the database server sent what cannot be read");
            false
        }
    }
}
