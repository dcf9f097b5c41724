//! The results, as a table for users and as JSON for programs.

use serde_json::json;

#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    target: Option<&'static str>,
}

impl Report {
    pub(crate) fn add(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        target: Option<&'static str>,
    ) {
        self.rows.push(Row { name: name.into(), value, unit, target });
    }

    /// Adds the median and the 95th percentile of samples in milliseconds.
    pub(crate) fn latencies(&mut self, name: &str, samples: &[f64], target: Option<&'static str>) {
        self.add(format!("{name}: median of {}", samples.len()), percentile(samples, 0.5), "ms", target);
        self.add(format!("{name}: p95"), percentile(samples, 0.95), "ms", None);
    }

    pub(crate) fn table(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
        table.set_header(["what", "measured", "target"]);
        for row in &self.rows {
            let decimals = if row.value >= 100.0 { 0 } else { 2 };
            table.add_row([
                row.name.clone(),
                format!("{:.decimals$} {}", row.value, row.unit).trim().to_owned(),
                row.target.unwrap_or_default().to_owned(),
            ]);
        }
        table.to_string()
    }

    pub(crate) fn json(&self) -> String {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| json!({"name": row.name, "value": row.value, "unit": row.unit, "target": row.target}))
            .collect();
        serde_json::to_string_pretty(&json!({ "version": env!("CARGO_PKG_VERSION"), "rows": rows })).unwrap()
    }
}

pub(crate) fn median(samples: &[f64]) -> f64 {
    percentile(samples, 0.5)
}

fn percentile(samples: &[f64], at: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a few hundred samples"
    )]
    let index = ((sorted.len() - 1) as f64 * at).round() as usize;
    sorted[index]
}
