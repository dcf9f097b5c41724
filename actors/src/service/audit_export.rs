//! The export of the audit log: the lines of the file that `kastrel audit verify` checks.
//!
//! The lines are read page by page. The file has the seals that exist when it begins; the entries
//! of later seals are in it as entries that wait. It ends before the entry that says that it was
//! exported: that one cannot have a seal yet.
//!
//! Old entries may be deleted because of their age meanwhile, always those of the oldest seals. A
//! file that has the entries of an older seal and not those of a later one looks as if somebody had
//! removed them, so the export ends with an error then, and the next one has neither.

use std::sync::Arc;

use super::ServicePorts;
use crate::model::{DomainEvent, EntryKey, LooseEntry, Principal, SealContent};
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
    /// How many seals are read at once.
    seals: usize,
    /// The first seal whose entries were written.
    first_whole: Option<u64>,
    /// Who exports the log, until the entry of the export was left out.
    recorded_by: Option<String>,
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
        Self {
            ports,
            writer: AuditFileWriter::default(),
            next: Next::Head,
            seals: SEALS,
            first_whole: None,
            recorded_by: None,
        }
    }

    /// Ends the file before the newest entry which says that this principal exported the log, if it
    /// has no seal yet. Call it after that entry was written.
    pub fn end_before_own_entry(&mut self, principal: &Principal) {
        self.recorded_by = Some(principal.to_string());
    }

    /// Returns the next lines, each with its line end; `None` after the last one. After an error
    /// the file stays incomplete.
    ///
    /// # Errors
    /// A failure of the store, or entries of seals that are in the file were deleted because of
    /// their age. A new export may succeed.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let chain = &self.ports.store.chain;
        match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Head => {
                let mut upto = chain.sealing_state().await?.seals;
                // Somebody may have set the end of the chain back. The seals after it show that.
                while let Some(last) = chain.seals(upto, self.seals).await?.last() {
                    upto = last.seal.number;
                }
                // A key is stored before its first seal, so the file has the keys of all its seals.
                let keys = chain.seal_keys().await?;
                self.next = Next::Seals { after: 0, upto };
                Ok(Some(self.writer.head(self.ports.clock.now(), upto, keys)))
            }
            Next::Seals { after, upto } => {
                let mut page = chain.seals(after, self.seals).await?;
                let last = page.last().map(|content| content.seal.number);
                page.retain(|content| content.seal.number <= upto);
                if let Some(number) = self.pruned_meanwhile(&page).await? {
                    return Err(StoreError::Unavailable(Box::new(PrunedMeanwhile(number))));
                }
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
                let mut lines = Vec::new();
                for entry in page.entries {
                    if !self.is_own(&entry) {
                        lines.extend(self.writer.loose(entry));
                    }
                }
                Ok(Some(lines))
            }
            Next::End => Ok(Some(std::mem::take(&mut self.writer).end())),
            Next::Nothing => Ok(None),
        }
    }

    /// Returns a seal of this page whose entries are gone although those of an earlier seal are in
    /// the file, if the earlier ones are gone from the store by now as well. If they are not,
    /// somebody else has removed the entries, and the file shows that.
    async fn pruned_meanwhile(&mut self, page: &[SealContent]) -> Result<Option<u64>, StoreError> {
        for SealContent { seal, .. } in page {
            match (seal.pruned_at, self.first_whole) {
                (None, None) => self.first_whole = Some(seal.number),
                (Some(_), Some(first)) => {
                    let now = self.ports.store.chain.seals(first - 1, 1).await?;
                    let is_pruned = now.iter().any(|now| now.seal.number == first && now.seal.pruned_at.is_some());
                    return Ok(is_pruned.then_some(seal.number));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Returns true for the entry of this export, once: the entries come newest first.
    fn is_own(&mut self, loose: &LooseEntry) -> bool {
        let is_own = loose.waits
            && self.recorded_by.as_ref().is_some_and(|principal| *principal == loose.entry.principal)
            && matches!(serde_json::from_str(&loose.entry.event), Ok(DomainEvent::AuditExported));
        if is_own {
            self.recorded_by = None;
        }
        is_own
    }
}

/// The entries of a seal were deleted while the log was read.
#[derive(Debug, thiserror::Error)]
#[error("the entries of seal {0} were deleted because of their age while the log was read: read it again")]
struct PrunedMeanwhile(u64);

impl std::fmt::Debug for AuditExport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditExport").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::model::{Grants, RequestContext};
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
    async fn export_ends_before_its_own_entry_and_has_those_of_others() {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let services = Services::new(cluster.service_ports());
        let context = fixtures::context();
        let others = [Principal::System, context.principal.clone(), Principal::User("ana".parse().unwrap())];
        for principal in others {
            cluster.store.record(DomainEvent::AuditExported, None, &principal).await.unwrap();
        }
        let mut export = services.audit.export(&context).unwrap();
        cluster.store.record(DomainEvent::AuditExported, None, &context.principal).await.unwrap();
        export.end_before_own_entry(&context.principal);
        let report = verified(&file(export).await);
        assert_eq!((report.is_verified(), report.waiting), (true, 3));
        assert_eq!(verified(&file(services.audit.export(&context).unwrap()).await).waiting, 4, "no entry is lost");
    }

    #[tokio::test(start_paused = true)]
    async fn entries_that_are_pruned_between_two_pages_do_not_look_removed() {
        let day = Duration::from_hours(24);
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let ports = cluster.service_ports();
        let sealer = AuditSealer::new(
            Arc::clone(&ports.store.chain),
            Arc::new(TestSigner::new(1)),
            Arc::clone(&ports.clock),
            Some(30 * day),
        );
        let services = Services::new(ports);
        for _ in 0..6 {
            cluster.store.record(DomainEvent::ScansExported, None, &Principal::System).await.unwrap();
            sealer.seal().await.unwrap();
            tokio::time::advance(10 * day).await;
        }
        let begin = || AuditExport { seals: 2, ..services.audit.export(&fixtures::context()).unwrap() };
        let mut export = begin();
        for _ in 0..2 {
            export.next().await.unwrap().unwrap();
        }
        assert_eq!(sealer.prune().await.unwrap(), 3, "those of 60, 50 and 40 days");
        let stopped = export.next().await.unwrap_err();
        let source = std::error::Error::source(&stopped).unwrap().to_string();
        assert!(source.contains("seal 3 were deleted because of their age"), "{source}");
        assert_eq!(export.next().await.unwrap(), None, "the file stays incomplete");
        let report = verified(&file(begin()).await);
        assert!(report.is_verified(), "{report:?}");
        assert_eq!((report.seals, report.pruned, report.entries), (6, 3, 3));
        // Somebody else removes the entries of a later seal in the same way.
        cluster.store.pretend_pruned(5);
        let faults = verified(&file(begin()).await).faults;
        assert!(faults.contains(&ChainFault::PrunedOutOfOrder { seal: 5 }), "{faults:?}");
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
