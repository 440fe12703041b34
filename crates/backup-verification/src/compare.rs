//! A restored database against the evidence of its snapshot: pure.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::port::Restored;
use backup_core::{Evidence, SnapshotKind};

use super::{cluster, tree};

/// How many names are given before it says "and so many more".
const NAMED: usize = 5;

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Equal; what was compared.
    Equal(String),
    /// Not equal, and the snapshot (or its restore) is to blame: what differs.
    Different(String),
    /// Not equal, or not comparable, for a reason that lies in the place it was restored to:
    /// what, and the remedy.
    Environment(String, String),
    /// The snapshot holds nothing to compare with: why.
    Unknown(String),
}

/// Compares everything that evidence speaks of; each comparison under its stable name.
#[must_use]
pub fn compare(
    kind: SnapshotKind,
    wanted: &Evidence,
    found: &Restored,
) -> Vec<(&'static str, Finding)> {
    let evidence = &found.evidence;
    if let Some(cluster) = &found.cluster {
        return cluster::judge(found, cluster);
    }
    if let Some(restored) = &found.tree {
        return tree::judge(wanted, restored);
    }
    let mut all = vec![
        ("rows", rows(wanted, evidence)),
        ("fingerprints", fingerprints(wanted, evidence)),
        ("schema", schema(wanted, found)),
        ("sequences", sequences(wanted, evidence)),
        ("objects", objects(wanted, evidence)),
        ("locale", locale(kind, wanted, evidence)),
        ("extensions", extensions(wanted, evidence)),
    ];
    let large = fact(wanted, "large_objects").is_some_and(|count| count != "0");
    if large || fact(evidence, "large_objects").is_some_and(|count| count != "0") {
        all.push(("large objects", large_objects(wanted, evidence)));
    }
    all
}

/// Tables and sequences of extensions that a database works without where a server lacks them.
fn optional(evidence: &Evidence) -> BTreeSet<String> {
    let text = fact(evidence, "optional_relations").unwrap_or("[]");
    serde_json::from_str(text).unwrap_or_default()
}

fn rows(wanted: &Evidence, found: &Evidence) -> Finding {
    let optional = optional(wanted);
    let (wanted, mut found) = (wanted.row_sets(), found.row_sets());
    let count = wanted.values().map(|set| set.rows).sum::<u64>();
    let mut wrong = Vec::new();
    for (name, set) in &wanted {
        match found.remove(name) {
            None if optional.contains(name) => {}
            None => wrong.push(format!("{name} is missing, it had {} rows", set.rows)),
            Some(other) if other.rows != set.rows => {
                wrong.push(format!("{name} has {} rows, not {}", other.rows, set.rows));
            }
            Some(_) => {}
        }
    }
    let unexpected = found
        .into_iter()
        .map(|(name, set)| format!("{name} with {} rows was not in the snapshot", set.rows));
    wrong.extend(unexpected);
    verdict(&wrong, format!("{count} rows in {} tables", wanted.len()))
}

fn fingerprints(wanted: &Evidence, found: &Evidence) -> Finding {
    let construction = fact(wanted, "row_fingerprint");
    if construction.is_none() {
        return Finding::Unknown(
            "The snapshot was taken before fingerprints were; its rows were only counted.".into(),
        );
    }
    if construction != fact(found, "row_fingerprint") {
        return Finding::Unknown("This version fingerprints rows in another way.".into());
    }
    let (sets, others) = (wanted.row_sets(), found.row_sets());
    let mut compared = 0;
    let mut wrong = Vec::new();
    for (name, set) in &sets {
        // Rows that are missing, or too many, are told by the count already.
        let Some(other) = others.get(name).filter(|other| other.rows == set.rows) else { continue };
        compared += 1;
        if set.fingerprint != other.fingerprint {
            wrong.push(format!("{name} has other rows"));
        }
    }
    if !wrong.is_empty() && major(wanted) != major(found) {
        return Finding::Environment(
            format!(
                "{} (on another major version, which may print values differently)",
                list(&wrong)
            ),
            format!("Drill on a server of version {}.", major(wanted)),
        );
    }
    if !wrong.is_empty() && fact(wanted, "lc_monetary") != fact(found, "lc_monetary") {
        let wanted = fact(wanted, "lc_monetary").unwrap_or_default();
        return Finding::Environment(
            format!("{} (where money is printed in another locale)", list(&wrong)),
            format!("Set lc_monetary to '{wanted}' on the drill's server."),
        );
    }
    verdict(&wrong, format!("the rows of {compared} tables"))
}

