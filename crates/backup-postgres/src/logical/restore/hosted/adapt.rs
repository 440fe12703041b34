//! A stored schema without what the furnished target has already: pure.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::{Error, ErrorKind, Finding, Result};

use super::Furnished;
use super::differ::label;
use crate::logical::archive::{Archive, Entry};
use crate::logical::catalog::server::Offer;
use crate::logical::statement::{function_called, in_own_name};

/// What becomes of an entry.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Keep,
    /// The target has it, or it is the host's to have.
    Drop,
    /// It cannot be made here; why.
    Refuse(String),
}

/// Leaves in `archive` what is to be created in the target. `Conflict` names everything that
/// stands in the way at once; nothing was written then.
pub(in crate::logical::restore) fn adapt(
    archive: &mut Archive,
    furnished: &Furnished,
    offer: &Offer,
    takes_event_triggers: bool,
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut problems = Vec::new();
    let mut gone = BTreeSet::new();
    let mut dropped = BTreeSet::new();
    for entry in &archive.entries {
        if entry.kind() == "EVENT TRIGGER" && !takes_event_triggers {
            findings.push(Finding::warning(format!(
                "event trigger {} is left out: role {} may not make event triggers here",
                entry.tag(),
                offer.user
            )));
            gone.insert(entry.id);
            continue;
        }
        match furnished.fate(entry, offer) {
            Fate::Keep => {}
            Fate::Drop => {
                gone.insert(entry.id);
                dropped.insert(entry.id);
            }
            Fate::Refuse(why) => problems.push(why),
        }
    }
    if !problems.is_empty() {
        return Err(Error::new(ErrorKind::Conflict, "check restore target")
            .with("host", furnished.hosted.name)
            .hint(format!(
                "Nothing was written. Switch the missing features on in the target project at {} \
                 (functions of webhooks come with its database webhooks), or restore on a server \
                 of your own.",
                furnished.hosted.name
            ))
            .because(problems.join("; ")));
    }
    let (instead, named) = furnished.differences(archive, &gone, &dropped, offer);
    archive.entries.retain(|entry| {
        if instead.contains_key(&entry.id) {
            return true;
        }
        let follows = matches!(entry.kind(), "COMMENT" | "ACL" | "SECURITY LABEL")
            && !furnished.stays(entry)
            && entry.depends_on.iter().any(|id| gone.contains(id));
        !follows && !gone.contains(&entry.id)
    });
    for entry in &mut archive.entries {
        if let Some(sql) = instead.get(&entry.id) {
            entry.definition = Some(sql.clone().into_bytes());
            entry.owner = Some(Vec::new());
        }
        furnished.in_own_name(entry, offer);
    }
    if !named.is_empty() {
        findings.push(Finding::warning(format!(
            "not as in the snapshot, because the target keeps what is {}'s there: {}",
            furnished.hosted.name,
            named.join("; ")
        )));
    }
    Ok(findings)
}

impl Furnished {
    /// Returns statements that take the place of dropped entries, and the names of those that the
    /// target has otherwise, or not at all.
    fn differences(
        &self,
        archive: &Archive,
        gone: &BTreeSet<i64>,
        dropped: &BTreeSet<i64>,
        offer: &Offer,
    ) -> (BTreeMap<i64, String>, Vec<String>) {
        let mine = |owner: &str| owner == offer.user || self.hosted.is_host_role(owner);
        let tables: Vec<&Entry> = archive
            .entries
            .iter()
            .filter(|entry| entry.kind() == "TABLE" && !gone.contains(&entry.id))
            .filter(|entry| entry.owner().is_none_or(mine))
            .collect();
        let (mut instead, mut named) = (BTreeMap::new(), Vec::new());
        for entry in archive.entries.iter().filter(|entry| dropped.contains(&entry.id)) {
            let Some(found) = self.difference(entry, &tables, offer) else { continue };
            if found.remains {
                named.push(label(entry));
            }
            if !found.sql.is_empty() {
                instead.insert(entry.id, found.sql);
            }
        }
        (instead, named)
    }

