//! Telemetry tests of the real program with a real OTLP receiver, over gRPC and HTTP, and with
//! collectors that do not respond.

mod dead;
mod export;
mod receiver;