fn schema(wanted: &Evidence, found: &Restored) -> Finding {
    let differences = &found.schema_differences;
    let tool = &found.evidence.schema_tool_version;
    if !differences.is_empty() && *tool != wanted.schema_tool_version {
        return Finding::Environment(
            format!(
                "{} (written by {tool}, not {})",
                list(differences),
                wanted.schema_tool_version
            ),
            "Put the programs of the source's version on this machine.".into(),
        );
    }
    verdict(differences, "the statements of the whole schema".into())
}

fn sequences(wanted: &Evidence, found: &Evidence) -> Finding {
    if wanted.schema.is_none() {
        return Finding::Unknown("The snapshot was taken before sequences were recorded.".into());
    }
    let optional = optional(wanted);
    let key = |one: &backup_core::SequenceEvidence| format!("{}.{}", one.schema, one.name);
    let mut others: BTreeMap<String, _> =
        found.sequences.iter().map(|one| (key(one), (one.last_value, one.is_called))).collect();
    let mut wrong = Vec::new();
    for one in &wanted.sequences {
        let name = key(one);
        match others.remove(&name) {
            Some(stand) if stand == (one.last_value, one.is_called) => {}
            Some((value, _)) => {
                wrong.push(format!("{name} stands at {value}, not {}", one.last_value));
            }
            None if optional.contains(&name) => {}
            None => wrong.push(format!("{name} is missing")),
        }
    }
    wrong.extend(others.into_keys().map(|name| format!("{name} was not in the snapshot")));
    verdict(&wrong, format!("the values of {} sequences", wanted.sequences.len()))
}

fn objects(wanted: &Evidence, found: &Evidence) -> Finding {
    if wanted.objects.is_empty() {
        return Finding::Unknown("The snapshot was taken before objects were counted.".into());
    }
    let kinds = wanted.objects.keys().chain(found.objects.keys());
    let kinds: BTreeSet<&String> = kinds.collect();
    let of = |evidence: &Evidence, kind: &str| evidence.objects.get(kind).copied().unwrap_or(0);
    let wrong: Vec<String> = kinds
        .into_iter()
        .filter(|kind| of(wanted, kind) != of(found, kind))
        .map(|kind| format!("{kind}: {}, not {}", of(found, kind), of(wanted, kind)))
        .collect();
    if !wrong.is_empty() && major(wanted) != major(found) {
        return Finding::Environment(
            format!("{} (on another major version, which may count otherwise)", list(&wrong)),
            format!("Drill on a server of version {}.", major(wanted)),
        );
    }
    let shown = ["index", "constraint", "function"];
    let shown = shown.map(|kind| format!("{kind} {}", of(wanted, kind)));
    verdict(&wrong, format!("numbers of {} kinds ({})", wanted.objects.len(), shown.join(", ")))
}

fn locale(kind: SnapshotKind, wanted: &Evidence, found: &Evidence) -> Finding {
    let names = ["encoding", "collate", "ctype", "locale_provider", "locale", "icu_rules"];
    let show = |value: Option<&str>| value.unwrap_or("nothing").to_owned();
    let wrong: Vec<String> = names
        .into_iter()
        .filter(|name| fact(wanted, name) != fact(found, name))
        .map(|name| {
            format!("{name}: {}, not {}", show(fact(found, name)), show(fact(wanted, name)))
        })
        .collect();
    if !wrong.is_empty() {
        return Finding::Different(list(&wrong));
    }
    let (then, now) = (fact(wanted, "collation_version"), fact(found, "collation_version"));
    if let (Some(then), Some(now)) = (then, now)
        && then != now
    {
        let what = format!("text sorts by version {now} of the collation, {then} at the source");
        if kind == SnapshotKind::Physical {
            return Finding::Environment(
                what,
                "Drill where the C library (or ICU) is the source's, or REINDEX after a restore."
                    .into(),
            );
        }
        return Finding::Equal(format!("encoding and locale; {what} (indexes were built anew)"));
    }
    Finding::Equal("encoding and locale".into())
}

