//! Groups from settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use backup_config::{GroupSettings, Settings};
use backup_core::SourceName;
use backup_core::port::{Holdings, PartSource};
use backup_ops::group::{GroupPromise, KeysAsked};
use backup_retention::Period;

/// Returns what a group's drills ask about files.
#[must_use]
pub fn keys_asked(group: &GroupSettings) -> Vec<KeysAsked> {
    let asked = group.drill.keys.iter().map(|keys| KeysAsked {
        database: keys.database.clone(),
        files: keys.files.clone(),
        sql: keys.sql.clone(),
        strip_prefix: keys.strip_prefix.clone(),
        add_prefix: keys.add_prefix.clone(),
        allow_empty: keys.allow_empty,
    });
    asked.collect()
}

/// Returns the names of the files that a snapshot holds.
#[must_use]
pub fn holdings(parts: Arc<dyn PartSource>) -> Arc<dyn Holdings> {
    Arc::new(backup_files::StoredFiles::new(parts))
}

/// Returns what was promised about each configured group.
#[must_use]
pub fn group_promises(settings: &Settings) -> BTreeMap<SourceName, GroupPromise> {
    let promise = |group: &GroupSettings| GroupPromise {
        members: group.sources.clone(),
        rpo: group.rpo.as_duration(),
        drill_interval: group.drill.interval.map(Period::as_duration),
        keys: group.drill.keys.len(),
    };
    settings.groups.iter().map(|group| (group.name.clone(), promise(group))).collect()
}

/// Returns the group that a source is a member of.
#[must_use]
pub fn group_of<'a>(settings: &'a Settings, source: &SourceName) -> Option<&'a GroupSettings> {
    settings.groups.iter().find(|group| group.sources.contains(source))
}

/// Returns the group of that name.
#[must_use]
pub fn group<'a>(settings: &'a Settings, name: &SourceName) -> Option<&'a GroupSettings> {
    settings.groups.iter().find(|group| group.name == *name)
}
