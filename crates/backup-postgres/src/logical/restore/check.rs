//! Whether a restore can work: a pure planner over what the target offers.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::port::RestoreOptions;
use backup_core::{Error, ErrorKind, Finding, Result};

use super::database::Place;
use crate::logical::archive::Archive;
use crate::logical::catalog::server::Offer;
use crate::logical::roles::NeededRoles;

/// What a restore needs of its target server.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    pub(super) roles: NeededRoles,
    pub(super) extensions: BTreeSet<String>,
    pub(super) tablespaces: BTreeSet<String>,
    pub(super) server_major: u32,
    pub(super) encoding: String,
}

/// What was decided.
#[derive(Clone, Debug, Default)]
pub(super) struct Decision {
    /// Roles to create first.
    pub(super) create_roles: Vec<String>,
    /// Leave tablespaces to the default.
    pub(super) no_tablespaces: bool,
    pub(super) findings: Vec<Finding>,
}

impl Needs {
    /// Reads what a whole snapshot needs from its facts; roles are added by the caller.
    pub(super) fn from_facts(facts: &BTreeMap<String, String>, roles: NeededRoles) -> Self {
        let extensions: BTreeMap<String, String> = json(facts, "extensions");
        let tablespaces: Vec<String> = json(facts, "tablespaces");
        let version: u32 =
            facts.get("server_version_num").and_then(|text| text.parse().ok()).unwrap_or(0);
        Self {
            roles,
            extensions: extensions.into_keys().collect(),
            tablespaces: tablespaces.into_iter().filter(|name| name != "pg_default").collect(),
            server_major: version / 10_000,
            encoding: facts.get("encoding").cloned().unwrap_or_default(),
        }
    }

    /// Narrows the needs to the entries that are restored.
    pub(super) fn narrowed_to(mut self, archive: &Archive) -> Self {
        let extensions = archive.entries.iter().filter(|entry| entry.kind() == "EXTENSION");
        self.extensions = extensions.map(|entry| entry.tag().to_owned()).collect();
        let used = archive.entries.iter().filter_map(|entry| entry.tablespace());
        self.tablespaces = used.map(str::to_owned).collect();
        self
    }
}

fn json<T: serde::de::DeserializeOwned + Default>(
    facts: &BTreeMap<String, String>,
    name: &str,
) -> T {
    facts.get(name).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Decides, or fails with `Conflict` naming everything that is missing at once.
pub(super) fn check(
    needs: &Needs,
    offer: &Offer,
    place: &Place,
    options: &RestoreOptions,
) -> Result<Decision> {
    let mut decision = Decision::default();
    let mut problems = Vec::new();
    let mut remedies = Vec::new();
    roles(needs, offer, options, &mut decision, &mut problems, &mut remedies);
    let missing: Vec<&str> = needs
        .extensions
        .iter()
        .filter(|name| !offer.extensions.contains(*name))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        problems.push(format!("extensions not installed on the server: {}", missing.join(", ")));
        remedies.push("install the extensions' packages on the server".to_owned());
    }
    if !matches!(place, Place::Empty { .. }) && !offer.can_create_databases {
        problems.push(format!("role {} may not create databases", offer.user));
        remedies.push("create an empty database first, or grant CREATEDB".to_owned());
    }
    notes(needs, offer, place, &mut decision);
    if problems.is_empty() {
        return Ok(decision);
    }
    Err(Error::new(ErrorKind::Conflict, "check restore target")
        .hint(format!("Nothing was written. To go on: {}.", remedies.join("; ")))
        .because(problems.join("; ")))
}

fn roles(
    needs: &Needs,
    offer: &Offer,
    options: &RestoreOptions,
    decision: &mut Decision,
    problems: &mut Vec<String>,
    remedies: &mut Vec<String>,
) {
    let needed = needs.roles.clone().without(options.no_owner, options.no_privileges);
    let missing = needed.missing(&offer.roles);
    if options.create_roles && offer.can_create_roles {
        decision.create_roles = missing.into_iter().map(|(role, _)| role).collect();
    } else if !missing.is_empty() {
        let each: Vec<String> =
            missing.iter().map(|(role, reason)| format!("{role} ({reason})")).collect();
        problems.push(format!("roles that do not exist: {}", each.join(", ")));
        remedies.push(
            "create the roles, map them to others (role map), let them be created, or leave \
             owners and privileges out"
                .to_owned(),
        );
    }
    if offer.is_superuser {
        return;
    }
    let foreign: Vec<&str> = needed
        .owners
        .iter()
        .filter(|role| offer.roles.contains(*role) && !offer.memberships.contains(*role))
        .map(String::as_str)
        .collect();
    if !foreign.is_empty() {
        problems.push(format!(
            "role {} may not hand objects over to: {}",
            offer.user,
            foreign.join(", ")
        ));
        remedies
            .push(format!("grant these roles to {}, map them, or leave owners out", offer.user));
    }
}

