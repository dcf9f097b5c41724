//! One finding with its proof, its decision and its history.

use kastrel_actors::model::{FindingEntry, FindingRecord};
use kastrel_findings::identity::Fingerprint;
use kastrel_findings::lifecycle::{Decision, Proof, State};
use kastrel_findings::registry::Approach;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::finding_words::{log_kind, log_text};
use super::findings::FindingBody;
use super::moment::Moment;
use crate::service::findings::FindingDetail;

/// A check that proves a finding fixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FixProof)]
pub struct ProofBody {
    /// The scan's number.
    pub scan_id: u64,
    /// When its attempt ended.
    pub at: Moment,
    /// The version of the plugin or of its scanner.
    pub plugin_version: String,
}

impl From<&Proof> for ProofBody {
    fn from(proof: &Proof) -> Self {
        Self { scan_id: proof.order.scan, at: Moment::of(proof.order.at), plugin_version: proof.plugin_version.clone() }
    }
}

/// The decision of a person about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Decision)]
pub struct DecisionBody {
    /// `false_positive` or `accepted`.
    pub decision: String,
    /// Why.
    pub reason: String,
    /// Who decided.
    pub by: String,
    /// When.
    pub at: Moment,
    /// Who answers for an accepted risk; null for a false positive.
    pub owner: Option<String>,
    /// Until when the risk is accepted; null for a false positive.
    pub until: Option<Moment>,
}

impl From<&Decision> for DecisionBody {
    fn from(decision: &Decision) -> Self {
        match decision {
            Decision::FalsePositive { reason, by, at } => Self {
                decision: "false_positive".into(),
                reason: reason.clone(),
                by: by.clone(),
                at: Moment::of(*at),
                owner: None,
                until: None,
            },
            Decision::Accepted { reason, owner, until, by, at } => Self {
                decision: "accepted".into(),
                reason: reason.clone(),
                by: by.clone(),
                at: Moment::of(*at),
                owner: Some(owner.clone()),
                until: Some(Moment::of(*until)),
            },
        }
    }
}

/// The confirmation of a person that a finding is real.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Confirmation)]
pub struct ConfirmationBody {
    /// Who confirmed it.
    pub by: String,
    /// When.
    pub at: Moment,
}

/// An entry of a finding's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FindingLogEntry)]
pub struct FindingLogBody {
    /// When.
    pub at: Moment,
    /// The person, as the text of a principal; null for a scan or the clock.
    pub by: Option<String>,
    /// The scan that caused it.
    pub scan_id: Option<u64>,
    /// The kind: `found`, `regressed`, `fixed`, `proof_lost`, `absent`, `not_checked`, `seen_again`,
    /// `first_seen_earlier`, `confirmed`, `decided`, `withdrawn`, `acceptance_expired`, `comment`,
    /// `assigned`, `continues`.
    pub kind: String,
    /// What happened, in words. A comment or a reason is repeated as it was written.
    pub text: String,
}

impl From<&FindingEntry> for FindingLogBody {
    fn from(entry: &FindingEntry) -> Self {
        Self {
            at: Moment::of(entry.at),
            by: entry.by.clone(),
            scan_id: entry.scan,
            kind: log_kind(&entry.change).to_owned(),
            text: log_text(&entry.change),
        }
    }
}

/// How an issue is best fixed, as the registry of the scanner says it. What it does not say is
/// null.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = IssueFix)]
pub struct IssueFixBody {
    /// Whether a web application firewall can stop attacks on it.
    pub waf_addressable: Option<bool>,
    /// `waf`, `code`, `combined` (both) or `infrastructure`.
    #[schema(value_type = Option<String>)]
    pub approach: Option<Approach>,
    /// The usual time for a change of the application, in words.
    pub code_fix_time: Option<String>,
    /// The usual time for a rule of a firewall, in words.
    pub waf_time: Option<String>,
    /// The usual time for a change of the servers, in words.
    pub infrastructure_time: Option<String>,
}

impl IssueFixBody {
    /// Returns how the issue of a finding is best fixed; `None` if no scanner of this server knows
    /// the issue.
    #[must_use]
    pub fn of(detail: &FindingDetail) -> Option<Self> {
        detail.fix.as_ref().map(|fix| Self {
            waf_addressable: fix.waf_addressable,
            approach: fix.approach,
            code_fix_time: fix.code_fix_time.clone(),
            waf_time: fix.waf_time.clone(),
            infrastructure_time: fix.infrastructure_time.clone(),
        })
    }

