//! The export of the audit log: the lines of the file that `kastrel audit verify` checks.
//!
//! The lines are read page by page. The file has the seals that exist when it begins; the entries
//! of later seals are in it as entries that wait.

use std::sync::Arc;

use super::ServicePorts;
use crate::model::EntryKey;
use crate::policy::audit_file::AuditFileWriter;
use crate::ports::StoreError;

/// How many seals are read at once.
const SEALS: usize = 200;
/// How many entries are read at once to find those that no seal lists.
const ENTRIES: usize = 500;

/// A running export. See the module documentation.
pub struct AuditExport {
    ports: Arc<ServicePorts>,
    writer: AuditFileWriter,
    next: Next,
}

/// What the next lines are.
enum Next {
    Head,
    /// The seals after this one, up to the last one.
    Seals {
        after: u64,
        upto: u64,
    },
    /// The entries that no seal up to this one lists.
    Loose {
        upto: u64,
        after: Option<EntryKey>,
    },
    End,
    Nothing,
}

impl AuditExport {
    pub(super) fn new(ports: Arc<ServicePorts>) -> Self {
        Self { ports, writer: AuditFileWriter::default(), next: Next::Head }
    }

    /// Returns the next lines, each with its line end; `None` after the last one. After an error
    /// the file stays incomplete.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let chain = &self.ports.store.chain;
        match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Head => {
                let mut upto = chain.sealing_state().await?.seals;
                // Somebody may have set the end of the chain back. The seals after it show that.
                while let Some(last) = chain.seals(upto, SEALS).await?.last() {
                    upto = last.seal.number;
                }
                // A key is stored before its first seal, so the file has the keys of all its seals.
                let keys = chain.seal_keys().await?;
                self.next = Next::Seals { after: 0, upto };
                Ok(Some(self.writer.head(self.ports.clock.now(), upto, keys)))
            }
            Next::Seals { after, upto } => {
                let mut page = chain.seals(after, SEALS).await?;
                let last = page.last().map(|content| content.seal.number);
                page.retain(|content| content.seal.number <= upto);
                self.next = match last {
                    Some(last) if last < upto => Next::Seals { after: last, upto },
                    Some(_) | None => Next::Loose { upto, after: None },
                };
                Ok(Some(page.into_iter().flat_map(|content| self.writer.seal(content)).collect()))
            }
            Next::Loose { upto, after } => {
                let page = chain.loose_entries(upto, after, ENTRIES).await?;
                self.next = match page.next {
                    Some(next) => Next::Loose { upto, after: Some(next) },
                    None => Next::End,
                };
                Ok(Some(page.entries.into_iter().flat_map(|entry| self.writer.loose(entry)).collect()))
            }
            Next::End => Ok(Some(std::mem::take(&mut self.writer).end())),
            Next::Nothing => Ok(None),
        }
    }
}

impl std::fmt::Debug for AuditExport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditExport").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{DomainEvent, Grants, Principal, RequestContext};
    use crate::policy::audit_chain::{ChainFault, ChainReport, ChainTrust};
    use crate::policy::audit_file::AuditFileCheck;
    use crate::ports::store::prelude::*;
    use crate::service::{AuditSealer, Services};
    use crate::testing::{Cluster, Script, ScriptedRunner, TestSigner, fixtures};

    async fn file(mut export: AuditExport) -> Vec<u8> {
        let mut file = Vec::new();
        while let Some(lines) = export.next().await.unwrap() {
            file.extend(lines);
        }
        file
    }

    fn verified(file: &[u8]) -> ChainReport {
        let mut lines = file.split_inclusive(|byte| *byte == b'\n');
        let mut check = AuditFileCheck::begin(lines.next().unwrap(), TestSigner::check, ChainTrust::default()).unwrap();
        lines.for_each(|line| check.line(line).unwrap());
        check.finish().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn exported_log_is_verified_and_an_edited_entry_is_found() {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let ports = cluster.service_ports();
        let sealer = AuditSealer::new(
            Arc::clone(&ports.store.chain),
            Arc::new(TestSigner::new(1)),
            Arc::clone(&ports.clock),
            None,
        );
        let store = Arc::clone(&cluster.store);
        let services = Services::new(ports);
        let context = fixtures::context();
        let empty = verified(&file(services.audit.export(&context).unwrap()).await);
        assert_eq!((empty.is_verified(), empty.seals), (true, 0));
        for round in 0..4 {
            for _ in 0..2 {
                store.record(DomainEvent::ScansExported, None, &Principal::System).await.unwrap();
            }
            if round < 3 {
                sealer.seal().await.unwrap();
            }
        }
        let report = verified(&file(services.audit.export(&context).unwrap()).await);
        assert!(report.is_verified(), "{report:?}");
        assert_eq!((report.seals, report.entries, report.waiting), (3, 6, 2));
        store.overwrite_audit(3, DomainEvent::QueueResumed);
        let faults = verified(&file(services.audit.export(&context).unwrap()).await).faults;
        assert!(matches!(&faults[..], [ChainFault::EntryChanged { seal: 2, .. }]), "{faults:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn only_readers_of_the_audit_log_export_it() {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let services = Services::new(cluster.service_ports());
        let grants = Arc::new(Grants::new(None, BTreeMap::new()));
        let nobody = RequestContext { grants, ..fixtures::context() };
        assert!(services.audit.export(&nobody).is_err());
    }
}
