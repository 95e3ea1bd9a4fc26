//! The reference page, made from the table.

use std::fmt::Write as _;

use crate::catalogue::METRICS;

/// The content of `docs/metrics.md`.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = String::from(
        "# Metrics\n\nMade from the declarations in `crates/telemetry`; do not edit. The `process_*` metrics (processor \
         time, resident memory, open files, start time) are served beside these.\n\n| name | type | labels | unit | \
         help |\n|---|---|---|---|---|\n",
    );
    for metric in METRICS {
        let labels = metric.labels.join(", ");
        let (name, kind, unit, help) = (metric.name, metric.kind.word(), metric.unit_word(), metric.help);
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {unit} | {help} |");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_has_one_line_for_each_metric() {
        let page = reference_markdown();
        for metric in METRICS {
            assert_eq!(page.matches(&format!("| `{}` |", metric.name)).count(), 1, "{}", metric.name);
        }
    }
}
