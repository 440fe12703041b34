//! Medians and Markdown.

use std::fmt::Write;

use super::measure::Cost;

/// What one tool did in every round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    costs: Vec<Cost>,
    bytes: Vec<u64>,
}

impl Series {
    /// Adds a round: its cost, and the bytes it left (zero where none are meant).
    pub(crate) fn push(&mut self, cost: Cost, bytes: u64) {
        self.costs.push(cost);
        self.bytes.push(bytes);
    }

    /// Whether no round was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.costs.is_empty()
    }

    /// Median wall seconds.
    pub(crate) fn wall(&self) -> f64 {
        self.median(|cost| cost.wall)
    }

    /// Median CPU seconds of the server.
    pub(crate) fn server(&self) -> f64 {
        self.median(|cost| cost.server)
    }

    /// Median CPU seconds of the tool's processes.
    pub(crate) fn client(&self) -> f64 {
        self.median(|cost| cost.client)
    }

    /// Largest memory of any round, bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.costs.iter().map(|cost| cost.peak).max().unwrap_or_default()
    }

    /// Median of the bytes.
    pub(crate) fn bytes(&self) -> u64 {
        median(self.bytes.iter().map(|&bytes| bytes as f64).collect()) as u64
    }

    /// Smallest and largest wall seconds.
    fn spread(&self) -> (f64, f64) {
        let walls = self.costs.iter().map(|cost| cost.wall);
        walls.fold((f64::MAX, 0.0), |(low, high), wall| (low.min(wall), high.max(wall)))
    }

    fn median(&self, of: impl Fn(&Cost) -> f64) -> f64 {
        median(self.costs.iter().map(of).collect())
    }
}

/// The middle value, or the mean of the two middle ones; zero of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

/// A table of tools, the first row being ours: `bytes` names the last column.
pub(crate) fn tools(rows: &[(&str, &Series)], bytes: Option<&str>) -> String {
    let mut text = String::from(
        "| tool | wall s (min–max) | ours ÷ it | CPU s, tool | CPU s, server | ours ÷ it, CPU | peak MiB |",
    );
    let rule = "|---|--:|--:|--:|--:|--:|--:|";
    match bytes {
        Some(name) => {
            let _ = writeln!(text, " {name} MB |\n{rule}--:|");
        }
        None => {
            let _ = writeln!(text, "\n{rule}");
        }
    }
    let Some((_, ours)) = rows.first() else { return text };
    for (name, series) in rows {
        let (low, high) = series.spread();
        let _ = write!(
            text,
            "| {name} | {:.2} ({low:.2}–{high:.2}) | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} |",
            series.wall(),
            ours.wall() / series.wall(),
            series.client(),
            series.server(),
            (ours.client() + ours.server()) / (series.client() + series.server()),
            series.peak() as f64 / 1_048_576.0,
        );
        let _ = match bytes {
            Some(_) => writeln!(text, " {:.1} |", megabytes(series.bytes())),
            None => writeln!(text),
        };
    }
    text
}

/// Powers of ten, as disks are sold.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_nothing() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median(vec![4.0, 1.0]).to_bits(), 2.5_f64.to_bits());
        assert_eq!(median(vec![]).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn a_table_relates_everything_to_its_first_row() {
        let (mut ours, mut other) = (Series::default(), Series::default());
        let cost = |wall| Cost { wall, client: wall, server: wall, peak: 1 << 20 };
        ours.push(cost(1.0), 2_000_000);
        other.push(cost(4.0), 8_000_000);
        let text = tools(&[("ours", &ours), ("other", &other)], Some("stored"));
        assert!(text.contains("| stored MB |\n"), "{text}");
        assert!(
            text.contains("| other | 4.00 (4.00–4.00) | 0.25 | 4.00 | 4.00 | 0.25 | 1 | 8.0 |")
        );
        assert_eq!(text.lines().count(), 4);
    }
}
