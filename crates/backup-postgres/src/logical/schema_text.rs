//! Two schemas as text, side by side.

use std::collections::BTreeMap;

use super::archive::{Archive, Entry};

/// How many differences are named before it says "and so many more".
const NAMED: usize = 10;

/// Returns every statement of a schema under a name that says what it is about. Settings of the
/// session and of the database itself are left out: they belong to no object.
pub(crate) fn statements(
    archive: &Archive,
    with_owner: bool,
    with_privileges: bool,
) -> Vec<(String, String)> {
    let entries = archive.entries.iter().filter(|entry| {
        !entry.is_setting() && !entry.is_of_database() && (with_privileges || !entry.is_privilege())
    });
    entries.map(|entry| (name(entry), statement(entry, with_owner))).collect()
}

fn name(entry: &Entry) -> String {
    let schema = entry.schema();
    let dot = if schema.is_empty() { "" } else { "." };
    format!("{} {schema}{dot}{}", entry.kind(), entry.tag())
}

fn statement(entry: &Entry, with_owner: bool) -> String {
    // Comments and privileges carry the owner of what they are about.
    let owner = entry.owner().filter(|_| with_owner).unwrap_or_default();
    let method = String::from_utf8_lossy(entry.access_method.as_deref().unwrap_or_default());
    format!("{owner}\n{method}\n{}", entry.definition().trim_end())
}

/// Returns what differs between the schema that was stored and that of a restored database, a
/// phrase each; empty when they are equal.
pub(crate) fn differences(
    stored: &Archive,
    restored: &Archive,
    with_owner: bool,
    with_privileges: bool,
) -> Vec<String> {
    let gather = |archive: &Archive| {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, statement) in statements(archive, with_owner, with_privileges) {
            all.entry(name).or_default().push(statement);
        }
        all.values_mut().for_each(|statements| statements.sort());
        all
    };
    let (stored, mut restored) = (gather(stored), gather(restored));
    let mut found = Vec::new();
    for (name, statements) in stored {
        match restored.remove(&name) {
            None => found.push(format!("missing: {name}")),
            Some(other) if other != statements => found.push(format!("different: {name}")),
            Some(_) => {}
        }
    }
    found.extend(restored.into_keys().map(|name| format!("unexpected: {name}")));
    let more = found.len().saturating_sub(NAMED);
    if more > 0 {
        found.truncate(NAMED);
        found.push(format!("and {more} more"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, &str, &str)]) -> Archive {
        let entries = entries.iter().enumerate().map(|(id, (kind, tag, sql))| {
            Entry::for_test(id as i64 + 1, kind, "public", tag, sql, &[])
        });
        Archive::for_test(entries.collect())
    }

    #[test]
    fn every_difference_is_named_and_order_is_none() {
        let stored = archive(&[
            ("TABLE", "a", "CREATE TABLE a (x int);\n"),
            ("CONSTRAINT", "a a_check", "CHECK (x > 0)"),
            ("INDEX", "i", "CREATE INDEX i ON a (x);"),
        ]);
        let same = archive(&[
            ("INDEX", "i", "CREATE INDEX i ON a (x);"),
            ("TABLE", "a", "CREATE TABLE a (x int);"),
            ("CONSTRAINT", "a a_check", "CHECK (x > 0)"),
        ]);
        assert_eq!(differences(&stored, &same, true, true), Vec::<String>::new());
        let other = archive(&[
            ("TABLE", "a", "CREATE TABLE a (x int);"),
            ("CONSTRAINT", "a a_check", "CHECK (x > 0) NOT VALID"),
            ("VIEW", "v", "CREATE VIEW v AS SELECT 1;"),
        ]);
        assert_eq!(
            differences(&stored, &other, true, true),
            [
                "different: CONSTRAINT public.a a_check",
                "missing: INDEX public.i",
                "unexpected: VIEW public.v"
            ]
        );
    }

    #[test]
    fn owners_count_only_when_asked_for() {
        let stored = archive(&[("TABLE", "a", "CREATE TABLE a ();")]);
        let mut other = stored.clone();
        other.entries[0].owner = Some(b"bob".to_vec());
        assert_eq!(differences(&stored, &other, false, true), Vec::<String>::new());
        assert_eq!(differences(&stored, &other, true, true), ["different: TABLE public.a"]);
    }
}