fn extensions(wanted: &Evidence, found: &Evidence) -> Finding {
    let read = |evidence| -> BTreeMap<String, String> {
        let text = fact(evidence, "extensions").unwrap_or("{}");
        serde_json::from_str(text).unwrap_or_default()
    };
    let (wanted, found) = (read(wanted), read(found));
    let missing: Vec<String> =
        wanted.keys().filter(|name| !found.contains_key(*name)).cloned().collect();
    let others: Vec<String> = wanted
        .iter()
        .filter_map(|(name, version)| {
            let other = found.get(name).filter(|other| *other != version)?;
            Some(format!("{name} {other} instead of {version}"))
        })
        .collect();
    let what = if others.is_empty() {
        format!("{} extensions", wanted.len())
    } else {
        format!("{} extensions; in other versions: {}", wanted.len(), list(&others))
    };
    let missing: Vec<String> =
        missing.into_iter().map(|name| format!("{name} is missing")).collect();
    verdict(&missing, what)
}

fn large_objects(wanted: &Evidence, found: &Evidence) -> Finding {
    let count = |evidence| fact(evidence, "large_objects").unwrap_or("0").to_owned();
    if count(wanted) != count(found) {
        return Finding::Different(format!("{}, not {}", count(found), count(wanted)));
    }
    if wanted.large_objects.is_none() {
        return Finding::Unknown(
            "The snapshot was taken before large objects had fingerprints.".into(),
        );
    }
    if fact(wanted, "block_size") != fact(found, "block_size") {
        return Finding::Unknown("The servers cut large objects into other pages.".into());
    }
    if wanted.large_objects == found.large_objects {
        Finding::Equal(format!("{} large objects", count(wanted)))
    } else {
        Finding::Different("large objects hold other bytes".into())
    }
}

fn fact<'a>(evidence: &'a Evidence, name: &str) -> Option<&'a str> {
    evidence.facts.get(name).map(String::as_str)
}

fn major(evidence: &Evidence) -> &str {
    let version = &evidence.server_version;
    version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default()
}

fn verdict(wrong: &[String], compared: String) -> Finding {
    if wrong.is_empty() { Finding::Equal(compared) } else { Finding::Different(list(wrong)) }
}

