//! The repetition of an ended scan: all of it, or some of its plugins.

use super::scans::ScanService;
use super::submission::{Accepted, SubmitError};
use crate::live::Client;
use crate::model::{FieldError, NewScan, RequestContext, ScanId, ScanSnapshot};
use crate::policy::access::decide_scan;
use crate::policy::permission;
use crate::policy::resume::without_result;
use crate::policy::selection::{Selection, unknown};
use crate::ports::secret_sealer;

/// Which plugins of an ended scan run once more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RerunPlugins {
    /// All plugins of the scan.
    #[default]
    All,
    /// The plugins without a result; see [`ScanService::without_result`].
    Failed,
    /// These plugins.
    Only(Vec<String>),
}

impl ScanService {
    /// Returns the plugins of an ended scan that have no result and that another scan could give
    /// one: they failed, were interrupted or not run, or the tool that they missed is installed
    /// now. Empty while the scan runs.
    #[must_use]
    pub fn without_result(&self, scan: &ScanSnapshot) -> Vec<String> {
        if scan.status().is_terminal() {
            without_result(&scan.coverage(), &self.ports.snapshots.offered.get())
        } else {
            Vec::new()
        }
    }

    /// Submits the request of an ended scan again, with all its plugins. The same as
    /// [`rerun_plugins`](Self::rerun_plugins) with [`RerunPlugins::All`].
    ///
    /// # Errors
    /// Those of `rerun_plugins`.
    pub async fn rerun(
        &self,
        context: &RequestContext,
        client: Client,
        id: ScanId,
        confirm_active: bool,
    ) -> Result<Option<Accepted>, SubmitError> {
        self.rerun_plugins(context, client, id, confirm_active, &RerunPlugins::All).await
    }

