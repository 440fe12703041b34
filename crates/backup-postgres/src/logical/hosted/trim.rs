//! A schema archive without what is the host's alone: pure.

use std::collections::BTreeSet;

use backup_core::Finding;

use super::{Hosted, Scope, matches};
use crate::logical::archive::{Archive, Entry};
use crate::logical::statement::function_called;

/// Kinds that go with what they are about.
const FOLLOWING: [&str; 3] = ["ACL", "COMMENT", "SECURITY LABEL"];

/// Takes out what would mean nothing anywhere else, or could not be made there: the host's
/// event triggers, publications, default privileges, and what is left of schemas and extensions
/// out of scope. What a customer may miss is named.
pub(crate) fn trim(archive: &mut Archive, hosted: &Hosted, scope: &Scope) -> Vec<Finding> {
    let known: BTreeSet<i64> = archive.entries.iter().map(|entry| entry.id).collect();
    // What an extension brings has no entry; who may use it there is the host's decision.
    let of_extension = |entry: &Entry| {
        entry.kind() == "ACL"
            && scope.is_host_schema(hosted, entry.schema())
            && !entry.depends_on.iter().any(|id| known.contains(id))
    };
    let gone: BTreeSet<i64> = archive
        .entries
        .iter()
        .filter(|entry| is_hosts(entry, hosted, scope) || of_extension(entry))
        .map(|entry| entry.id)
        .collect();
    let mut labels = BTreeSet::new();
    archive.entries.retain(|entry| {
        if let Some(provider) = label(entry, hosted) {
            labels.insert(provider.to_owned());
            return false;
        }
        let follows = FOLLOWING.contains(&entry.kind())
            && entry.depends_on.iter().any(|id| gone.contains(id));
        !follows && !gone.contains(&entry.id)
    });
    labels
        .into_iter()
        .map(|provider| {
            Finding::warning(format!(
                "security labels of {provider} are not in the snapshot: what they encrypt can \
                 only be read where {} keeps the key",
                hosted.name
            ))
        })
        .collect()
}

fn is_hosts(entry: &Entry, hosted: &Hosted, scope: &Scope) -> bool {
    if scope.schemas.contains(entry.schema()) {
        return true;
    }
    let owned = entry.owner().is_some_and(|owner| hosted.is_host_role(owner));
    match entry.kind() {
        "ACL" | "COMMENT" | "SECURITY LABEL" => {
            let (kind, name) = entry.tag().split_once(' ').unwrap_or_default();
            let name = name.trim_matches('"');
            (kind == "SCHEMA" && scope.schemas.contains(name))
                || (kind == "EXTENSION" && scope.extensions.contains(name))
        }
        "SCHEMA" => scope.schemas.contains(entry.tag()),
        "EXTENSION" => scope.extensions.contains(entry.tag()),
        "EVENT TRIGGER" => {
            let of_host =
                |schema: &str| scope.is_host_schema(hosted, schema) || schema == "extensions";
            owned || function_called(entry.definition()).is_some_and(|(schema, _)| of_host(&schema))
        }
        "PUBLICATION" => matches(hosted.own_publications, entry.tag()),
        "PUBLICATION TABLE" | "PUBLICATION TABLES IN SCHEMA" => {
            let name = publication(entry);
            matches(hosted.own_publications, name)
        }
        "DEFAULT ACL" => owned,
        _ => false,
    }
}

/// Returns the publication that a table or a schema is put into.
fn publication(entry: &Entry) -> &str {
    entry.tag().split_once(' ').map_or("", |(name, _)| name)
}

/// Returns the provider of a label that means nothing elsewhere.
fn label<'a>(entry: &Entry, hosted: &'a Hosted) -> Option<&'a str> {
    if entry.kind() != "SECURITY LABEL" {
        return None;
    }
    let rest = entry.definition().trim_start().strip_prefix("SECURITY LABEL FOR ")?;
    let provider = rest.split_whitespace().next()?.trim_matches('"');
    hosted.labels.iter().find(|known| **known == provider).copied()
}

