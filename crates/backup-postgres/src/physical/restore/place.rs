//! The directories a restore writes into.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use backup_core::{Error, ErrorKind, Result};

/// Where everything goes.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) root: PathBuf,
    /// By oid; where the original had them unless told otherwise.
    pub(super) tablespaces: BTreeMap<u32, PathBuf>,
    /// Those whose place somebody named.
    pub(super) named: BTreeSet<PathBuf>,
    /// Whether any stands elsewhere than in the original.
    pub(super) moved: bool,
}

impl Places {
    /// Works out where everything goes.
    pub(super) fn new(
        root: PathBuf,
        original: &BTreeMap<u32, String>,
        moves: &[(String, String)],
    ) -> Result<Self> {
        for (old, new) in moves {
            if !original.values().any(|place| place == old) {
                return Err(usage("the snapshot has no tablespace there").with("tablespace", old));
            }
            if !Path::new(new).is_absolute() {
                return Err(usage("a tablespace's place must be absolute").with("place", new));
            }
        }
        let moved = |place: &String| moves.iter().find(|(old, _)| old == place).map(|(_, new)| new);
        let mut tablespaces = BTreeMap::new();
        for (oid, place) in original {
            let place = PathBuf::from(moved(place).unwrap_or(place));
            let taken = place.starts_with(&root)
                || root.starts_with(&place)
                || tablespaces.values().any(|other| *other == place);
            if taken {
                return Err(usage("a tablespace's place overlaps another")
                    .with("place", place.display())
                    .hint("Give each its own with --tablespace OLD=NEW."));
            }
            tablespaces.insert(*oid, place);
        }
        let named = moves.iter().map(|(_, new)| PathBuf::from(new)).collect();
        Ok(Self { root, tablespaces, named, moved: !moves.is_empty() })
    }

    /// Creates every directory that is missing, and the links to tablespaces.
    pub(super) fn create(&self) -> Result<()> {
        for place in std::iter::once(&self.root).chain(self.tablespaces.values()) {
            private(place).map_err(|error| failed("create directory", place, error))?;
        }
        let links = self.root.join("pg_tblspc");
        private(&links).map_err(|error| failed("create directory", &links, error))?;
        for (oid, place) in &self.tablespaces {
            let link = links.join(oid.to_string());
            let made = match fs::read_link(&link) {
                Ok(old) if old == *place => continue,
                Ok(_) => fs::remove_file(&link).and_then(|()| symlink(place, &link)),
                Err(_) => symlink(place, &link),
            };
            made.map_err(|error| failed("link tablespace", &link, error))?;
        }
        Ok(())
    }

    /// Whether the cluster that is there has a tablespace at this place: then it is its own.
    pub(super) fn is_linked(&self, place: &Path) -> bool {
        self.tablespaces.iter().any(|(oid, known)| {
            let link = self.root.join("pg_tblspc").join(oid.to_string());
            known == place && fs::read_link(link).is_ok_and(|target| target == place)
        })
    }

    /// Makes everything that was written durable.
    pub(super) fn sync(&self) -> Result<()> {
        for place in std::iter::once(&self.root).chain(self.tablespaces.values()) {
            let synced = fs::File::open(place).and_then(|dir| {
                rustix::fs::syncfs(&dir).map_err(io::Error::from)?;
                dir.sync_all()
            });
            synced.map_err(|error| failed("make directory durable", place, error))?;
        }
        if let Some(parent) = self.root.parent() {
            let synced = fs::File::open(parent).and_then(|dir| dir.sync_all());
            synced.map_err(|error| failed("make directory durable", parent, error))?;
        }
        Ok(())
    }
}

/// Creates a directory for its owner alone, with its parents.
pub(super) fn private(place: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).recursive(true).create(place)
}

/// Whether a directory is missing or has nothing in it.
pub(super) fn is_empty(place: &Path) -> io::Result<bool> {
    match fs::read_dir(place) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

pub(super) fn failed(operation: &'static str, place: &Path, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "Run it as the user that runs PostgreSQL, or give that user the directory."
        }
        io::ErrorKind::StorageFull => "Free space there, or restore to another place.",
        _ => "What is there now is no usable copy; remove it and restore again.",
    };
    Error::new(ErrorKind::Failed, operation).with("path", place.display()).hint(hint).because(error)
}

fn usage(what: &'static str) -> Error {
    Error::new(ErrorKind::Usage, "place tablespaces").because(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tablespaces_move_where_they_are_told_and_never_overlap() {
        let original = BTreeMap::from([(1, "/a".to_owned()), (2, "/b".to_owned())]);
        let places = |moves: &[(&str, &str)]| {
            let moves: Vec<_> = moves.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
            Places::new("/data".into(), &original, &moves)
        };
        let kept = places(&[]).unwrap();
        assert_eq!((kept.tablespaces[&1].as_path(), kept.moved), (Path::new("/a"), false));
        let moved = places(&[("/a", "/c")]).unwrap();
        assert_eq!((moved.tablespaces[&1].as_path(), moved.moved), (Path::new("/c"), true));
        for wrong in [("/x", "/c"), ("/a", "/b"), ("/a", "c"), ("/a", "/data/x"), ("/a", "/")] {
            assert_eq!(places(&[wrong]).unwrap_err().kind(), ErrorKind::Usage, "{wrong:?}");
        }
    }
}
