//! Which roles a restore needs, and what to do about those that are missing: a pure planner.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::archive::Archive;
use super::statement::{Named, replace_names, roles_in};

/// Kinds of entries whose statements name roles, besides privileges.
const NAMING_KINDS: [&str; 2] = ["POLICY", "USER MAPPING"];

/// Names of a snapshot's facts.
const OWNERS: &str = "role_owners";
const GRANTEES: &str = "role_grantees";
const OTHERS: &str = "role_others";

/// `OLD` to `NEW` names, from the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoleMap(BTreeMap<String, String>);

impl RoleMap {
    /// Takes pairs of old and new names.
    pub(crate) fn new(pairs: &[(String, String)]) -> Self {
        Self(pairs.iter().cloned().collect())
    }

    /// Returns the name a role has at the target.
    pub(crate) fn name<'a>(&'a self, role: &'a str) -> &'a str {
        self.0.get(role).map_or(role, String::as_str)
    }

    /// Replaces roles everywhere in an archive.
    pub(crate) fn apply(&self, archive: &mut Archive) {
        if self.0.is_empty() {
            return;
        }
        for entry in &mut archive.entries {
            if let Some(owner) = entry.owner() {
                entry.owner = Some(self.name(owner).as_bytes().to_vec());
            }
            if entry.is_privilege() || NAMING_KINDS.contains(&entry.kind()) {
                let sql = self.in_statement(entry.definition());
                entry.definition = Some(sql.into_bytes());
            }
        }
    }

    /// Replaces roles in statements.
    pub(crate) fn in_statement(&self, sql: &str) -> String {
        replace_names(sql, |named, name| {
            let new = self.0.get(name).filter(|_| named == Named::Role)?;
            Some(Cow::Borrowed(new.as_str()))
        })
    }
}

/// Roles that a restore mentions, by why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NeededRoles {
    /// They own something.
    pub(crate) owners: BTreeSet<String>,
    /// They are granted something.
    pub(crate) grantees: BTreeSet<String>,
    /// Policies and user mappings name them.
    pub(crate) others: BTreeSet<String>,
}

impl NeededRoles {
    /// Collects the roles that an archive (already mapped and filtered) mentions.
    pub(crate) fn of(archive: &Archive) -> Self {
        let mut needed = Self::default();
        for entry in archive.entries.iter().filter(|e| !e.is_setting() && !e.is_of_database()) {
            if entry.is_privilege() {
                needed.grantees.extend(roles_in(entry.definition()));
                continue;
            }
            if NAMING_KINDS.contains(&entry.kind()) {
                needed.others.extend(roles_in(entry.definition()));
            }
            if entry.kind() != "USER MAPPING" {
                needed.owners.extend(entry.owner().map(str::to_owned));
            }
        }
        // A mapping for everyone names no role.
        needed.others.remove("PUBLIC");
        needed.others.remove("public");
        needed
    }

    /// Writes them into a snapshot's facts: `role_owners`, `role_grantees`, `role_others`.
    pub(crate) fn to_facts(&self, facts: &mut BTreeMap<String, String>) {
        for (name, roles) in
            [(OWNERS, &self.owners), (GRANTEES, &self.grantees), (OTHERS, &self.others)]
        {
            let roles: Vec<String> = roles.iter().cloned().collect();
            facts.insert(name.to_owned(), serde_json::Value::from(roles).to_string());
        }
    }

    /// Reads them back, renamed.
    pub(crate) fn from_facts(facts: &BTreeMap<String, String>, map: &RoleMap) -> Self {
        let read = |name: &str| -> BTreeSet<String> {
            let roles: Vec<String> = facts
                .get(name)
                .and_then(|json| serde_json::from_str(json).ok())
                .unwrap_or_default();
            roles.iter().map(|role| map.name(role).to_owned()).collect()
        };
        Self { owners: read(OWNERS), grantees: read(GRANTEES), others: read(OTHERS) }
    }

    /// Leaves out what the options leave out.
    pub(crate) fn without(mut self, no_owner: bool, no_privileges: bool) -> Self {
        if no_owner {
            self.owners.clear();
        }
        if no_privileges {
            self.grantees.clear();
        }
        self
    }

    /// Returns those the target lacks, with the reason, sorted.
    pub(crate) fn missing(&self, existing: &BTreeSet<String>) -> Vec<(String, &'static str)> {
        let reasons = [
            (&self.owners, "owns objects"),
            (&self.grantees, "has privileges"),
            (&self.others, "is named by a policy or a user mapping"),
        ];
        let mut missing: BTreeMap<String, &'static str> = BTreeMap::new();
        for (roles, reason) in reasons {
            for role in roles.difference(existing) {
                missing.entry(role.clone()).or_insert(reason);
            }
        }
        missing.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::archive::Entry;
    use super::*;

    fn archive() -> Archive {
        let entry = |kind, sql| Entry::for_test(1, kind, "public", "t", sql, &[]);
        let mut mapping = entry("USER MAPPING", "CREATE USER MAPPING FOR PUBLIC SERVER s;");
        mapping.owner = None;
        Archive::for_test(vec![
            entry("TABLE", "CREATE TABLE public.t ();"),
            entry("ACL", "GRANT SELECT ON TABLE public.t TO reader;"),
            entry("POLICY", "CREATE POLICY p ON public.t TO auditor USING (true);"),
            mapping,
        ])
    }

    #[test]
    fn roles_are_collected_by_reason() {
        let needed = NeededRoles::of(&archive());
        assert_eq!(needed.owners, ["alice".to_owned()].into());
        assert_eq!(needed.grantees, ["reader".to_owned()].into());
        assert_eq!(needed.others, ["auditor".to_owned()].into());
        let existing = BTreeSet::from(["reader".to_owned()]);
        let missing = needed.clone().without(true, false).missing(&existing);
        assert_eq!(missing, [("auditor".to_owned(), "is named by a policy or a user mapping")]);
        assert_eq!(needed.missing(&existing).len(), 2);
    }

    #[test]
    fn roles_survive_the_facts() {
        let needed = NeededRoles::of(&archive());
        let mut facts = BTreeMap::new();
        needed.to_facts(&mut facts);
        assert_eq!(NeededRoles::from_facts(&facts, &RoleMap::default()), needed);
    }

    #[test]
    fn a_map_reaches_owners_grants_and_policies() {
        let mut archive = archive();
        let pairs = [("alice", "a2"), ("reader", "r2"), ("auditor", "x2")];
        RoleMap::new(&pairs.map(|(old, new)| (old.to_owned(), new.to_owned()))).apply(&mut archive);
        let needed = NeededRoles::of(&archive);
        assert_eq!(needed.owners, ["a2".to_owned()].into());
        assert_eq!(needed.grantees, ["r2".to_owned()].into());
        assert_eq!(needed.others, ["x2".to_owned()].into());
    }
}
