//! The names behind the numbers of owners, as far as the system's own files tell them.

use std::collections::{BTreeMap, BTreeSet};

use super::read::whole;

/// So many are told.
const MOST: usize = 4096;

/// The numbers that were seen.
#[derive(Debug, Default)]
pub(super) struct Owners {
    users: BTreeSet<u32>,
    groups: BTreeSet<u32>,
    last: Option<(u32, u32)>,
}

impl Owners {
    pub(super) fn see(&mut self, owner: u32, group: u32) {
        if self.last.replace((owner, group)) == Some((owner, group)) {
            return;
        }
        if self.users.len() < MOST {
            self.users.insert(owner);
        }
        if self.groups.len() < MOST {
            self.groups.insert(group);
        }
    }

    /// Returns what the list says of its owners: attributes `users` and `groups`, JSON objects of
    /// names by number.
    pub(super) fn attributes(&self) -> BTreeMap<String, String> {
        [("users", &self.users, "/etc/passwd"), ("groups", &self.groups, "/etc/group")]
            .into_iter()
            .filter_map(|(name, seen, file)| {
                let known = names(&whole(file).unwrap_or_default());
                let told: BTreeMap<u32, &String> =
                    seen.iter().filter_map(|id| Some((*id, known.get(id)?))).collect();
                Some((name.to_owned(), serde_json::to_string(&told).ok()?))
            })
            .collect()
    }
}

/// Lines of `name:password:number:…`; the first name of a number counts.
fn names(text: &str) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        let (Some(name), Some(id)) = (fields.next(), fields.nth(1)) else { continue };
        if let Ok(id) = id.parse() {
            names.entry(id).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_number_counts() {
        let found = names("root:x:0:0:root:/root:/bin/sh\ntoor:x:0::\nbroken\nwww:x:33:\n");
        assert_eq!(found, [(0, "root".to_owned()), (33, "www".to_owned())].into());
    }
}
