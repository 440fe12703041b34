//! What is built, on which tables, after what: pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::logical::archive::{Entry, Section};
use crate::logical::restore::table::TablePart;

/// What a piece of work does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Runs an entry's statements.
    Create {
        /// What it is, for errors.
        label: String,
        sql: String,
        /// Where it goes; the default when empty.
        tablespace: String,
    },
    /// Gathers a table's statistics.
    Analyze { table: String },
}

/// One piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) action: Action,
    /// The tables it locks, and whether others may work on them meanwhile.
    pub(crate) tables: BTreeSet<usize>,
    pub(crate) alone: bool,
    /// Positions of items that come first.
    pub(crate) after: Vec<usize>,
}

/// Everything to do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) items: Vec<Item>,
    /// Positions of the items in the order of preference.
    pub(crate) order: Vec<usize>,
    /// Archive entries that the items create.
    pub(crate) entries: BTreeSet<i64>,
    /// Tables (as SQL names) whose statistics must wait for what pg_restore creates.
    pub(crate) analyze_later: Vec<String>,
}

/// Hundredths of a table's bytes that an item is estimated to work through.
fn weight(kind: &str) -> u64 {
    match kind {
        "FK CONSTRAINT" => 50,
        "" => 10,
        _ => 100,
    }
}

/// Plans the work on `tables`, whose rows are in; `analyze` says whether statistics are wanted.
pub(crate) fn plan(entries: &[Entry], tables: &[TablePart], analyze: bool) -> Plan {
    let by_name: HashMap<(&str, &str), usize> =
        (0..).zip(tables).map(|(at, t)| ((t.schema.as_str(), t.table.as_str()), at)).collect();
    let by_id: HashMap<i64, &Entry> = entries.iter().map(|entry| (entry.id, entry)).collect();
    let table_of = |entry: &Entry| match entry.kind() {
        "TABLE" => by_name.get(&(entry.schema(), entry.tag())).copied(),
        _ => None,
    };
    let mut items: Vec<(Item, u64)> = Vec::new();
    let mut placed: BTreeMap<i64, usize> = BTreeMap::new();
    let mut unfinished: BTreeSet<usize> = BTreeSet::new();
    for entry in entries.iter().filter(|entry| entry.section == Section::PostData) {
        let needs = || entry.depends_on.iter().filter_map(|id| by_id.get(id));
        let on: BTreeSet<usize> = needs().filter_map(|need| table_of(need)).collect();
        let possible = matches!(entry.kind(), "INDEX" | "CONSTRAINT" | "FK CONSTRAINT")
            && !on.is_empty()
            && !entry.definition().is_empty()
            && needs().all(|need| match need.section {
                Section::PreData => need.kind() != "TABLE" || table_of(need).is_some(),
                _ => placed.contains_key(&need.id),
            });
        if !possible {
            if matches!(entry.kind(), "INDEX" | "CONSTRAINT" | "STATISTICS") {
                unfinished.extend(on);
            }
            continue;
        }
        let largest = on.iter().filter_map(|at| tables.get(*at)).map(|t| t.bytes).max();
        let item = Item {
            action: Action::Create {
                label: format!("{} {}.{}", entry.kind(), entry.schema(), entry.tag()),
                sql: entry.definition().to_owned(),
                tablespace: entry.tablespace().unwrap_or_default().to_owned(),
            },
            alone: entry.kind() != "INDEX",
            tables: on,
            after: needs().filter_map(|need| placed.get(&need.id).copied()).collect(),
        };
        placed.insert(entry.id, items.len());
        items.push((item, largest.unwrap_or_default().saturating_mul(weight(entry.kind()))));
    }
    let mut later = Vec::new();
    for (at, table) in tables.iter().enumerate().filter(|_| analyze) {
        if unfinished.contains(&at) {
            later.push(table.sql_name());
            continue;
        }
        let earlier = items.iter().enumerate().filter(|(_, (item, _))| item.tables.contains(&at));
        let after = earlier.map(|(position, _)| position).collect();
        let action = Action::Analyze { table: table.sql_name() };
        let item = Item { action, tables: BTreeSet::from([at]), alone: true, after };
        items.push((item, table.bytes.saturating_mul(weight(""))));
    }
    Plan {
        order: preference(&items, tables.len()),
        items: items.into_iter().map(|(item, _)| item).collect(),
        entries: placed.into_keys().collect(),
        analyze_later: later,
    }
}