    fn fate(&self, entry: &Entry, offer: &Offer) -> Fate {
        if entry.is_setting() || entry.is_of_database() {
            return Fate::Keep;
        }
        let there = self.find(entry.kind(), entry.schema(), entry.tag());
        match entry.kind() {
            "DEFAULT ACL" if entry.owner() == Some(&offer.user) => Fate::Keep,
            "DEFAULT ACL" if entry.owner().is_some_and(|o| offer.memberships.contains(o)) => {
                Fate::Keep
            }
            "DEFAULT ACL" => Fate::Drop,
            "EXTENSION" | "PUBLICATION" | "PUBLICATION TABLE" | "SCHEMA" if there.is_some() => {
                Fate::Drop
            }
            "SCHEMA" if self.is_host_schema(entry.tag()) => Fate::Drop,
            // Only an extension's owner may comment on it.
            "COMMENT" if entry.tag().starts_with("EXTENSION ") => Fate::Drop,
            _ if self.is_about_hosts_schema(entry) => Fate::Drop,
            _ if self.is_host_schema(entry.schema()) => self.fate_in_hosts_schema(entry),
            "TRIGGER" => self.fate_of_trigger(entry),
            "ACL" | "COMMENT"
                if there.is_some_and(|there| there.definition() == entry.definition()) =>
            {
                Fate::Drop
            }
            _ => Fate::Keep,
        }
    }

    /// Of the host's schemas: policies and triggers of the customer, and what belongs to the
    /// customer's role and is not there.
    fn fate_in_hosts_schema(&self, entry: &Entry) -> Fate {
        if self.find(entry.kind(), entry.schema(), entry.tag()).is_some() {
            return Fate::Drop;
        }
        let customers = entry.owner() == Some(self.hosted.customer);
        match entry.kind() {
            "TRIGGER" if self.is_hosts_trigger(entry) => Fate::Drop,
            "POLICY" | "TRIGGER" if !customers => {
                let table = entry.tag().split(' ').next().unwrap_or_default();
                // A name with spaces is found by its beginning.
                let is_there = self.columns.keys().any(|(schema, name)| {
                    schema == entry.schema()
                        && (name == table || entry.tag().starts_with(&format!("{name} ")))
                });
                if is_there {
                    return match entry.kind() {
                        "TRIGGER" => self.fate_of_trigger(entry),
                        _ => Fate::Keep,
                    };
                }
                Fate::Refuse(format!(
                    "{} {} needs a table of {} that the target lacks",
                    entry.kind().to_lowercase(),
                    entry.tag(),
                    entry.schema()
                ))
            }
            _ if customers => Fate::Keep,
            _ => Fate::Drop,
        }
    }

    /// A trigger may call a function of the host that the target does not have.
    fn fate_of_trigger(&self, entry: &Entry) -> Fate {
        match function_called(entry.definition()) {
            Some((schema, name))
                if self.is_host_schema(&schema) && !self.has_function(&schema, &name) =>
            {
                Fate::Refuse(format!(
                    "trigger {} calls {schema}.{name}, which the target lacks",
                    entry.tag()
                ))
            }
            _ => Fate::Keep,
        }
    }

    fn is_about_hosts_schema(&self, entry: &Entry) -> bool {
        let named = entry.tag().strip_prefix("SCHEMA ").map(|name| name.trim_matches('"'));
        matches!(entry.kind(), "ACL" | "COMMENT" | "SECURITY LABEL")
            && entry.schema().is_empty()
            && named.is_some_and(|name| self.is_host_schema(name))
    }

    /// What is about something of the customer's stays although the thing itself is there: who
    /// may use `public`.
    fn stays(&self, entry: &Entry) -> bool {
        entry
            .tag()
            .strip_prefix("SCHEMA ")
            .is_some_and(|name| !self.is_host_schema(name.trim_matches('"')))
    }

