//! The outside world of the application as traits, in addition to the ports of the actors: the
//! files of attempts, the scanner's catalogue, the report renderer, the sender of mails and the
//! identity provider. Adapters implement them; web server and command line use them.

mod artifact_error;
mod artifact_sink;
mod artifacts;
mod attempt_key;
mod attempt_layout;
mod byte_range;
mod content_type;
mod identity_provider;
mod mailer;
#[cfg(test)]
mod memory_mailer;
mod redis_health;
mod report_renderer;
mod scanner_catalog;

pub use artifact_error::ArtifactError;
pub use artifact_sink::{ArtifactSink, AttemptFiles};
pub(crate) use artifacts::MAX_COUNTED;
pub use artifacts::{Artifact, ArtifactStore, FileStream, Listing, LogTail, OpenArtifact, Walked};
pub(crate) use attempt_key::attempt_of;
pub use attempt_key::{AttemptKey, ScanFolder};
pub use attempt_layout::{
    AttemptPaths, CONFIG_NAME, HTML_REPORT_NAME, LOG_NAME, MARK_NAME, NOTES_NAME, OWN_NAMES, PDF_REPORT_NAME,
    TOOL_LOGS_NAME, attempt_folder_name, is_plain, scan_folder_name, stored_mark_name,
};
pub use byte_range::ByteRange;
pub(crate) use byte_range::resolve;
pub use content_type::{ContentKind, content_kind};
pub use identity_provider::{IdentityProvider, ProviderError, ProviderPerson, ProviderRequest};
pub use mailer::{Mail, MailError, Mailer};
#[cfg(test)]
pub(crate) use memory_mailer::MemoryMailer;
pub use redis_health::{RedisHealth, RedisState};
pub use report_renderer::ReportRenderer;
pub use scanner_catalog::{IssueFix, IssueText, ScannerCatalog};