/// Most work first: what is on one table waits for its lock, so that the table with the most
/// work is what everyone would wait for in the end.
fn preference(items: &[(Item, u64)], tables: usize) -> Vec<usize> {
    let mut load = vec![0u64; tables];
    for (item, cost) in items {
        for &at in &item.tables {
            if let Some(load) = load.get_mut(at) {
                *load = load.saturating_add(*cost);
            }
        }
    }
    let heaviest = |item: &Item| item.tables.iter().filter_map(|at| load.get(*at)).max().copied();
    let mut order: Vec<(Reverse<Option<u64>>, Reverse<u64>, usize)> = items
        .iter()
        .enumerate()
        .map(|(at, (item, cost))| (Reverse(heaviest(item)), Reverse(*cost), at))
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, _, at)| at).collect()
}

#[cfg(test)]
mod tests {
    use backup_core::PartName;

    use super::*;

    fn after_rows(id: i64, kind: &str, tag: &str, depends_on: &[i64]) -> Entry {
        let definition = format!("CREATE {tag}");
        let mut entry = Entry::for_test(id, kind, "s", tag, &definition, depends_on);
        entry.section = Section::PostData;
        entry
    }

    fn table(id: i64, name: &str) -> Entry {
        Entry::for_test(id, "TABLE", "s", name, "CREATE TABLE", &[])
    }

    fn part(name: &str, bytes: u64) -> TablePart {
        TablePart::for_test(PartName::new(name), bytes, "s", name)
    }

    fn labels(plan: &Plan) -> Vec<String> {
        let label = |at: &usize| match &plan.items[*at].action {
            Action::Create { label, .. } => label.clone(),
            Action::Analyze { table } => format!("ANALYZE {table}"),
        };
        plan.order.iter().map(label).collect()
    }

    #[test]
    fn the_table_with_most_work_comes_first_and_statistics_last() {
        let entries = [
            table(1, "small"),
            table(2, "big"),
            after_rows(3, "CONSTRAINT", "small pkey", &[1]),
            after_rows(4, "CONSTRAINT", "big pkey", &[2]),
            after_rows(5, "INDEX", "big_a", &[2, 77]),
            after_rows(6, "FK CONSTRAINT", "big fkey", &[2, 1, 3]),
        ];
        let plan = plan(&entries, &[part("small", 10), part("big", 1000)], true);
        assert_eq!(plan.entries, BTreeSet::from([3, 4, 5, 6]));
        assert_eq!(
            labels(&plan),
            [
                "CONSTRAINT s.big pkey",
                "INDEX s.big_a",
                "FK CONSTRAINT s.big fkey",
                "ANALYZE \"s\".\"big\"",
                "CONSTRAINT s.small pkey",
                "ANALYZE \"s\".\"small\"",
            ]
        );
        let foreign_key = &plan.items[3];
        assert_eq!((foreign_key.alone, &foreign_key.after), (true, &vec![0]));
        assert!(!plan.items[2].alone, "indexes on one table are built side by side");
        assert_eq!(plan.items[5].after, [1, 2, 3], "after everything on the table");
    }

    #[test]
    fn what_needs_anything_else_is_left_to_pg_restore() {
        let view = Entry::for_test(2, "MATERIALIZED VIEW", "s", "view", "CREATE", &[]);
        let entries = [
            table(1, "t"),
            view,
            table(3, "partitioned"),
            after_rows(4, "INDEX", "on_view", &[2]),
            after_rows(5, "INDEX", "on_partitioned", &[3]),
            after_rows(6, "INDEX ATTACH", "attach", &[5]),
            after_rows(7, "FK CONSTRAINT", "t fkey", &[1, 3, 6]),
            after_rows(8, "STATISTICS", "pair", &[1]),
            after_rows(9, "TRIGGER", "u touch", &[10]),
            table(10, "u"),
        ];
        let planned = plan(&entries, &[part("t", 1), part("u", 1)], true);
        assert!(planned.entries.is_empty(), "{planned:?}");
        assert_eq!(labels(&planned), ["ANALYZE \"s\".\"u\""], "a trigger changes no statistics");
        assert_eq!(planned.analyze_later, ["\"s\".\"t\""]);
        assert!(plan(&entries, &[part("t", 1)], false).analyze_later.is_empty());
    }
}
