//! Why a finding is one finding, and why it is open or fixed, in words.

use kastrel_actors::model::{FindingRecord, RequestContext, ScanId};
use kastrel_actors::ports::StoreError;
use kastrel_actors::service::CommandError;
use kastrel_findings::Sighting;
use kastrel_findings::identity::{self, FindingId};
use kastrel_findings::lifecycle::{Proof, ScanOrder, State, scans_to_fix};

use super::compare_words::checked_by;
use super::service::FindingService;

impl FindingService {
    /// Explains a finding, one step a line: how its newest sighting got its fingerprint, why the
    /// first sighting is the same finding, and which scans saw it or prove that it is fixed. `None`
    /// if it does not exist, or if the principal may not read it. The lines have texts of scanned
    /// sites.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn explain(&self, context: &RequestContext, id: FindingId) -> Result<Option<Vec<String>>, CommandError> {
        let Some((record, target)) = self.visible(context, id).await? else { return Ok(None) };
        let first = self.first_sighting(&record).await?;
        let mut lines = vec![
            format!("Finding {} of target {} ({})", record.id, target.origin, target.id),
            "Its newest sighting:".to_owned(),
        ];
        lines.extend(indented(of_sighting(&record)));
        lines.extend(of_members(&record));
        if let Some(first) = first {
            let scan = record.life.first_seen.order.scan;
            lines.push(format!("Its first sighting, in scan {scan}, and the newest one:"));
            lines.extend(indented(identity::explain_pair(&first, &record.sighting, identity::current())));
        }
        lines.extend(of_life(&record));
        Ok(Some(lines))
    }

    /// Returns the sighting of the first scan, if it is another scan than the newest one and its
    /// result is still stored.
    async fn first_sighting(&self, record: &FindingRecord) -> Result<Option<Sighting>, StoreError> {
        let (first, last) = (record.life.first_seen.order, record.life.last_seen.order);
        if first.scan == last.scan {
            return Ok(None);
        }
        let Some(result) = self.store.scan_result(ScanId(first.scan)).await? else { return Ok(None) };
        Ok(self.seen_of(&result, record.fingerprint).await?.map(|seen| seen.sighting))
    }
}

fn indented(lines: Vec<String>) -> impl Iterator<Item = String> {
    lines.into_iter().map(|line| format!("  {line}"))
}

/// Explains the stored sighting. The rules may have changed since it was stored.
fn of_sighting(record: &FindingRecord) -> Vec<String> {
    let rules = identity::current();
    let mut lines = identity::explain(&record.sighting, rules);
    if record.rules != rules.version {
        let (stored, now) = (record.rules, rules.version);
        lines.push(format!("Stored fingerprint, of rule set {stored}: {}", record.fingerprint));
        lines.push(format!("The next scan that sees it gives it the fingerprint of rule set {now}"));
    }
    lines
}

fn of_members(record: &FindingRecord) -> Option<String> {
    let (listed, all) = (record.members.len() as u64, record.members_count);
    match all.saturating_sub(listed) {
        0 if listed == 0 => None,
        0 => Some(format!("Members ({all}): {}", record.members.join(", "))),
        more => Some(format!("Members ({all}): {} and {more} more", record.members.join(", "))),
    }
}

/// Explains the state: the scans that saw it, and what is proven.
fn of_life(record: &FindingRecord) -> Vec<String> {
    let life = &record.life;
    let mut lines = vec![
        format!("First seen in {}", of_scan(life.first_seen.order)),
        format!("Last seen in {}", of_scan(life.last_seen.order)),
    ];
    let proofs = |proofs: &[Proof]| -> Vec<String> {
        let one = |proof: &Proof| {
            format!("  {}: {}", of_scan(proof.order), checked_by(&record.plugin, &proof.plugin_version))
        };
        proofs.iter().map(one).collect()
    };
    match &life.state {
        State::Fixed { proof } => {
            lines.push("Fixed: these complete checks on the same scope did not see it:".to_owned());
            lines.extend(proofs(proof));
        }
        State::Open if life.absences.is_empty() => {
            let needed = scans_to_fix(&record.plugin);
            let checks = if needed == 1 { "one complete check" } else { "two complete checks" };
            lines.push(format!("Open: {checks} of the plugin that do not see it would fix it"));
        }
        State::Open => {
            lines.push("Open: these complete checks did not see it, and one more is needed:".to_owned());
            lines.extend(proofs(&life.absences));
        }
    }
    if life.regressed {
        lines.push(format!("It came back after it had been fixed: open since {:.0}", life.open_since));
    }
    if let Some((since, check)) = life.not_checked_since() {
        lines.push(format!("Not checked since {since:.0}: {}", check.reason()));
    }
    lines
}

fn of_scan(order: ScanOrder) -> String {
    format!("scan {}, which ended at {:.0}", order.scan, order.at)
}
