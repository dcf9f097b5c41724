//! The processed file of a plugin: what all plugins have in common.

use super::reading::ReaderInput;
use crate::json::{self, Node};
use crate::limits::MOST_ELEMENTS;
use crate::notes::{NoteKind, ReadNotes};

/// Keys whose values no reader needs: pages for reports, and repetitions.
const SKIPPED: &[&str] = &["custom_html", "custom_html_pdf", "scripts_by_origin", "interesting_endpoints", "report"];

/// The words of a disposition for a plugin that ran to its end.
const GOOD_ENDS: &[&str] = &["success", "succeeded", "ok", "complete", "completed", "done", "passed"];

/// An issue of the file's list.
pub(super) struct ListedIssue<'a> {
    /// The id.
    pub(super) id: &'a str,
    /// The entry, which may have further fields.
    pub(super) entry: &'a Node,
}

/// A processed file, and for ZAP its report.
pub(super) struct File {
    root: Node,
    report: Option<Node>,
}

impl File {
    /// Parses the files. A processed file that cannot be read is a note; so is one that reports a
    /// failure.
    pub(super) fn parse(input: &ReaderInput<'_>, notes: &mut ReadNotes) -> Option<Self> {
        let mut parse = |name: &str, bytes: &[u8]| match json::parse(bytes, SKIPPED) {
            Ok((node, cuts)) => {
                notes.cuts(cuts);
                Some(node)
            }
            Err(fault) => {
                notes.fault(name, fault);
                None
            }
        };
        let root = parse("the processed file", input.processed);
        let report = input.zap_report.and_then(|bytes| parse("zap_report.json", bytes));
        let file = match (root, report) {
            (Some(root), report) => Self { root, report },
            (None, Some(report)) => Self { root: Node::List(Vec::new()), report: Some(report) },
            (None, None) => return None,
        };
        if let Some(reason) = file.failure() {
            notes.add(NoteKind::FailureReported, reason);
        }
        Some(file)
    }

    /// The document.
    pub(super) const fn root(&self) -> &Node {
        &self.root
    }

    /// ZAP's report.
    pub(super) const fn report(&self) -> Option<&Node> {
        self.report.as_ref()
    }

    /// The plugin's own findings.
    pub(super) fn findings(&self) -> &Node {
        self.root.get("findings")
    }

    /// The results if the findings wrap them, or else the findings.
    pub(super) fn unwrapped(&self) -> &Node {
        let results = self.findings().get("results");
        if results.is_object() { results } else { self.findings() }
    }

    /// The list of results: the findings themselves, or a list within them. `None`: there is no
    /// list.
    pub(super) fn result_list(&self) -> Option<&[Node]> {
        match (self.root.find("findings")?, self.findings().find("results")) {
            (Node::List(results), _) | (_, Some(Node::List(results))) => Some(results),
            _ => None,
        }
    }

    /// The issues of the file's list: texts, or objects with an id.
    pub(super) fn issues(&self) -> impl Iterator<Item = ListedIssue<'_>> {
        self.root.get("issues").list().iter().take(MOST_ELEMENTS).filter_map(|entry| {
            let id = match entry {
                Node::Text(text) => Some(&**text),
                _ => entry.word_of("id").or_else(|| entry.word_of("issue")),
            };
            id.map(str::trim).filter(|id| !id.is_empty()).map(|id| ListedIssue { id, entry })
        })
    }

    /// Returns true if the file's list has this issue.
    pub(super) fn lists(&self, id: &str) -> bool {
        self.issues().any(|issue| issue.id == id)
    }

    /// The reason of a failure that the file reports.
    fn failure(&self) -> Option<&str> {
        let findings = self.findings();
        let sections = [&self.root, findings, self.root.get("fail"), self.root.get("failed")];
        let is_bad = |word: &str| !GOOD_ENDS.iter().any(|good| word.eq_ignore_ascii_case(good));
        let has_failed = sections.iter().any(|section| section.word_of("disposition").is_some_and(is_bad));
        if !has_failed {
            return sections.iter().find_map(|section| section.text_of("error"));
        }
        let reason = sections
            .iter()
            .find_map(|section| section.text_of("error").or_else(|| section.text_of("results")))
            .or_else(|| self.root.text_of("summary"));
        Some(reason.unwrap_or("the plugin gives no reason"))
    }
}