#[cfg(test)]
mod tests {
    use super::super::tests::HOST;
    use super::*;

    fn entry(id: i64, kind: &str, schema: &str, tag: &str, owner: &str, sql: &str) -> Entry {
        let mut entry = Entry::for_test(id, kind, schema, tag, sql, &[]);
        entry.owner = Some(owner.into());
        entry
    }

    fn kept(entries: Vec<Entry>) -> (Vec<i64>, Vec<Finding>) {
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let scope = Scope {
            schemas: set(&["_inner", "net"]),
            extensions: set(&["host_vault"]),
            ..Scope::default()
        };
        let mut archive = Archive::for_test(entries);
        let findings = trim(&mut archive, &HOST, &scope);
        (archive.entries.iter().map(|entry| entry.id).collect(), findings)
    }

    #[test]
    fn the_hosts_own_goes_and_the_customers_stays() {
        let watch = "CREATE EVENT TRIGGER w ON ddl_command_end\n   EXECUTE FUNCTION auth.w();";
        let mine = "CREATE EVENT TRIGGER m ON ddl_command_end\n   EXECUTE FUNCTION public.m();";
        let mut comment = entry(4, "COMMENT", "", "EVENT TRIGGER w", "host_admin", "COMMENT");
        comment.depends_on = vec![3];
        let mut grant = entry(18, "ACL", "auth", "TABLE users", "host_admin", "GRANT");
        grant.depends_on = vec![1];
        let (ids, findings) = kept(vec![
            entry(1, "SCHEMA", "", "auth", "host_admin", ""),
            entry(2, "EVENT TRIGGER", "", "m", "postgres", mine),
            entry(3, "EVENT TRIGGER", "", "w", "postgres", watch),
            comment,
            entry(5, "PUBLICATION", "", "live", "postgres", ""),
            entry(6, "PUBLICATION TABLE", "public", "live todos", "postgres", ""),
            entry(7, "PUBLICATION", "", "live_inner_2", "host_admin", ""),
            entry(8, "PUBLICATION TABLE", "realtime", "live_inner_2 m", "host_admin", ""),
            entry(9, "DEFAULT ACL", "public", "DEFAULT PRIVILEGES FOR TABLES", "host_admin", ""),
            entry(10, "DEFAULT ACL", "public", "DEFAULT PRIVILEGES FOR TABLES", "postgres", ""),
            entry(11, "ACL", "", "SCHEMA net", "host_admin", ""),
            entry(12, "ACL", "", "SCHEMA public", "host_admin", ""),
            entry(13, "POLICY", "net", "jobs p", "host_admin", ""),
            entry(14, "EXTENSION", "", "host_vault", "", ""),
            entry(15, "COMMENT", "", "EXTENSION host_vault", "", ""),
            entry(16, "EXTENSION", "", "pgcrypto", "", ""),
            entry(17, "ACL", "auth", "FUNCTION armor(bytea)", "host_admin", "GRANT"),
            grant,
        ]);
        assert_eq!(ids, [1, 2, 5, 6, 10, 12, 16, 18]);
        assert!(findings.is_empty());
    }

    #[test]
    fn labels_that_mean_nothing_elsewhere_are_named() {
        let ours = "SECURITY LABEL FOR sodium ON COLUMN public.t.a IS 'ENCRYPT';";
        let other = "SECURITY LABEL FOR \"se_linux\" ON TABLE public.t IS 'x';";
        let (ids, findings) = kept(vec![
            entry(1, "SECURITY LABEL", "public", "COLUMN t.a", "postgres", ours),
            entry(2, "SECURITY LABEL", "public", "TABLE t", "postgres", other),
        ]);
        assert_eq!(ids, [2]);
        assert!(findings[0].message.contains("labels of sodium"), "{findings:?}");
    }
}
