//! An OTLP receiver: protobuf over HTTP/1.1 with axum, and gRPC over HTTP/2 frames. It decodes the
//! data that the program actually sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// A received span.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) name: String,
    pub(super) trace_id: String,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) links: Vec<String>,
}

/// All received data.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) spans: Vec<Span>,
    pub(super) metrics: Vec<String>,
    /// The bodies of log records with their trace ids.
    pub(super) logs: Vec<(String, String)>,
    pub(super) resources: Vec<BTreeMap<String, String>>,
    /// The values of the checked header.
    pub(super) keys: Vec<String>,
}

/// The receiver.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    received: Arc<Mutex<Received>>,
    _task: AbortOnDropHandle<()>,
}

impl Receiver {
    /// Starts a receiver over HTTP.
    pub(super) async fn http() -> Self {
        let (listener, address) = listen().await;
        let received = Arc::<Mutex<Received>>::default();
        let router = Router::new().fallback(take_http).with_state(Arc::clone(&received));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, received, _task: AbortOnDropHandle::new(task) }
    }

    /// Starts a receiver over gRPC.
    pub(super) async fn grpc() -> Self {
        let (listener, address) = listen().await;
        let received = Arc::<Mutex<Received>>::default();
        let taken = Arc::clone(&received);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(take_grpc(stream, Arc::clone(&taken)));
            }
        });
        Self { address, received, _task: AbortOnDropHandle::new(task) }
    }

    /// Starts a receiver over gRPC with TLS, with a certificate of a new authority. Returns the
    /// authority in PEM.
    pub(super) async fn grpc_with_tls() -> (Self, String) {
        let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols.push(b"h2".to_vec());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (listener, address) = listen().await;
        let received = Arc::<Mutex<Received>>::default();
        let taken = Arc::clone(&received);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, taken) = (acceptor.clone(), Arc::clone(&taken));
                tokio::spawn(async move {
                    // A client that does not trust the certificate disconnects.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        take_grpc(stream, taken).await;
                    }
                });
            }
        });
        (Self { address, received, _task: AbortOnDropHandle::new(task) }, authority.pem())
    }

    pub(super) fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn take_http(
    State(received): State<Arc<Mutex<Received>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
    received.keys.extend(headers.get("x-api-key").map(|key| key.to_str().unwrap().to_owned()));
    match uri.path() {
        "/v1/traces" => received.spans(&ExportTraceServiceRequest::decode(body).unwrap()),
        "/v1/metrics" => received.metrics(&ExportMetricsServiceRequest::decode(body).unwrap()),
        "/v1/logs" => received.logs(&ExportLogsServiceRequest::decode(body).unwrap()),
        _ => return StatusCode::NOT_FOUND,
    }
    StatusCode::OK
}

/// Serves one connection. Each request is one message, whose first five bytes hold the length.
async fn take_grpc(stream: impl AsyncRead + AsyncWrite + Unpin, received: Arc<Mutex<Received>>) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    // The connection also ends if the client disconnects.
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let received = Arc::clone(&received);
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            let mut bytes = Vec::new();
            while let Some(Ok(chunk)) = body.data().await {
                body.flow_control().release_capacity(chunk.len()).unwrap();
                bytes.extend_from_slice(&chunk);
            }
            assert_eq!(bytes[0], 0, "the message is compressed, which nobody asked for");
            let message = &bytes[5..];
            {
                let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
                received.keys.extend(head.headers.get("x-api-key").map(|key| key.to_str().unwrap().to_owned()));
                match head.uri.path() {
                    "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => {
                        received.spans(&ExportTraceServiceRequest::decode(message).unwrap());
                    }
                    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => {
                        received.metrics(&ExportMetricsServiceRequest::decode(message).unwrap());
                    }
                    "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => {
                        received.logs(&ExportLogsServiceRequest::decode(message).unwrap());
                    }
                    other => panic!("{other}"),
                }
            }
            let response = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
            let mut sending = respond.send_response(response, false).unwrap();
            // An empty message means that all data was accepted.
            sending.send_data(Bytes::from_static(&[0, 0, 0, 0, 0]), false).unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            sending.send_trailers(trailers).unwrap();
        });
    }
}

impl Received {
    fn spans(&mut self, request: &ExportTraceServiceRequest) {
        for of_resource in &request.resource_spans {
            self.resource(of_resource.resource.as_ref());
            for span in of_resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                self.spans.push(Span {
                    name: span.name.clone(),
                    trace_id: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    start: span.start_time_unix_nano,
                    end: span.end_time_unix_nano,
                    attributes: pairs(&span.attributes),
                    links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
                });
            }
        }
    }

    fn metrics(&mut self, request: &ExportMetricsServiceRequest) {
        for of_resource in &request.resource_metrics {
            self.resource(of_resource.resource.as_ref());
            self.metrics.extend(
                of_resource.scope_metrics.iter().flat_map(|scope| &scope.metrics).map(|metric| metric.name.clone()),
            );
        }
    }

    fn logs(&mut self, request: &ExportLogsServiceRequest) {
        for of_resource in &request.resource_logs {
            self.resource(of_resource.resource.as_ref());
            for record in of_resource.scope_logs.iter().flat_map(|scope| &scope.log_records) {
                self.logs.push((record.body.as_ref().map(text).unwrap_or_default(), hex(&record.trace_id)));
            }
        }
    }

    fn resource(&mut self, resource: Option<&Resource>) {
        self.resources.extend(resource.map(|resource| pairs(&resource.attributes)));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pairs(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|pair| (pair.key.clone(), pair.value.as_ref().map(text).unwrap_or_default())).collect()
}

fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        other => format!("{other:?}"),
    }
}
