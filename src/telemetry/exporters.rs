//! From a plan to exporters. What the plan does not hold (endpoint, headers, time limits, compression) the exporters read from the same variables themselves.

use std::path::{Path, PathBuf};

use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig, Identity};
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, Protocol as Encoding, SpanExporter, WithExportConfig as _, WithHttpConfig, WithTonicConfig,
};

use super::variables::{Export, Protocol, TlsFiles};

/// An exporter could not be made. Nothing of its signal is exported then.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExporterError {
    /// A file for TLS could not be read.
    #[error("failed to read {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// A file for TLS is not what it should be.
    #[error("failed to use the certificates for the collector")]
    Tls(#[source] reqwest::Error),
    /// The variables do not lead to an exporter.
    #[error("failed to make an exporter")]
    Build(#[from] ExporterBuildError),
    /// A thread could not do its work.
    #[error("failed to start the exporter's client")]
    Client,
}

pub(super) fn spans(export: &Export) -> Result<SpanExporter, ExporterError> {
    Ok(match export.protocol {
        Protocol::Grpc => grpc(SpanExporter::builder().with_tonic(), &export.tls)?.build()?,
        Protocol::HttpProtobuf => http(SpanExporter::builder().with_http().with_protocol(Encoding::HttpBinary), &export.tls)?.build()?,
    })
}

pub(super) fn metrics(export: &Export) -> Result<MetricExporter, ExporterError> {
    Ok(match export.protocol {
        Protocol::Grpc => grpc(MetricExporter::builder().with_tonic(), &export.tls)?.build()?,
        Protocol::HttpProtobuf => http(MetricExporter::builder().with_http().with_protocol(Encoding::HttpBinary), &export.tls)?.build()?,
    })
}

pub(super) fn logs(export: &Export) -> Result<LogExporter, ExporterError> {
    Ok(match export.protocol {
        Protocol::Grpc => grpc(LogExporter::builder().with_tonic(), &export.tls)?.build()?,
        Protocol::HttpProtobuf => http(LogExporter::builder().with_http().with_protocol(Encoding::HttpBinary), &export.tls)?.build()?,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, ExporterError> {
    std::fs::read(path).map_err(|source| ExporterError::File { path: path.to_owned(), source })
}

fn grpc<B: WithTonicConfig>(builder: B, files: &TlsFiles) -> Result<B, ExporterError> {
    if *files == TlsFiles::default() {
        return Ok(builder);
    }
    let mut tls = ClientTlsConfig::new();
    if let Some(path) = &files.authority {
        tls = tls.ca_certificate(Certificate::from_pem(read(path)?));
    }
    if let Some((certificate, key)) = &files.client {
        tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    Ok(builder.with_tls_config(tls))
}

fn http<B: WithHttpConfig>(builder: B, files: &TlsFiles) -> Result<B, ExporterError> {
    // The exporter's client has no TLS provider of its own. Whoever was first has installed this one as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if *files == TlsFiles::default() {
        return Ok(builder);
    }
    let authority = files.authority.as_deref().map(read).transpose()?;
    let identity = match &files.client {
        Some((certificate, key)) => Some([read(certificate)?, b"\n".to_vec(), read(key)?].concat()),
        None => None,
    };
    // The client brings a runtime of its own, which cannot be made within another one.
    let made = std::thread::spawn(move || {
        let mut client = reqwest::blocking::Client::builder();
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
