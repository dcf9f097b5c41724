//! The checks, one per file, and their list. Each check decides in pure functions and keeps its
//! network part small.

pub mod cookies;
pub mod cors;
pub mod dns_posture;
pub mod exposed_files;
pub mod registry;
pub mod scripts;
pub mod security_headers;
pub mod technology;
pub mod tls;
