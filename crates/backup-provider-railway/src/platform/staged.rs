//! What waits in an environment to be applied: pure.

use std::collections::BTreeSet;

use serde_json::Value;

/// Changes that are staged, by what they are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StagedChanges {
    /// Services, by id.
    pub services: BTreeSet<String>,
    /// Volumes, by id.
    pub volumes: BTreeSet<String>,
    /// Anything else, by its name in the patch.
    pub others: BTreeSet<String>,
}

impl StagedChanges {
    /// Reads a patch.
    pub(crate) fn of(patch: &Value) -> Self {
        let mut found = Self::default();
        let Value::Object(patch) = patch else { return found };
        for (kind, changes) in patch {
            if is_nothing(changes) {
                continue;
            }
            match (kind.as_str(), changes) {
                ("services", Value::Object(changes)) => found.services.extend(names(changes)),
                ("volumes", Value::Object(changes)) => found.volumes.extend(names(changes)),
                _ => {
                    found.others.insert(kind.clone());
                }
            }
        }
        found
    }

    /// Returns whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.volumes.is_empty() && self.others.is_empty()
    }

    /// Returns a sentence for people; `names` turns ids of services into their names.
    pub(crate) fn describe(&self, names: impl Fn(&str) -> String) -> String {
        let services = self.services.iter().map(|id| format!("service {}", names(id)));
        let volumes = self.volumes.iter().map(|id| format!("volume {id}"));
        let others = self.others.iter().cloned();
        let all: Vec<String> = services.chain(volumes).chain(others).collect();
        if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
    }

    /// Returns what is about anything but this service and these volumes.
    pub(crate) fn beside(&self, service: &str, volumes: &BTreeSet<String>) -> Self {
        Self {
            services: self.services.iter().filter(|id| *id != service).cloned().collect(),
            volumes: self.volumes.difference(volumes).cloned().collect(),
            others: self.others.clone(),
        }
    }
}

fn names(changes: &serde_json::Map<String, Value>) -> impl Iterator<Item = String> + '_ {
    changes.iter().filter(|(_, change)| !is_nothing(change)).map(|(id, _)| id.clone())
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_patch_is_nothing_whatever_its_shape() {
        for patch in [json!({}), json!(null), json!({"services": {}, "volumes": {"v": {}}})] {
            assert!(StagedChanges::of(&patch).is_empty(), "{patch}");
        }
    }

    #[test]
    fn what_is_not_the_restores_own_is_told_apart() {
        let patch = json!({
            "services": {"db": {"volumeMounts": {"new": {"mountPath": "/data"}}}, "web": {"deploy": {"startCommand": "x"}}},
            "volumes": {"new": {"isCreated": true}, "old": {"isDeleted": true}},
            "sharedVariables": {"A": {"value": "1"}},
        });
        let staged = StagedChanges::of(&patch);
        let named = staged.describe(|id| if id == "db" { "Postgres".into() } else { id.into() });
        assert_eq!(named, "service Postgres, service web, volume new, volume old, sharedVariables");
        let own = BTreeSet::from(["old".to_owned(), "new".to_owned()]);
        let beside = staged.beside("db", &own);
        assert_eq!(beside.describe(str::to_owned), "service web, sharedVariables");
        // Never a value: a patch may hold variables.
        assert!(!named.contains('1'));
    }
}
