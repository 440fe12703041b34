//! Trees of files, from settings.

use std::path::Path;
use std::sync::Arc;

use backup_config::SourceSettings;
use backup_core::port::Provider;
use backup_core::{Error, ErrorKind, Result, SnapshotKind};
use backup_files::{Pattern, Selection, Tolerance, TreeOptions, TreePlace, TreeProvider};

use crate::Composer;
use crate::provider::directory;

impl Composer {
    /// Returns the provider of a tree of files; touches nothing. `ConfigInvalid` names a pattern
    /// that is none.
    pub(crate) fn tree(&self, settings: &SourceSettings, url: &str) -> Result<Arc<dyn Provider>> {
        let root = directory(url).ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "find directory of source")
                .with("source", &settings.name)
                .hint("Write path = \"/srv/uploads\", or a URL that begins with file:///.")
        })?;
        let mut options = TreeOptions { root: root.to_owned(), ..TreeOptions::default() };
        if let Some(files) = &settings.files {
            let named = |error: Error| error.with("source", &settings.name);
            options.host.clone_from(&files.host);
            options.selection = Selection {
                include: Pattern::parse_all(&files.include).map_err(named)?,
                exclude: Pattern::parse_all(&files.exclude).map_err(named)?,
                markers: files.markers.clone(),
                one_file_system: files.one_file_system,
            };
            options.tolerance =
                Tolerance { unreadable: files.allow_unreadable, changing: files.allow_changing };
        }
        Ok(Arc::new(TreeProvider::new(options)))
    }

    /// Returns the provider of a place to restore a snapshot of that kind into; connects to
    /// nothing.
    pub fn place(&self, url: &str, kind: SnapshotKind) -> Result<Arc<dyn Provider>> {
        match (kind, directory(url)) {
            (SnapshotKind::Files, Some(directory)) => Ok(Arc::new(TreePlace::new(directory))),
            (SnapshotKind::Files, None) if !url.contains("://") && !url.is_empty() => {
                Ok(Arc::new(TreePlace::new(Path::new(url))))
            }
            (SnapshotKind::Files, None) => Err(Error::new(ErrorKind::Usage, "restore files")
                .because("the target is no directory")
                .hint("Name a new or an empty directory: --to ./uploads.")),
            _ => self.target(url),
        }
    }
}