pub(super) fn list(all: &[String]) -> String {
    let shown = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    match all.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use backup_core::{Fingerprint, SequenceEvidence, TableEvidence};

    use super::*;

    fn evidence() -> Evidence {
        let table = |name: &str, rows, sum, root: Option<&str>| TableEvidence {
            schema: "public".into(),
            name: name.into(),
            rows,
            bytes: 10,
            fingerprint: Some(Fingerprint(sum)),
            root: root.map(str::to_owned),
        };
        let facts =
            [("row_fingerprint", "x"), ("encoding", "UTF8"), ("extensions", "{\"a\":\"1\"}")];
        Evidence {
            server_version: "16.4 (Debian)".into(),
            schema_tool_version: "pg_dump (PostgreSQL) 16.4".into(),
            tables: vec![
                table("orders", 5, 50, None),
                table("m0", 2, 7, Some("public.m")),
                table("m1", 3, 8, Some("public.m")),
            ],
            sequences: vec![SequenceEvidence {
                schema: "public".into(),
                name: "ids".into(),
                last_value: 9,
                is_called: true,
            }],
            objects: BTreeMap::from([("index".into(), 2)]),
            schema: Some(Fingerprint(1)),
            facts: facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Evidence::default()
        }
    }

    fn asked(change: impl FnOnce(&mut Restored)) -> Vec<&'static str> {
        let mut restored = Restored { evidence: evidence(), ..Restored::default() };
        change(&mut restored);
        let all = compare(SnapshotKind::Logical, &evidence(), &restored);
        all.into_iter()
            .filter(|(_, finding)| matches!(finding, Finding::Different(_)))
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn a_faithful_restore_differs_in_nothing() {
        assert_eq!(asked(|_| ()), Vec::<&str>::new());
        // Rows may move between partitions that are loaded through their root.
        let moved = asked(|restored| {
            let tables = &mut restored.evidence.tables;
            (tables[1].rows, tables[1].fingerprint) = (5, Some(Fingerprint(15)));
            (tables[2].rows, tables[2].fingerprint) = (0, Some(Fingerprint(0)));
        });
        assert_eq!(moved, Vec::<&str>::new());
    }

    #[test]
    fn every_kind_of_difference_is_found_by_its_question() {
        assert_eq!(asked(|r| r.evidence.tables[0].rows = 4), ["rows"]);
        assert_eq!(asked(|r| drop(r.evidence.tables.pop())), ["rows"]);
        assert_eq!(
            asked(|r| r.evidence.tables[0].fingerprint = Some(Fingerprint(51))),
            ["fingerprints"]
        );
        assert_eq!(asked(|r| r.schema_differences.push("missing: INDEX i".into())), ["schema"]);
        assert_eq!(asked(|r| r.evidence.sequences[0].last_value = 8), ["sequences"]);
        assert_eq!(asked(|r| r.evidence.sequences.clear()), ["sequences"]);
        let broken = |r: &mut Restored| {
            r.evidence.objects.insert("index, invalid".into(), 1);
        };
        assert_eq!(asked(broken), ["objects"]);
        let other = |name: &'static str, value: &'static str| {
            asked(move |r| drop(r.evidence.facts.insert(name.into(), value.into())))
        };
        assert_eq!(other("encoding", "LATIN1"), ["locale"]);
        assert_eq!(other("extensions", "{}"), ["extensions"]);
        assert_eq!(other("large_objects", "1"), ["large objects"]);
    }

    #[test]
    fn what_an_optional_extension_holds_may_be_missing_whole_and_not_in_part() {
        let mut wanted = evidence();
        let names = r#"["public.orders", "public.ids"]"#;
        wanted.facts.insert("optional_relations".into(), names.into());
        let ask = |change: fn(&mut Evidence)| {
            let mut found = evidence();
            change(&mut found);
            (rows(&wanted, &found), sequences(&wanted, &found))
        };
        let (rows, sequences) = ask(|found| {
            found.tables.remove(0);
            found.sequences.clear();
        });
        assert!(matches!(rows, Finding::Equal(_)), "{rows:?}");
        assert!(matches!(sequences, Finding::Equal(_)), "{sequences:?}");
        let (rows, _) = ask(|found| found.tables[0].rows = 4);
        assert!(matches!(rows, Finding::Different(_)), "{rows:?}");
    }

    #[test]
    fn what_the_place_is_to_blame_for_is_not_the_snapshots_fault() {
        let finding = |change: fn(&mut Restored), name: &str| {
            let mut restored = Restored { evidence: evidence(), ..Restored::default() };
            change(&mut restored);
            let all = compare(SnapshotKind::Logical, &evidence(), &restored);
            all.into_iter().find(|(known, _)| *known == name).unwrap().1
        };
        let newer = finding(
            |r| {
                r.evidence.server_version = "17.0".into();
                r.evidence.tables[0].fingerprint = Some(Fingerprint(51));
            },
            "fingerprints",
        );
        assert!(matches!(newer, Finding::Environment(..)), "{newer:?}");
        let tool = finding(
            |r| {
                r.evidence.schema_tool_version = "pg_dump (PostgreSQL) 17.0".into();
                r.schema_differences.push("different: TABLE t".into());
            },
            "schema",
        );
        assert!(matches!(tool, Finding::Environment(..)), "{tool:?}");
    }

    #[test]
    fn snapshots_of_before_are_compared_by_what_they_have() {
        let old = Evidence { facts: BTreeMap::new(), ..evidence() };
        let old = Evidence { objects: BTreeMap::new(), schema: None, ..old };
        let restored = Restored { evidence: evidence(), ..Restored::default() };
        let unknown: Vec<&str> = compare(SnapshotKind::Logical, &old, &restored)
            .into_iter()
            .filter(|(_, finding)| matches!(finding, Finding::Unknown(_)))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(unknown, ["fingerprints", "sequences", "objects"]);
    }
}
