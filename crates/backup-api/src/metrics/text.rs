//! The text format: families with their help, samples with escaped labels.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::families::{FAMILIES, Family, Kind};

/// Samples, gathered by family.
#[derive(Default)]
pub(crate) struct Page {
    samples: BTreeMap<&'static str, String>,
}

impl Page {
    /// Adds one sample.
    pub(crate) fn add(&mut self, family: &Family, labels: &[(&str, &str)], value: f64) {
        self.add_suffixed(family, "", labels, value);
    }

    /// Adds one sample whose name has a suffix: the parts of a histogram.
    pub(crate) fn add_suffixed(
        &mut self,
        family: &Family,
        suffix: &str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        let out = self.samples.entry(family.name).or_default();
        out.push_str(family.name);
        out.push_str(suffix);
        for (place, (name, text)) in labels.iter().enumerate() {
            out.push(if place == 0 { '{' } else { ',' });
            out.push_str(name);
            out.push_str("=\"");
            escape(text, out);
            out.push('"');
        }
        if !labels.is_empty() {
            out.push('}');
        }
        // Whole numbers below 2^53 print without a fraction.
        let _ = writeln!(out, " {value}");
    }

    /// Returns the page, in the order of the list.
    pub(crate) fn finish(mut self) -> String {
        let mut page = String::new();
        for family in FAMILIES {
            let Some(samples) = self.samples.remove(family.name) else { continue };
            let kind = match family.kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
                Kind::Histogram => "histogram",
            };
            let _ = writeln!(page, "# HELP {} {}", family.name, family.help);
            let _ = writeln!(page, "# TYPE {} {kind}", family.name);
            page.push_str(&samples);
        }
        page
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::families;

    #[test]
    fn labels_cannot_break_out() {
        let mut page = Page::default();
        page.add(&families::INFO, &[("version", "a\"} 1\nevil 1\\")], 1.0);
        let text = page.finish();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.ends_with("{version=\"a\\\"} 1\\nevil 1\\\\\"} 1\n"), "{text}");
    }

    #[test]
    fn large_whole_numbers_stay_whole() {
        let mut page = Page::default();
        page.add(&families::REPOSITORY_STORED, &[], (1_u64 << 50) as f64);
        assert!(page.finish().ends_with(" 1125899906842624\n"));
    }
}
