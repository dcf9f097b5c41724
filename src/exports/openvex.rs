//! OpenVEX 0.2.0: one statement for each target and each vulnerability with a CVE or GHSA number.
//!
//! A statement says what a product has to do with a vulnerability that others know by its name. A
//! finding without such a name, such as a missing header, is no vulnerability of that kind, and no
//! consumer would find a statement about it. So it is left out, and the document says how many.
//!
//! A target may have a vulnerability at several places. The statement has the status of the worst
//! of them: a place that is fixed makes no target fixed. So the caller must pass all findings of a
//! target, in all states.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kastrel_findings::identity::TargetId;
use kastrel_findings::lifecycle::{Decision, Status};
use serde_json::{Map, Value, json};

use super::finding::{ExportedFinding, ExportedLife};
use super::head::ExportHead;
use super::json::value;
use super::writer::{EncodeError, Writer};

/// The limit for the vulnerabilities of one target. The references of all its findings are bounded,
/// so more are no real ones.
const MOST_OF_TARGET: usize = 20_000;

#[derive(Default)]
pub(super) struct OpenVexWriter {
    target: Option<(TargetId, BTreeMap<String, Statement>)>,
    statements: u64,
    left_out: u64,
}

/// The worst that is known of a vulnerability of one target.
struct Statement {
    rank: u8,
    product: String,
    status: &'static str,
    /// The name and the text of the field that the status needs.
    text: Option<(&'static str, String)>,
    at: Timestamp,
    notes: String,
}

impl Writer for OpenVexWriter {
    /// Writes nothing: a document without statements is invalid, so it begins with the first one.
    fn begin(&mut self, _: &ExportHead, _: &mut Vec<u8>) -> Result<(), EncodeError> {
        Ok(())
    }

    fn finding(&mut self, finding: &ExportedFinding, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (names, life) = (vulnerabilities(finding), finding.life.as_ref());
        let Some(life) = life.filter(|_| !names.is_empty()) else {
            self.left_out += 1;
            return Ok(());
        };
        if self.target.as_ref().is_some_and(|(target, _)| *target != finding.target) {
            self.flush(out)?;
        }
        let (_, known) = self.target.get_or_insert_with(|| (finding.target, BTreeMap::new()));
        for name in names {
            let (statement, is_full) = (statement(finding, life), known.len() >= MOST_OF_TARGET);
            match known.get_mut(&name) {
                Some(other) if statement.rank < other.rank => *other = statement,
                Some(_) => {}
                None if is_full => self.left_out += 1,
                None => {
                    known.insert(name, statement);
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, head: &ExportHead, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.flush(out)?;
        if self.statements == 0 {
            return Err(EncodeError::NoStatement);
        }
        let without = match self.left_out {
            0 => String::new(),
            1 => "; 1 finding without a CVE or GHSA number is left out".to_owned(),
            count => format!("; {count} findings without a CVE or GHSA number are left out"),
        };
        out.extend_from_slice(b"\n],");
        let rest = json!({
            "@context": "https://openvex.dev/ns/v0.2.0",
            "@id": format!("urn:uuid:{}", uuid::Uuid::new_v4()),
            "author": "Kastrel",
            "role": "Scanner",
            "timestamp": head.at.to_string(),
            "version": 1,
            "tooling": format!("Kastrel {}{without}", head.kastrel),
        });
        let mut fields = Vec::new();
        value(&rest, &mut fields)?;
        // The fields continue the object that the first statement began.
        out.extend_from_slice(fields.get(1..).unwrap_or_default());
        out.push(b'\n');
        Ok(())
    }
}

impl OpenVexWriter {
    /// Writes the statements of the target so far.
    fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Some((_, known)) = self.target.take() else { return Ok(()) };
        for (name, statement) in known {
            out.extend_from_slice(if self.statements == 0 { &b"{\"statements\":[\n"[..] } else { &b",\n"[..] });
            self.statements += 1;
            let mut fields = Map::new();
            fields.insert("vulnerability".into(), json!({ "name": name }));
            fields.insert("products".into(), json!([{ "@id": statement.product }]));
            fields.insert("status".into(), Value::from(statement.status));
            fields.insert("timestamp".into(), Value::from(statement.at.to_string()));
            fields.insert("status_notes".into(), Value::from(statement.notes));
            if let Some((field, text)) = statement.text {
                fields.insert(field.into(), Value::from(text));
            }
            value(&fields, out)?;
        }
        Ok(())
    }
}

/// Returns the names of the vulnerabilities of a finding.
fn vulnerabilities(finding: &ExportedFinding) -> Vec<String> {
    let is_name = |text: &str, start: &str| {
        text.strip_prefix(start).is_some_and(|rest| {
            rest.contains('-') && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
    };
    let mut names: Vec<String> =
        finding.references.iter().filter(|text| is_name(text, "CVE-") || is_name(text, "GHSA-")).cloned().collect();
    names.sort();
    names.dedup();
    names
}

fn statement(finding: &ExportedFinding, life: &ExportedLife) -> Statement {
    let (rank, status, text) = match (life.status, &life.decision) {
        (Status::Confirmed, _) => {
            (0, "affected", Some(("action_statement", "The finding is confirmed and is to be fixed.".to_owned())))
        }
        (Status::Open, _) => (1, "under_investigation", None),
        (Status::Accepted, Some(Decision::Accepted { reason, owner, until, .. })) => {
            let until = until.strftime("%Y-%m-%d");
            let text = format!("The risk is accepted until {until} by {owner}: {reason}");
            (2, "affected", Some(("action_statement", text)))
        }
        (Status::Accepted, _) => (2, "affected", Some(("action_statement", "The risk is accepted.".to_owned()))),
        (Status::Fixed, _) => (3, "fixed", None),
        (Status::FalsePositive, Some(Decision::FalsePositive { reason, .. })) => {
            (4, "not_affected", Some(("impact_statement", reason.clone())))
        }
        (Status::FalsePositive, _) => {
            (4, "not_affected", Some(("impact_statement", "A person marked it as a false positive.".to_owned())))
        }
    };
    let at = match &life.decision {
        Some(Decision::FalsePositive { at, .. } | Decision::Accepted { at, .. }) => *at,
        None => life.last_seen,
    };
    Statement {
        rank,
        product: finding
            .origin
            .as_ref()
            .map_or_else(|| format!("urn:kastrel:target:{}", finding.target), ToString::to_string),
        status,
        text,
        at,
        notes: format!("{}: {} at {}", finding.plugin, finding.title, finding.place),
    }
}
