//! What the path of a file in a data directory says. Pure.

use std::fmt;

/// Which files are kept together: a database's of one tablespace, the log, all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Group {
    /// Files of one database in one tablespace, by their oids.
    Database {
        /// `1663` for the data directory's own, `1664` for what all databases share.
        space: u32,
        /// Zero for what all databases share.
        database: u32,
    },
    /// `pg_wal`.
    Wal,
    /// Everything else.
    Other,
}

/// A file of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Relation {
    /// The number in the file's name.
    pub(crate) node: u32,
    /// Which of the relation's files.
    pub(crate) fork: Fork,
    /// Which piece of it (1 GiB each, normally).
    pub(crate) segment: u32,
}

/// The kinds of files that a relation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Fork {
    Main = 0,
    FreeSpace = 1,
    Visibility = 2,
    Init = 3,
}

const DEFAULT_SPACE: u32 = 1663;
/// What all databases share.
pub(crate) const GLOBAL: Group = Group::Database { space: 1664, database: 0 };

/// Returns the group of a path relative to the data directory, and what relation it is of.
pub(crate) fn classify(path: &str) -> (Group, Option<Relation>) {
    let mut steps = path.split('/');
    let (group, name) = match steps.next() {
        Some("base") => (database(DEFAULT_SPACE, steps.next()), steps.next()),
        Some("global") => (Some(GLOBAL), steps.next()),
        Some("pg_tblspc") => {
            let space = steps.next().and_then(number);
            let _version = steps.next();
            (space.and_then(|space| database(space, steps.next())), steps.next())
        }
        Some("pg_wal") => (Some(Group::Wal), None),
        _ => (None, None),
    };
    match (group, name, steps.next()) {
        (Some(Group::Wal), _, _) => (Group::Wal, None),
        (Some(group), Some(name), None) => (group, relation(name)),
        _ => (Group::Other, None),
    }
}

fn database(space: u32, step: Option<&str>) -> Option<Group> {
    Some(Group::Database { space, database: number(step?)? })
}

/// `16384`, `16384.2`, `16384_fsm`, `16384_vm.1`, `16384_init`.
pub(crate) fn relation(name: &str) -> Option<Relation> {
    let (stem, segment) = match name.split_once('.') {
        Some((stem, segment)) => (stem, number(segment).filter(|segment| *segment > 0)?),
        None => (name, 0),
    };
    let (node, fork) = match stem.split_once('_') {
        Some((node, "fsm")) => (node, Fork::FreeSpace),
        Some((node, "vm")) => (node, Fork::Visibility),
        Some((node, "init")) => (node, Fork::Init),
        Some(_) => return None,
        None => (stem, Fork::Main),
    };
    Some(Relation { node: number(node)?, fork, segment })
}

/// A number without sign or leading zeros.
fn number(text: &str) -> Option<u32> {
    let plain =
        text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

impl fmt::Display for Group {
    /// Writes the end of the names of this group's parts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database { space, database } => write!(f, "{space}/{database}"),
            Self::Wal => f.write_str("wal"),
            Self::Other => f.write_str("other"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_tell_their_group_and_relation() {
        let database = |space, database| Group::Database { space, database };
        let file = |node, fork, segment| Some(Relation { node, fork, segment });
        for (path, group, relation) in [
            ("base/5/1259", database(1663, 5), file(1259, Fork::Main, 0)),
            ("base/5/16384.12", database(1663, 5), file(16384, Fork::Main, 12)),
            ("base/5/16384_vm.1", database(1663, 5), file(16384, Fork::Visibility, 1)),
            ("base/5/16384_init", database(1663, 5), file(16384, Fork::Init, 0)),
            ("base/5/pg_filenode.map", database(1663, 5), None),
            ("base/5/t3_16384", database(1663, 5), None),
            ("global/1262_fsm", database(1664, 0), file(1262, Fork::FreeSpace, 0)),
            ("global/pg_control", database(1664, 0), None),
            (
                "pg_tblspc/16400/PG_15_202209061/5/16401",
                database(16400, 5),
                file(16401, Fork::Main, 0),
            ),
            ("pg_tblspc/16400/PG_15_202209061", Group::Other, None),
            ("pg_wal/000000010000000000000001", Group::Wal, None),
            ("pg_wal", Group::Wal, None),
            ("pg_xact/0000", Group::Other, None),
            ("base/5", Group::Other, None),
            ("base/5/deep/er", Group::Other, None),
            ("backup_label", Group::Other, None),
        ] {
            assert_eq!(classify(path), (group, relation), "{path}");
        }
        for name in ["", "x", "16384_foo", "16384.0", "16384.", "016384", "16384_", "4294967296"] {
            assert_eq!(super::relation(name), None, "{name}");
        }
    }
}
