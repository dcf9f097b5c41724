//! Both services, their store, and members of the project `team`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use kastrel_actors::model::{
    AccountKind, AccountName, AuditQuery, Command, DomainEvent, FindingRecord, NewAccount, NewScan, PluginInfo,
    PluginKind, Principal, Project, ProjectRole, Put, RequestContext, ScanId, ScannerInfo, ScannerKind, Submitted,
    TargetRecord,
};
use kastrel_actors::policy::access::Denial;
use kastrel_actors::ports::{
    AccessStore as _, Applied, AuditLog as _, CallHook, FindingStore as _, StoreError, Stores,
};
use kastrel_actors::service::CommandError;
use kastrel_actors::testing::{Cluster, MemoryStore, PausedClock, Script, ScriptedRunner, fixtures};
use kastrel_findings::identity::{FindingId, TargetId};
use kastrel_findings::registry::Approach;
use tokio::sync::watch;

use crate::ports::{IssueFix, IssueText, ScannerCatalog};
use crate::service::findings::testing::{result, target};
use crate::service::findings::{FindingService, FindingServices, TargetService};

/// Runs something once before a certain call of the store.
#[derive(Default)]
pub(super) struct Between(Mutex<Option<(&'static str, BoxFuture<'static, ()>)>>);

impl Between {
    pub(super) fn run_before(&self, name: &'static str, action: impl Future<Output = ()> + Send + 'static) {
        *self.0.lock().unwrap() = Some((name, Box::pin(action)));
    }
}

impl CallHook for Between {
    type Submission = ();
    type Change = ();

    async fn around<T: Send>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let action = self.0.lock().unwrap().take_if(|(name, _)| *name == operation);
        if let Some((_, action)) = action {
            action.await;
        }
        call.await
    }

    fn before_submit(&self, _scan: &mut NewScan) {}

    fn after_submit(&self, (): (), _answer: &Result<Submitted, StoreError>) {}

    fn before_apply(&self, _command: &Command) {}

    fn after_apply(&self, (): (), _answer: &Result<Applied, StoreError>) {}
}

pub(super) struct Stage {
    pub(super) cluster: Cluster,
    pub(super) store: Arc<MemoryStore>,
    pub(super) between: Arc<Between>,
    pub(super) clock: Arc<PausedClock>,
    services: FindingServices,
    catalogue: watch::Sender<Option<Arc<ScannerCatalog>>>,
}

impl Stage {
    pub(super) async fn new() -> Self {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let (store, clock) = (Arc::clone(&cluster.store), Arc::new(PausedClock::default()));
        let between = Arc::<Between>::default();
        let (catalogue, view) = watch::channel(None);
        let stores = Stores::of(&store).hooked(&between);
        let services = FindingServices::new(&stores, cluster.service.clone(), Arc::<PausedClock>::clone(&clock), view);
        for id in ["team", "other"] {
            let project = Project { id: id.parse().unwrap(), title: id.to_owned(), created_at: cluster.now() };
            assert!(store.create_project(project, &Principal::System).await.unwrap());
        }
        Self { cluster, store, between, clock, services, catalogue }
    }

    pub(super) const fn findings(&self) -> &FindingService {
        &self.services.findings
    }

    pub(super) const fn targets(&self) -> &TargetService {
        &self.services.targets
    }

    /// Stores a target with the result of its newest scan.
    pub(super) async fn target(&self, project: &str, origin: &str, scan: u64) -> TargetRecord {
        let record = target(project, origin, scan);
        self.store.suppose_scan(ScanId(scan), Some(&record.project));
        assert_eq!(
            self.store.put_result(result(&record, scan, &[]), record.clone(), Vec::new()).await.unwrap(),
            Put::Stored
        );
        self.stored_target(record.id).await
    }

    pub(super) async fn stored_target(&self, id: TargetId) -> TargetRecord {
        self.store.target(id).await.unwrap().unwrap()
    }

    /// Stores a finding, and returns it as it is stored.
    pub(super) async fn finding(&self, record: FindingRecord) -> FindingRecord {
        let id = record.id;
        assert_eq!(self.store.put_findings(vec![record]).await.unwrap(), Put::Stored);
        self.stored(id).await
    }

    pub(super) async fn stored(&self, id: FindingId) -> FindingRecord {
        self.store.finding(id).await.unwrap().unwrap()
    }

    /// Creates a user with a role in the project `team` alone.
    pub(super) async fn member(&self, name: &str, role: ProjectRole) -> RequestContext {
        let name: AccountName = name.parse().unwrap();
        let new = NewAccount {
            name: name.clone(),
            kind: AccountKind::User,
            server_role: None,
            password_hash: None,
            mail: None,
            memberships: BTreeMap::from([("team".parse().unwrap(), role)]),
        };
        assert!(self.store.create_account(new, self.cluster.now(), &Principal::System).await.unwrap());
        let account = self.store.account(&name).await.unwrap().unwrap();
        RequestContext { principal: account.principal(), grants: Arc::new(account.grants()), ..fixtures::context() }
    }

    /// Returns what happened to findings, targets, scans' notes and times to fix, oldest first.
    pub(super) async fn events(&self) -> Vec<(Principal, DomainEvent)> {
        let mut entries = self.store.audit(&AuditQuery::newest(usize::MAX)).await.unwrap().entries;
        entries.reverse();
        let is_wanted = |event: &DomainEvent| {
            matches!(
                event,
                DomainEvent::FindingTriaged { .. }
                    | DomainEvent::TargetChanged { .. }
                    | DomainEvent::ScanNotesChanged
                    | DomainEvent::SlaPolicySet { .. }
            )
        };
        let wanted = entries.into_iter().filter(|entry| is_wanted(&entry.event));
        wanted.map(|entry| (entry.principal, entry.event)).collect()
    }

    /// Makes a scanner with two plugins and one issue known.
    pub(super) fn load_catalogue(&self) {
        let plugin = |name: &str, kind| PluginInfo {
            name: name.into(),
            display_name: name.into(),
            description: String::new(),
            kind,
            available: true,
            dependencies: Vec::new(),
        };
        let issue = IssueText {
            severity: kastrel_actors::model::Severity::High,
            title: "Weak cipher".into(),
            description: "The server offers a weak cipher.".into(),
            remediation: "Turn it off.".into(),
            category: "TLS".into(),
            fix: IssueFix {
                waf_addressable: Some(false),
                approach: Some(Approach::Infrastructure),
                ..IssueFix::default()
            },
        };
        let catalogue = ScannerCatalog {
            scanner: ScannerInfo { kind: ScannerKind::Kast, version: "3".into(), configuration: None },
            plugins: vec![plugin("testssl", PluginKind::Passive), plugin("zap", PluginKind::Active)],
            issues: [("weak-cipher".to_owned(), issue)].into(),
            natures: Default::default(),
            settings: None,
        };
        self.cluster.snapshots.offered.set(&catalogue.plugins, &catalogue.natures, None);
        self.catalogue.send_replace(Some(Arc::new(catalogue)));
    }
}

/// Returns the invalid field.
pub(super) fn field(error: &CommandError) -> &str {
    match error {
        CommandError::Invalid(field) => &field.field,
        other => panic!("{other:?}"),
    }
}

pub(super) fn is_invisible(error: &CommandError) -> bool {
    matches!(error, CommandError::Denied(Denial::NotVisible))
}

pub(super) fn lacks(error: &CommandError) -> bool {
    matches!(error, CommandError::Denied(Denial::Lacks { .. }))
}
