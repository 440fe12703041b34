//! Taking commands out of a page.

use std::collections::{BTreeMap, BTreeSet};

const PAGES: &[(&str, &str)] = &[
    ("OPERATIONS.md", include_str!("../../../../../docs/OPERATIONS.md")),
    ("DISASTER_RECOVERY.md", include_str!("../../../../../docs/DISASTER_RECOVERY.md")),
];

/// The scenarios that tests of this folder execute.
const EXECUTED: &[&str] = &[
    "afterwards",
    "another-copy",
    "damaged-repository",
    "database-gone",
    "drills",
    "every-day",
    "every-month",
    "every-week",
    "hostile-hands",
    "key-trouble",
    "keys",
    "last-good",
    "only-the-sheet",
    "set-up",
    "suspect",
    "table-lost",
    "tool-broken",
    "wrong-rows",
    "wrong-rows-wal",
];

/// The commands of each scenario, in the order of the page.
fn scenarios() -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (page, text) in PAGES {
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(info) = line.trim_start().strip_prefix("```") else { continue };
            let body: Vec<&str> = lines.by_ref().take_while(|l| l.trim() != "```").collect();
            if info == "text" {
                continue;
            }
            let name = info
                .strip_prefix("sh run=")
                .unwrap_or_else(|| panic!("{page}: a block `{info}` that nobody executes"));
            found.entry(name.to_owned()).or_default().push(body.join("\n"));
        }
    }
    found
}

/// The blocks of one scenario.
pub(crate) fn of(scenario: &str) -> Vec<String> {
    assert!(EXECUTED.contains(&scenario), "add {scenario} to the list");
    scenarios().remove(scenario).unwrap_or_else(|| panic!("no block is of scenario {scenario}"))
}

#[test]
fn every_block_is_executed_by_a_scenario() {
    let printed: BTreeSet<String> = scenarios().into_keys().collect();
    let executed: BTreeSet<String> = EXECUTED.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(printed, executed);
}
