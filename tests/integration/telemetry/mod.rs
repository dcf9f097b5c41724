//! The real program and a real OTLP receiver, over gRPC and over HTTP; and collectors that are
//! dead.

mod dead;
mod export;
mod receiver;
