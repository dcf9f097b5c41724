//! Counts faults and outcomes, and shows them as a table.

use std::collections::BTreeMap;

use comfy_table::Table;
use kastrel_actors::model::{AttemptEnd, ScanRecord};

/// Counts by topic and by item.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<(&'static str, String), usize>);

impl Tally {
    pub(super) fn count(&mut self, topic: &'static str, what: impl Into<String>) {
        *self.0.entry((topic, what.into())).or_default() += 1;
    }

    /// Counts the end of a scan and of each of its attempts.
    pub(super) fn count_scan(&mut self, record: &ScanRecord) {
        self.count("scan", record.status().as_str());
        for end in record.attempts.iter().filter_map(|attempt| attempt.end.as_ref()) {
            let how = match end {
                AttemptEnd::Completed(_) => "completed",
                AttemptEnd::Failed(failure) => failure.kind.as_str(),
                AttemptEnd::Interrupted { why, .. } => why.as_str(),
                AttemptEnd::Cancelled => "cancelled",
            };
            self.count("attempt", how);
        }
    }

    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        table.set_header(["", "what", "how often"]);
        for ((topic, what), count) in &self.0 {
            table.add_row([(*topic).to_owned(), what.clone(), count.to_string()]);
        }
        table.to_string()
    }
}