    /// Returns what is known, as labels and texts. Texts come from the registry: escape them.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, &str)> {
        let by = self.approach.map(|approach| match approach {
            Approach::Waf => "a rule of a web application firewall",
            Approach::Code => "a change of the application",
            Approach::Combined => "a change of the application, and a rule of a web application firewall",
            Approach::Infrastructure => "a change of the servers",
        });
        let firewall =
            self.waf_addressable.map(|can| if can { "can stop attacks on it" } else { "cannot stop attacks on it" });
        let facts = [
            ("Best fixed by", by),
            ("Web application firewall", firewall),
            ("Time for the application", self.code_fix_time.as_deref()),
            ("Time for a firewall rule", self.waf_time.as_deref()),
            ("Time for the servers", self.infrastructure_time.as_deref()),
        ];
        facts.into_iter().filter_map(|(label, text)| Some((label, text.filter(|text| !text.is_empty())?))).collect()
    }
}

/// A finding with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FindingDetail)]
pub struct FindingDetailBody {
    /// The finding, as in a list.
    #[serde(flatten)]
    pub finding: FindingBody,
    /// Its fingerprint within the target.
    #[schema(value_type = String)]
    pub fingerprint: Fingerprint,
    /// The version of the rules that gave the fingerprint.
    pub rules: u32,
    /// The place as the plugin wrote it.
    pub location: String,
    /// What the plugin saw there.
    pub evidence: String,
    /// CVE and CWE numbers, and addresses to read.
    pub references: Vec<String>,
    /// What its sightings in the newest scan differ in; bounded.
    pub members: Vec<String>,
    /// What the issue means; null if no scanner of this server knows it.
    pub description: Option<String>,
    /// What to do; null if no scanner of this server knows it.
    pub remediation: Option<String>,
    /// How the issue is best fixed; null if no scanner of this server knows it.
    pub fix: Option<IssueFixBody>,
    /// The checks that prove it fixed, the oldest first; empty if it is not fixed.
    pub proof: Vec<ProofBody>,
    /// The confirmation; null without one.
    pub confirmed: Option<ConfirmationBody>,
    /// The decision; null without one. An acceptance that has expired counts no more.
    pub decision: Option<DecisionBody>,
    /// What happened, oldest first.
    pub log: Vec<FindingLogBody>,
    /// Whether the caller may triage it.
    pub may_triage: bool,
}

impl From<&FindingDetail> for FindingDetailBody {
    fn from(detail: &FindingDetail) -> Self {
        let FindingRecord { fingerprint, rules, sighting, members, life, log, .. } = &detail.record;
        let proof: &[Proof] = match &life.state {
            State::Open => &[],
            State::Fixed { proof } => proof,
        };
        let confirmed = life.confirmed.as_ref();
        Self {
            finding: (&detail.row).into(),
            fingerprint: *fingerprint,
            rules: *rules,
            location: sighting.location.clone(),
            evidence: sighting.evidence.clone(),
            references: sighting.references.clone(),
            members: members.clone(),
            description: detail.description.clone(),
            remediation: detail.remediation.clone(),
            fix: IssueFixBody::of(detail),
            proof: proof.iter().map(Into::into).collect(),
            confirmed: confirmed.map(|one| ConfirmationBody { by: one.by.clone(), at: Moment::of(one.at) }),
            decision: life.decision.as_ref().map(Into::into),
            log: log.iter().map(Into::into).collect(),
            may_triage: detail.may_triage,
        }
    }
}

/// A comment on a finding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Comment)]
pub struct CommentBody {
    /// The text: 1 to 2,000 characters.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 2000)]
    pub text: String,
}

/// Why the sightings of a finding are one finding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The explanation, line by line.
    pub lines: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fix_has_what_the_registry_says() {
        assert_eq!(IssueFixBody::default().facts(), []);
        let fix = IssueFixBody {
            waf_addressable: Some(false),
            approach: Some(Approach::Code),
            code_fix_time: Some("1-2 days".into()),
            waf_time: Some(String::new()),
            infrastructure_time: Some("1 week".into()),
        };
        assert_eq!(
            fix.facts(),
            [
                ("Best fixed by", "a change of the application"),
                ("Web application firewall", "cannot stop attacks on it"),
                ("Time for the application", "1-2 days"),
                ("Time for the servers", "1 week"),
            ]
        );
    }
}