    /// Nothing is handed over to the host, or granted in its name.
    fn in_own_name(&self, entry: &mut Entry, offer: &Offer) {
        let foreign = |role: &str| self.hosted.is_host_role(role);
        if entry.owner().is_some_and(|role| foreign(role) || !offer.roles.contains(role)) {
            entry.owner = Some(Vec::new());
        }
        if entry.is_privilege() {
            let sql = in_own_name(entry.definition(), foreign);
            entry.definition = Some(sql.into_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::hosted::Scope;
    use crate::logical::hosted::tests::HOST;

    fn entry(id: i64, kind: &str, schema: &str, tag: &str, owner: &str, sql: &str) -> Entry {
        let mut entry = Entry::for_test(id, kind, schema, tag, sql, &[]);
        entry.owner = Some(owner.into());
        entry
    }

    fn furnished() -> Furnished {
        let present = Archive::for_test(vec![
            entry(1, "SCHEMA", "", "auth", "host_auth", ""),
            entry(2, "TABLE", "auth", "users", "host_auth", ""),
            entry(3, "FUNCTION", "auth", "uid()", "host_auth", ""),
            entry(4, "PUBLICATION", "", "live", "postgres", ""),
            entry(5, "EXTENSION", "", "pgcrypto", "", ""),
            entry(6, "ACL", "", "SCHEMA public", "owner", "GRANT a"),
            entry(7, "TRIGGER", "storage", "objects t", "host_s", "x EXECUTE FUNCTION storage.f()"),
        ]);
        let columns = BTreeMap::from([(
            ("auth".to_owned(), "users".to_owned()),
            BTreeSet::from(["id".to_owned()]),
        )]);
        Furnished {
            hosted: HOST,
            scope: Scope { schemas: BTreeSet::from(["_inner".to_owned()]), ..Scope::default() },
            present,
            columns,
            filled: Vec::new(),
            encoding: "UTF8".into(),
        }
    }

    fn offer() -> Offer {
        let roles = ["postgres", "host_auth", "reporting"].map(str::to_owned).into();
        Offer { user: "postgres".into(), roles, ..Offer::default() }
    }

    fn adapted(entries: Vec<Entry>) -> (Vec<i64>, Archive, Vec<Finding>) {
        let mut archive = Archive::for_test(entries);
        let findings = adapt(&mut archive, &furnished(), &offer(), false).unwrap();
        (archive.entries.iter().map(|entry| entry.id).collect(), archive, findings)
    }

    #[test]
    fn the_target_keeps_its_own_and_gets_the_customers() {
        let (ids, _, findings) = adapted(vec![
            entry(1, "SCHEMA", "", "auth", "host_auth", ""),
            entry(2, "TABLE", "auth", "users", "host_auth", ""),
            entry(3, "INDEX", "auth", "users_new_idx", "host_auth", ""),
            entry(4, "TRIGGER", "auth", "users t", "host_auth", "x EXECUTE FUNCTION public.f()"),
            entry(5, "TRIGGER", "auth", "users h", "host_auth", "x EXECUTE FUNCTION auth.f()"),
            entry(6, "POLICY", "auth", "users mine", "host_auth", ""),
            entry(7, "FUNCTION", "auth", "my_claim()", "postgres", ""),
            entry(8, "ACL", "auth", "TABLE users", "host_auth", "GRANT"),
            entry(9, "ACL", "", "SCHEMA auth", "host_auth", "GRANT"),
            entry(10, "PUBLICATION", "", "live", "postgres", ""),
            entry(11, "PUBLICATION TABLE", "public", "live todos", "postgres", ""),
            entry(12, "EXTENSION", "", "pgcrypto", "", ""),
            entry(13, "EXTENSION", "", "vector", "", ""),
            entry(14, "COMMENT", "", "EXTENSION vector", "", ""),
            entry(15, "ACL", "", "SCHEMA public", "owner", "GRANT a"),
            entry(16, "DEFAULT ACL", "public", "FOR TABLES", "postgres", ""),
            entry(17, "DEFAULT ACL", "public", "FOR TABLES", "host_auth", ""),
            entry(18, "TABLE", "public", "todos", "postgres", ""),
            entry(19, "EVENT TRIGGER", "", "mine", "postgres", ""),
        ]);
        assert_eq!(ids, [4, 6, 7, 11, 13, 16, 18]);
        assert!(findings[0].message.contains("event trigger mine is left out"), "{findings:?}");
    }

    #[test]
    fn a_schema_that_is_only_called_like_the_hosts_comes_whole() {
        let (ids, _, _) = adapted(vec![
            entry(1, "SCHEMA", "", "net", "postgres", ""),
            entry(2, "TABLE", "net", "routers", "reporting", ""),
            entry(3, "ACL", "", "SCHEMA net", "postgres", "GRANT"),
            entry(4, "SCHEMA", "", "_inner", "host_a", ""),
        ]);
        assert_eq!(ids, [1, 2, 3]);
    }

    #[test]
    fn what_the_target_has_otherwise_is_made_up_for_or_named() {
        let mut furnished = furnished();
        let known = "GRANT ALL ON TABLE auth.users TO postgres WITH GRANT OPTION;\n";
        let has = "CREATE PUBLICATION live WITH (publish = 'insert, update');\n";
        let present = &mut furnished.present.entries;
        present.retain(|entry| entry.kind() != "PUBLICATION");
        present.push(entry(20, "PUBLICATION", "", "live", "postgres", has));
        present.push(entry(21, "ACL", "auth", "TABLE users", "host_auth", known));
        let more = format!("{known}GRANT SELECT ON TABLE auth.users TO reporting;\n");
        let wants = "CREATE PUBLICATION live FOR ALL TABLES WITH (publish = 'insert');\n";
        let other = "GRANT USAGE ON SCHEMA auth TO reporting;\n";
        let mut grants = entry(4, "ACL", "auth", "TABLE users", "host_auth", &more);
        grants.depends_on = vec![3];
        let mut archive = Archive::for_test(vec![
            entry(1, "TABLE", "public", "todos", "postgres", "CREATE TABLE"),
            entry(2, "TABLE", "public", "theirs", "reporting", "CREATE TABLE"),
            entry(3, "TABLE", "auth", "users", "host_auth", ""),
            grants,
            entry(5, "PUBLICATION", "", "live", "postgres", wants),
            entry(6, "ACL", "", "SCHEMA auth", "host_auth", other),
            entry(7, "INDEX", "auth", "mine_idx", "host_auth", "CREATE INDEX"),
            entry(8, "TABLE", "realtime", "messages_1", "host_r", "CREATE TABLE"),
        ]);
        let findings = adapt(&mut archive, &furnished, &offer(), true).unwrap();
        let kept: Vec<(i64, &str)> =
            archive.entries.iter().map(|entry| (entry.id, entry.definition())).collect();
        let all = "ALTER PUBLICATION \"live\" ADD TABLE \"public\".\"todos\";\n\
                   ALTER PUBLICATION \"live\" SET (publish = 'insert');\n";
        let grant = "GRANT SELECT ON TABLE auth.users TO reporting;\n";
        assert_eq!(kept, [(1, "CREATE TABLE"), (2, "CREATE TABLE"), (4, grant), (5, all)]);
        assert_eq!(findings.len(), 1);
        let said = &findings[0].message;
        let named = "publication live; privileges on SCHEMA auth; index auth.mine_idx";
        assert!(said.ends_with(named), "{said}");
    }

    #[test]
    fn nothing_is_handed_to_the_host_or_granted_in_its_name() {
        let grant = "SET SESSION AUTHORIZATION host_auth;\nGRANT a;\nRESET SESSION AUTHORIZATION;\nGRANT b;\n";
        let (_, archive, _) = adapted(vec![
            entry(1, "FOREIGN DATA WRAPPER", "", "w", "host_auth", ""),
            entry(2, "ACL", "public", "TABLE t", "reporting", grant),
        ]);
        assert_eq!(archive.entries[0].owner(), None);
        assert_eq!(archive.entries[1].owner(), Some("reporting"));
        assert_eq!(archive.entries[1].definition(), "GRANT b;\n");
    }

    #[test]
    fn what_the_target_lacks_is_named_before_anything_is_written() {
        let mut archive = Archive::for_test(vec![
            entry(
                1,
                "TRIGGER",
                "public",
                "todos hook",
                "postgres",
                "x EXECUTE FUNCTION storage.http()",
            ),
            entry(2, "POLICY", "storage", "vectors p", "host_s", ""),
        ]);
        let error = adapt(&mut archive, &furnished(), &offer(), true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let text = error.to_string();
        assert!(text.contains("calls storage.http") && text.contains("vectors p"), "{text}");
    }

    #[test]
    fn a_fresh_database_holds_nothing_and_a_used_one_says_what() {
        let mut furnished = furnished();
        assert_eq!(furnished.holds(), Vec::<String>::new());
        furnished.filled.push("auth.users".into());
        let table = entry(8, "TABLE", "public", "todos", "postgres", "");
        let policy = entry(9, "POLICY", "auth", "users p", "host_auth", "");
        furnished.present.entries.extend([table, policy]);
        assert_eq!(
            furnished.holds(),
            ["table public.todos", "policy auth.users p", "rows of auth.users"]
        );
    }
}
