//! Corruptions by number: the same number is the same corruption.

use backup_core::{Part, Snapshot};
use backup_testkit::parts::Wrong;

/// A small generator, so that a failure can be repeated.
struct Seed(u64);

impl Seed {
    fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit.max(1)
    }
}

/// Returns that many corruptions of a snapshot's parts, each kind in turn.
pub(crate) fn seeded(snapshot: &Snapshot, count: usize) -> Vec<Wrong> {
    let tables: Vec<&Part> = snapshot
        .parts
        .iter()
        .filter(|part| part.name.as_str().starts_with("table/") && part.bytes > 0)
        .collect();
    (0..count).map(|number| one(number, &tables)).collect()
}

fn one(number: usize, tables: &[&Part]) -> Wrong {
    let mut seed = Seed(number as u64);
    let table = tables[seed.below(tables.len() as u64) as usize];
    let part = table.name.as_str().to_owned();
    let rows: u64 = table.attributes["rows"].parse().unwrap();
    match number % 7 {
        0 | 1 => Wrong::Bit { at: seed.below(table.bytes), bit: seed.below(8) as u8, part },
        2 => Wrong::DroppedSegment { part, position: 0 },
        3 => Wrong::MissingLines {
            first: seed.below(rows) as usize,
            count: 1 + seed.below(5) as usize,
            part,
        },
        4 => Wrong::DoubledLine { part: "table/public.tags".into(), line: 0 },
        5 => Wrong::Swapped {
            one: "table/public.left_twin".into(),
            other: "table/public.right_twin".into(),
        },
        _ if number.is_multiple_of(2) => Wrong::Replaced {
            part: "sequences".into(),
            from: "\"last_value\":101".into(),
            to: format!("\"last_value\":{}", 102 + seed.below(50)),
        },
        _ => Wrong::Replaced {
            part: "schema".into(),
            from: "select n * 2".into(),
            to: format!("select n * {}", 3 + seed.below(6)),
        },
    }
}

pub(crate) fn kind(wrong: &Wrong) -> &'static str {
    match wrong {
        Wrong::Bit { .. } => "bit flip",
        Wrong::DroppedSegment { .. } => "dropped chunk",
        Wrong::MissingLines { .. } => "missing rows",
        Wrong::DoubledLine { .. } => "doubled row",
        Wrong::Swapped { .. } => "swapped parts",
        Wrong::Replaced { part, .. } if part == "sequences" => "wrong sequence",
        Wrong::Replaced { .. } => "wrong schema",
    }
}

pub(crate) fn place(wrong: &Wrong) -> String {
    match wrong {
        Wrong::Bit { part, at, bit } => format!("{part} byte {at} bit {bit}"),
        Wrong::DroppedSegment { part, position } => format!("{part} segment {position}"),
        Wrong::MissingLines { part, first, count } => format!("{part} rows {first}+{count}"),
        Wrong::DoubledLine { part, line } => format!("{part} row {line}"),
        Wrong::Swapped { one, other } => format!("{one} with {other}"),
        Wrong::Replaced { part, to, .. } => format!("{part} {to}"),
    }
}
