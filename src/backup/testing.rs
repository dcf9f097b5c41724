//! A backup source with scripted behaviour, for tests.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use kastrel_actors::model::ScanId;
use kastrel_actors::ports::StoreError;
use kastrel_actors::testing::fixtures;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::error::BackupError;
use super::format::{Checksum, Counts, Header, Line, Summary, line};
use super::source::BackupSource;
use crate::adapters::surreal_store::{Metadata, SurrealStore};

#[derive(Debug, Clone)]
enum Script {
    Scans(u64),
    Fails(&'static str),
    Spoilt,
}

/// The scripted source.
pub(crate) struct ScriptedSource(Mutex<Script>);

impl ScriptedSource {
    pub(crate) fn new(scans: u64) -> Self {
        Self(Mutex::new(Script::Scans(scans)))
    }

    pub(crate) fn fill(&self, scans: u64) {
        self.set(Script::Scans(scans));
    }

    pub(crate) fn succeed(&self) {
        self.fill(3);
    }

    pub(crate) fn empty(&self) {
        self.fill(0);
    }

    pub(crate) fn fail(&self, why: &'static str) {
        self.set(Script::Fails(why));
    }

    /// Writes an invalid backup from now on.
    pub(crate) fn spoil(&self) {
        self.set(Script::Spoilt);
    }

    fn set(&self, script: Script) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }
}

#[async_trait]
impl BackupSource for ScriptedSource {
    async fn write(
        &self,
        mut into: Box<dyn AsyncWrite + Send + Unpin>,
        now: Timestamp,
    ) -> Result<Summary, BackupError> {
        let script = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (scans, fails) = match script {
            Script::Scans(scans) => (scans, None),
            Script::Fails(why) => (1, Some(why)),
            Script::Spoilt => (2, None),
        };
        let header = Header::new(Metadata { last: ScanId(scans), pause: None }, SurrealStore::schema_version(), now);
        let mut checksum = Checksum::default();
        let mut lines = vec![line(&header)?];
        for number in 1..=scans {
            lines.push(line(&Line::Scan(Box::new(fixtures::record(number, now))))?);
        }
        if matches!(script, Script::Spoilt) {
            lines.swap(1, 2);
        }
        for line in &lines {
            checksum.add(line);
            into.write_all(line).await.map_err(BackupError::Write)?;
        }
        if let Some(why) = fails {
            return Err(BackupError::Export(StoreError::Unavailable(why.into())));
        }
        let footer = line(&Line::End(checksum.footer(Counts { scans, ..Counts::default() })))?;
        into.write_all(&footer).await.map_err(BackupError::Write)?;
        into.flush().await.map_err(BackupError::Write)?;
        Ok(header.summary(scans, Vec::new(), checksum.bytes + footer.len() as u64))
    }
}
