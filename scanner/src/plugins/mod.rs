//! The checks, one a file. Each decides in pure functions and keeps its network part thin.

pub mod cookies;
pub mod cors;
pub mod dns_posture;
pub mod exposed_files;
pub mod scripts;
pub mod security_headers;
pub mod technology;
pub mod tls;
