//! A plan as a text table.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use crate::{Plan, SnapshotFacts};

const HEAD: [&str; 5] = ["PLAN", "SNAPSHOT", "STORED", "VERIFIED", "WHY"];

impl Plan {
    /// Returns the plan as a table for people: one row a snapshot, newest first, then the
    /// counts, the warnings, and why it was refused if it was. Times are in `zone`.
    #[must_use]
    pub fn table(&self, zone: &TimeZone) -> String {
        let kept = self.keep.iter().map(|kept| {
            let why: Vec<String> = kept.reasons.iter().map(ToString::to_string).collect();
            ("keep", &kept.snapshot, why.join("; "))
        });
        let forgotten = self
            .forget
            .iter()
            .map(|forgotten| ("forget", &forgotten.snapshot, forgotten.reason.to_string()));
        let mut all: Vec<_> = kept.chain(forgotten).collect();
        all.sort_by_key(|(_, s, _)| std::cmp::Reverse((s.sequence, s.stored_at, s.id)));
        let rows: Vec<[String; 5]> = all
            .into_iter()
            .map(|(action, snapshot, why)| row(action, snapshot, why, zone))
            .collect();

        let mut text = String::new();
        if let Some(source) = &self.source {
            put(&mut text, &format!("{source}: {}", self.policy));
        }
        if !rows.is_empty() {
            write_rows(&mut text, &rows);
        }
        put(&mut text, &format!("keep {}, forget {}", self.keep.len(), self.forget.len()));
        for warning in &self.warnings {
            put(&mut text, &format!("warning: {warning}"));
        }
        if let Some(refusal) = &self.refused {
            put(&mut text, &format!("refused: {refusal}"));
        }
        text
    }
}

fn row(action: &str, snapshot: &SnapshotFacts, why: String, zone: &TimeZone) -> [String; 5] {
    let stored = snapshot.stored_at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string();
    let verified = if snapshot.suspect { "suspect" } else { snapshot.level.as_str() };
    [action.to_owned(), snapshot.id.short(), stored, verified.to_owned(), why]
}

fn write_rows(text: &mut String, rows: &[[String; 5]]) {
    let mut widths = HEAD.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let head = HEAD.map(str::to_owned);
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let pad = width.saturating_sub(cell.chars().count());
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', pad + 2));
        }
        put(text, line.trim_end());
    }
}

fn put(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}