    /// Submits the request of an ended scan again, for `client`, with these of its plugins and what
    /// they depend on. `confirm_active` is the user's
    /// confirmation that active plugins may run; the confirmation of the earlier scan does not
    /// count. Returns `None` if there is no such scan.
    ///
    /// # Errors
    /// The principal lacks a right or the target the clearance, the scan has not ended, the request
    /// is not permitted any more (for example its target is out of scope), no plugin is left to
    /// run, the scanner does not have one of them, a confirmation is missing, a limit of the queue
    /// is reached, or the store fails.
    pub async fn rerun_plugins(
        &self,
        context: &RequestContext,
        client: Client,
        id: ScanId,
        confirm_active: bool,
        which: &RerunPlugins,
    ) -> Result<Option<Accepted>, SubmitError> {
        let Some(scan) = self.scan(context, id).await? else { return Ok(None) };
        let operation = permission::operation(scan.record.request.options.mode);
        decide_scan(&context.grants, operation, &scan.record)?;
        self.check_clearance(&scan.record.project, &scan.record.request).await?;
        if !scan.status().is_terminal() {
            return Err(SubmitError::NotEnded(id, scan.status()));
        }
        let mut request = scan.record.request.clone();
        let offered = self.ports.snapshots.offered.first().await;
        let chosen = match which {
            RerunPlugins::All => None,
            RerunPlugins::Failed => Some(self.without_result(&scan)),
            RerunPlugins::Only(names) => Some(names.clone()),
        };
        if let Some(names) = chosen {
            if names.is_empty() {
                let why = format!("scan {id} has no plugin without a result that could run again");
                return Err(SubmitError::Invalid(vec![FieldError::new("plugins", why)]));
            }
            let errors = unknown(&names, &offered);
            if !errors.is_empty() {
                return Err(SubmitError::Invalid(errors));
            }
            request.options.plugins = names;
        }
        // Earlier versions stored secrets in clear text.
        let target = request.target.clone();
        let unresolved = self.resolve(Some(&target), &mut request.overrides, &[]);
        if !unresolved.is_empty() {
            return Err(SubmitError::Invalid(unresolved));
        }
        // A secret that this key cannot open would be accepted here and would fail when the scan
        // starts.
        secret_sealer::open_all(&*self.ports.sealer, &target, &mut request.overrides.clone())
            .map_err(|error| SubmitError::Invalid(vec![error]))?;
        let Selection { left_out, warnings } = self.permit(&request, confirm_active).map_err(SubmitError::Invalid)?;
        let scan = NewScan {
            request,
            left_out,
            idempotency_key: None,
            trace: context.trace,
            rerun_of: Some(id),
            submitted_by: context.principal.clone(),
            project: scan.record.project.clone(),
        };
        self.accept(client, scan, warnings).await.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{ScannerKind, SettingNatures};
    use crate::testing::{Cluster, Script, ScriptedRunner, fixtures};

    /// A cluster whose first scan is completed, and whose plugin `two` failed.
    async fn cluster() -> Cluster {
        let script = |job: &crate::ports::AttemptJob| {
            if job.attempt.0 == 1 {
                Script::Half(Duration::from_secs(1))
            } else {
                Script::Fruitless(Duration::from_secs(1))
            }
        };
        let cluster = Cluster::new(ScriptedRunner::new(script).with_plugins(&["one", "two"]));
        let mut offer = fixtures::offer(ScannerKind::Builtin, &["one", "two"]);
        offer.scanner.version = "0".into();
        cluster.snapshots.offered.set(&offer.plugins, &SettingNatures::default(), None);
        let offer = tokio::sync::watch::channel(Some(std::sync::Arc::new(offer))).1;
        let ports = crate::NodePorts { offer, ..cluster.ports() };
        let config = crate::NodeConfig::new("a".parse().unwrap(), 1);
        let node = crate::node::start(config, ports).await.unwrap();
        let id = cluster.submit().await;
        cluster.until_status(id, crate::model::ScanStatus::Completed).await;
        node.shutdown(Duration::ZERO, Duration::from_secs(1)).await;
        cluster
    }

    async fn rerun(cluster: &Cluster, which: &RerunPlugins) -> Result<Option<Accepted>, SubmitError> {
        cluster.service.rerun_plugins(&fixtures::context(), Client::Local, ScanId(1), false, which).await
    }

    #[tokio::test(start_paused = true)]
    async fn rerun_repeats_all_plugins_the_failed_ones_or_those_that_are_named() {
        let cluster = cluster().await;
        let named = |names: &[&str]| RerunPlugins::Only(names.iter().map(ToString::to_string).collect());
        for (which, plugins) in
            [(RerunPlugins::All, &[][..]), (RerunPlugins::Failed, &["two"]), (named(&["one"]), &["one"])]
        {
            let accepted = rerun(&cluster, &which).await.unwrap().unwrap();
            let record = &accepted.scan.record;
            assert_eq!(
                (&record.request.options.plugins[..], record.rerun_of),
                (&plugins.iter().map(ToString::to_string).collect::<Vec<_>>()[..], Some(ScanId(1))),
                "{which:?}"
            );
        }
        for which in [named(&[]), named(&["novel"])] {
            let refused = rerun(&cluster, &which).await.unwrap_err();
            let SubmitError::Invalid(errors) = &refused else { panic!("{refused}") };
            assert_eq!(errors[0].field, "plugins", "{refused}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn scan_without_a_failed_plugin_is_not_repeated_for_them() {
        let cluster = cluster().await;
        let scan = cluster.service.scan(&fixtures::context(), ScanId(1)).await.unwrap().unwrap();
        assert_eq!(cluster.service.without_result(&scan), ["two"]);
        let second = rerun(&cluster, &RerunPlugins::Failed).await.unwrap().unwrap();
        assert!(cluster.service.without_result(&second.scan).is_empty(), "it has not ended");
        // Its scanner does not have the plugin any more.
        let other = fixtures::offer(ScannerKind::Builtin, &["one"]);
        cluster.snapshots.offered.set(&other.plugins, &SettingNatures::default(), None);
        let refused = rerun(&cluster, &RerunPlugins::Failed).await.unwrap_err();
        assert!(refused.to_string().contains("no plugin without a result"), "{refused}");
    }
}
