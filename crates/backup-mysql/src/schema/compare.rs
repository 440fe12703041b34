//! When two schemas are alike.

use std::collections::BTreeMap;

use backup_core::Fingerprint;

use super::create_table::CreateTable;
use super::item::{Item, Kind};
use super::qualifier::moved;
use super::without_definer;
use crate::logical::fingerprint::of;
use crate::quote_name;

/// How many differences of one sort are named.
const NAMED: usize = 10;

/// Returns a statement in the form in which it is compared: the order of keys, the next automatic
/// number, and whether an event is switched on do not count.
pub(crate) fn canonical(item: &Item, database: &str, owners: bool) -> String {
    let sql = match item.kind {
        Kind::Table => CreateTable::parse(&item.sql)
            .map_or_else(|| item.sql.clone(), |table| table.canonical()),
        Kind::Event => switched(&item.sql),
        Kind::View => moved(&item.sql, database, None).unwrap_or_else(|| item.sql.clone()),
        _ => item.sql.clone(),
    };
    // Defaults that take from a sequence name its database.
    let sql = sql.replace(&format!("nextval({}.", quote_name(database)), "nextval(");
    if owners { sql } else { without_definer(&sql) }
}

fn switched(sql: &str) -> String {
    // The words stand before the body, which may hold the same ones.
    let (head, body) = sql.split_once(" DO ").unwrap_or((sql, ""));
    let mut head = head.to_owned();
    for word in [" DISABLE ON SLAVE", " DISABLE ON REPLICA", " DISABLE", " ENABLE"] {
        head = head.replace(word, "");
    }
    format!("{head} DO {body}")
}

/// Returns the fingerprint of a schema.
pub(crate) fn fingerprint(items: &[Item], database: &str) -> Fingerprint {
    let mut sum = Fingerprint::default();
    for item in items {
        let mut text = format!("{} {}", item.kind.as_sql(), item.name).into_bytes();
        text.push(0);
        text.extend_from_slice(canonical(item, database, true).as_bytes());
        sum += of(&text);
    }
    sum
}

/// Returns how a restored schema differs from the stored one, a phrase each.
pub(crate) fn differences(
    stored: (&[Item], &str),
    restored: (&[Item], &str),
    owners: bool,
) -> Vec<String> {
    let of = |(items, database): (&[Item], &str)| -> BTreeMap<(Kind, String), String> {
        let one = |item: &Item| ((item.kind, item.name.clone()), canonical(item, database, owners));
        items.iter().map(one).collect()
    };
    let may_be_missing: Vec<(Kind, &str)> = stored
        .0
        .iter()
        .filter(|item| item.may_be_missing())
        .map(|item| (item.kind, item.name.as_str()))
        .collect();
    let (stored, mut restored) = (of(stored), of(restored));
    let mut found = Vec::new();
    for ((kind, name), sql) in &stored {
        match restored.remove(&(*kind, name.clone())) {
            None if may_be_missing.contains(&(*kind, name.as_str())) => {}
            None => found.push(format!("{} {name} is missing", kind.word())),
            Some(other) if other != *sql => {
                found.push(format!(
                    "{} {name} is another: {}",
                    kind.word(),
                    first_change(sql, &other)
                ));
            }
            Some(_) => {}
        }
    }
    let extra = restored
        .into_keys()
        .map(|(kind, name)| format!("{} {name} was not in the snapshot", kind.word()));
    found.extend(extra);
    let more = found.len().saturating_sub(NAMED);
    found.truncate(NAMED);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    found
}

fn first_change(wanted: &str, found: &str) -> String {
    let pair = wanted.lines().zip(found.lines()).find(|(one, other)| one != other);
    match pair {
        Some((one, other)) => format!("{:?}, not {:?}", other.trim(), one.trim()),
        None => "it has other lines".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_alike_under_another_name_and_differences_are_named() {
        let table = |database: &str, kind: &str| {
            Item::new(
                Kind::Table,
                "t",
                format!(
                    "CREATE TABLE `t` (\n  `a` {kind} DEFAULT nextval(`{database}`.`s`)\n) ENGINE=InnoDB"
                ),
            )
        };
        let event = |state: &str| {
            let sql = format!(
                "CREATE DEFINER=`u`@`h` EVENT `e` ON SCHEDULE EVERY 1 DAY ON COMPLETION PRESERVE {state} DO set @a = ' ENABLE'"
            );
            Item::new(Kind::Event, "e", sql)
        };
        let one = [table("shop", "int"), event("ENABLE")];
        let same = [table("copy", "int"), event("DISABLE ON SLAVE")];
        assert_eq!(differences((&one, "shop"), (&same, "copy"), true), Vec::<String>::new());
        assert_eq!(fingerprint(&one, "shop"), fingerprint(&same, "copy"));
        let other = [table("copy", "bigint")];
        let found = differences((&one, "shop"), (&other, "copy"), true);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("table t is another: ") && found[0].contains("bigint"));
        assert_eq!(found[1], "event e is missing");
    }
}
