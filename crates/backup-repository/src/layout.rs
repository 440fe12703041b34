//! Where objects stand in a store.

use backup_core::{Error, ErrorKind, IndexId, KeyId, ObjectName, PackId, Result, SnapshotId};

/// The format version this crate writes.
pub const FORMAT: u32 = 1;

pub(crate) const CONFIG: &str = "config";
pub(crate) const KEYS: &str = "keys/";
pub(crate) const PACKS: &str = "packs/";
pub(crate) const INDEXES: &str = "index/";
pub(crate) const SNAPSHOTS: &str = "snapshots/";
pub(crate) const VERIFIED: &str = "verified/";
pub(crate) const DRILLS: &str = "drills/";
pub(crate) const PINS: &str = "pins/";
pub(crate) const LEASES: &str = "leases/";
pub(crate) const CURSORS: &str = "cursors/";
pub(crate) const WAL: &str = "wal/";
pub(crate) const PROBES: &str = "probes/";

/// Parses a name built here; cannot fail for the names below.
pub(crate) fn name(text: &str) -> Result<ObjectName> {
    text.parse()
}

pub(crate) fn config() -> Result<ObjectName> {
    name(CONFIG)
}

/// A key record that is renewed for a new epoch gets a new name: nothing is overwritten.
pub(crate) fn key(id: KeyId, epoch: u32) -> Result<ObjectName> {
    name(&format!("{KEYS}{id}-{epoch}"))
}

/// Packs are spread over 256 folders by their first byte, which a disk likes.
pub(crate) fn pack(id: PackId) -> Result<ObjectName> {
    let text = id.to_string();
    let folder = text.get(..2).unwrap_or_default();
    name(&format!("{PACKS}{folder}/{text}"))
}

pub(crate) fn index(id: IndexId) -> Result<ObjectName> {
    name(&format!("{INDEXES}{id}"))
}

pub(crate) fn snapshot(id: SnapshotId) -> Result<ObjectName> {
    name(&format!("{SNAPSHOTS}{id}"))
}

pub(crate) fn pin(id: SnapshotId) -> Result<ObjectName> {
    name(&format!("{PINS}{id}"))
}

/// Reads the id at the end of a listed object's name.
pub(crate) fn id_of<T: std::str::FromStr<Err = Error>>(object: &ObjectName) -> Result<T> {
    object.file_name().parse().map_err(|error: Error| {
        Error::new(ErrorKind::Integrity, "read object name")
            .with("object", object)
            .hint("Something that is not part of the repository lies in its folder; move it away.")
            .because(error)
    })
}
