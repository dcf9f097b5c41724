//! Builds exporters from a plan. The exporters themselves read from the variables what the plan
//! does not contain (headers, compression, temporality).

use std::path::{Path, PathBuf};

use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig, Identity};
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, Protocol as Encoding, SpanExporter, WithExportConfig,
    WithHttpConfig, WithTonicConfig,
};

use super::variables::{Export, Protocol, TlsFiles};

/// The error of building an exporter. Its signal is then not exported.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExporterError {
    /// A file for TLS could not be read.
    #[error("failed to read {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// A file for TLS is invalid.
    #[error("failed to use the certificates for the collector")]
    Tls(#[source] reqwest::Error),
    /// The exporter rejected the configuration.
    #[error("failed to make an exporter")]
    Build(#[from] ExporterBuildError),
    /// The thread that builds the HTTP client failed.
    #[error("failed to start the exporter's client")]
    Client,
}

pub(super) fn spans(export: &Export) -> Result<SpanExporter, ExporterError> {
    Ok(match export.protocol {
        Protocol::Grpc => grpc(SpanExporter::builder().with_tonic(), export)?.build()?,
        Protocol::HttpProtobuf => {
            http(SpanExporter::builder().with_http().with_protocol(Encoding::HttpBinary), export)?.build()?
        }
    })
}

pub(super) fn metrics(export: &Export) -> Result<MetricExporter, ExporterError> {
    Ok(match export.protocol {
        Protocol::Grpc => grpc(MetricExporter::builder().with_tonic(), export)?.build()?,
        Protocol::HttpProtobuf => {
            http(MetricExporter::builder().with_http().with_protocol(Encoding::HttpBinary), export)?.build()?
        }
    })
}

pub(super) fn logs(export: &Export) -> Result<LogExporter, ExporterError> {
    Ok(match export.protocol {
        Protocol::Grpc => grpc(LogExporter::builder().with_tonic(), export)?.build()?,
        Protocol::HttpProtobuf => {
            http(LogExporter::builder().with_http().with_protocol(Encoding::HttpBinary), export)?.build()?
        }
    })
}

fn read(path: &Path) -> Result<Vec<u8>, ExporterError> {
    std::fs::read(path).map_err(|source| ExporterError::File { path: path.to_owned(), source })
}

fn grpc<B: WithTonicConfig + WithExportConfig>(builder: B, export: &Export) -> Result<B, ExporterError> {
    let builder = builder.with_endpoint(export.address.expose()).with_timeout(export.timeout);
    if !export.is_encrypted() {
        return Ok(builder);
    }
    // By default the exporter trusts no certificate at all.
    let mut tls = match &export.tls.authority {
        // A configured authority may be the only one, for example in a minimal container.
        Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
        None => ClientTlsConfig::new().with_enabled_roots(),
    };
    if let Some((certificate, key)) = &export.tls.client {
        tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    Ok(builder.with_tls_config(tls))
}

fn http<B: WithHttpConfig + WithExportConfig>(builder: B, export: &Export) -> Result<B, ExporterError> {
    // The exporter's client needs a default TLS provider. An error means that this provider is
    // already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = builder.with_endpoint(export.address.expose()).with_timeout(export.timeout);
    let (files, timeout) = (&export.tls, export.timeout);
    if *files == TlsFiles::default() {
        return Ok(builder);
    }
    let authority = files.authority.as_deref().map(read).transpose()?;
    let identity = match &files.client {
        Some((certificate, key)) => Some([read(certificate)?, b"\n".to_vec(), read(key)?].concat()),
        None => None,
    };
    // The client contains its own runtime, which cannot be created within another one.
    let made = std::thread::spawn(move || {
        // The exporter applies its timeout only to a client that it creates itself.
        let mut client = reqwest::blocking::Client::builder().timeout(timeout);
        if let Some(pem) = authority {
            client = client.add_root_certificate(reqwest::Certificate::from_pem(&pem)?);
        }
        if let Some(pem) = identity {
            client = client.identity(reqwest::Identity::from_pem(&pem)?);
        }
        client.build()
    });
    let client = made.join().map_err(|_| ExporterError::Client)?.map_err(ExporterError::Tls)?;
    Ok(builder.with_http_client(client))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::probe::{Signal, try_collector};
    use super::*;

    /// The collector uses its own certificates, accepts connections and never responds.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_request_timeout_applies_with_certificates() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let authority = folder.path().join("ca.pem");
        std::fs::write(&authority, rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.pem())
            .unwrap();
        let address = format!("https://{}/v1/traces", silent.local_addr().unwrap());
        let export = Export {
            protocol: Protocol::HttpProtobuf,
            tls: TlsFiles { authority: Some(authority), client: None },
            timeout: Duration::from_millis(200),
            endpoint: address.clone(),
            address: address.parse().unwrap(),
        };
        let began = Instant::now();
        let answer = tokio::task::spawn_blocking(move || try_collector(Signal::Traces, &export, None)).await.unwrap();
        assert!(answer.is_err());
        assert!(began.elapsed() < Duration::from_secs(9), "the default of ten seconds was waited for");
    }
}
