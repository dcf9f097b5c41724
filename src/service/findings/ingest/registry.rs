//! The registry of the scanner, for readings.

use std::sync::Arc;
use std::time::Duration;

use kastrel_findings::Severity;
use kastrel_findings::registry::{Registry, RegistryEntry};
use tokio::sync::watch;

use crate::ports::{IssueText, ScannerCatalog};

/// The catalogue of the scanner; `None` until it is known.
pub(super) type Catalogue = watch::Receiver<Option<Arc<ScannerCatalog>>>;

/// How long an ingestion waits for the catalogue: its delivery is repeated.
pub(super) const OF_A_DELIVERY: Duration = Duration::from_secs(4);

/// How long a rebuild waits for it. KAST starts several times to list what it has.
pub(super) const OF_A_REBUILD: Duration = Duration::from_mins(1);

/// Returns the issues that the scanner knows. `None`: the scanner has not said it yet or could not,
/// or this process has no scanner of its own. Every scanner knows some.
pub(super) async fn known(catalogue: &Catalogue, patience: Duration) -> Option<Registry> {
    let mut catalogue = catalogue.clone();
    let lists_issues =
        |known: &Option<Arc<ScannerCatalog>>| known.as_ref().is_some_and(|known| !known.issues.is_empty());
    let known = tokio::time::timeout(patience, catalogue.wait_for(lists_issues)).await;
    match known {
        Ok(Ok(known)) => known.as_deref().map(registry_of),
        Ok(Err(_)) | Err(_) => None,
    }
}

/// Returns what readings need of the catalogue: no texts.
fn registry_of(catalogue: &ScannerCatalog) -> Registry {
    Registry::of(catalogue.issues.iter().map(|(id, issue)| entry(id, issue)))
}

fn entry(id: &str, issue: &IssueText) -> RegistryEntry {
    RegistryEntry {
        id: id.to_owned(),
        title: issue.title.clone(),
        description: None,
        remediation: None,
        severity: Severity::read(issue.severity.as_str()).unwrap_or(Severity::Unknown),
        category: Some(issue.category.clone()).filter(|category| !category.is_empty()),
        waf_addressable: issue.fix.waf_addressable,
        approach: issue.fix.approach,
        code_fix_time: issue.fix.code_fix_time.clone(),
        waf_time: issue.fix.waf_time.clone(),
        infrastructure_time: issue.fix.infrastructure_time.clone(),
    }
}