fn notes(needs: &Needs, offer: &Offer, place: &Place, decision: &mut Decision) {
    let findings = &mut decision.findings;
    if offer.major() < needs.server_major {
        findings.push(Finding::warning(format!(
            "the target runs PostgreSQL {}, older than the source's {}; what the older version \
             does not know will fail",
            offer.server_version, needs.server_major
        )));
    }
    let lacking: Vec<&str> = needs
        .tablespaces
        .iter()
        .filter(|name| !offer.tablespaces.contains(*name))
        .map(String::as_str)
        .collect();
    if !lacking.is_empty() {
        decision.no_tablespaces = true;
        findings.push(Finding::note(format!(
            "tablespaces {} do not exist on the target; everything goes to the default",
            lacking.join(", ")
        )));
    }
    if let Place::Empty { encoding } = place
        && *encoding != needs.encoding
    {
        findings.push(Finding::warning(format!(
            "the target database is encoded in {encoding}, the source in {}; text is converted, \
             and what has no equivalent fails",
            needs.encoding
        )));
    }
    if !decision.create_roles.is_empty() {
        findings.push(Finding::note(format!(
            "roles are created without password and login: {}",
            decision.create_roles.join(", ")
        )));
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::sync::Arc;

    use backup_core::port::NoObserver;

    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn needs() -> Needs {
        let roles = NeededRoles {
            owners: set(&["alice"]),
            grantees: set(&["reader"]),
            others: BTreeSet::new(),
        };
        Needs {
            roles,
            extensions: set(&["hstore"]),
            tablespaces: set(&["fast"]),
            server_major: 15,
            encoding: "UTF8".to_owned(),
        }
    }

    fn offer() -> Offer {
        Offer { version_num: 160_000, user: "me".into(), ..Offer::default() }
    }

    fn options() -> RestoreOptions {
        RestoreOptions {
            jobs: NonZeroUsize::MIN,
            tables: Vec::new(),
            schemas: Vec::new(),
            no_owner: false,
            no_privileges: false,
            create_roles: false,
            role_map: Vec::new(),
            without_extensions: Vec::new(),
            ordered: false,
            recovery: <_>::default(),
            delta: false,
            tablespaces: Vec::new(),
            files: <_>::default(),
            observer: Arc::new(NoObserver),
        }
    }

    #[test]
    fn everything_missing_is_named_in_one_error() {
        let error = check(&needs(), &offer(), &Place::Missing, &options()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let text = error.to_string();
        for part in ["alice (owns", "reader (has", "hstore", "may not create databases"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(error.remedy().is_some_and(|hint| hint.starts_with("Nothing was written.")));
    }

    #[test]
    fn missing_roles_are_created_when_that_is_wanted_and_allowed() {
        let mut offer = offer();
        offer.extensions = set(&["hstore"]);
        offer.can_create_databases = true;
        let wanted = RestoreOptions { create_roles: true, ..options() };
        assert!(check(&needs(), &offer, &Place::Missing, &wanted).is_err());
        offer.can_create_roles = true;
        let decision = check(&needs(), &offer, &Place::Missing, &wanted).unwrap();
        assert_eq!(decision.create_roles, ["alice", "reader"]);
        assert!(decision.no_tablespaces);
    }

    #[test]
    fn only_a_member_may_hand_objects_over() {
        let mut offer = offer();
        offer.extensions = set(&["hstore"]);
        offer.roles = set(&["alice", "reader"]);
        let place = Place::Empty { encoding: "LATIN1".to_owned() };
        let error = check(&needs(), &offer, &place, &options()).unwrap_err();
        assert!(error.to_string().contains("may not hand objects over to: alice"), "{error}");
        offer.memberships = set(&["alice"]);
        let decision = check(&needs(), &offer, &place, &options()).unwrap();
        let said: Vec<&str> = decision.findings.iter().map(|f| f.message.as_str()).collect();
        assert!(said.iter().any(|text| text.contains("LATIN1")), "{said:?}");
        let without = RestoreOptions { no_owner: true, no_privileges: true, ..options() };
        offer.roles.clear();
        assert!(check(&needs(), &offer, &place, &without).is_ok());
    }
}
