//! Trees of files.

use std::path::Path;

use backup_core::{Error, ErrorKind, Result, Secret};

use super::Resolver;
use super::sources::Given;
use crate::file::raw::RawSource;
use crate::settings::FilesSettings;
use crate::{ProviderKind, SecretRef};

/// What keeps the contents of a directory out, unless somebody says otherwise.
const MARKER: &str = ".nobackup";

impl Resolver<'_> {
    /// The directory of a source that names one, as a URL.
    pub(super) fn path(
        &self,
        raw: &RawSource,
        written: Option<ProviderKind>,
    ) -> Result<(SecretRef, Option<ProviderKind>)> {
        let refuse = |why: &'static str| {
            Error::new(ErrorKind::ConfigInvalid, "read source.path")
                .because(why)
                .hint("A source is either a tree of files, with `path`, or a database, with `url`.")
        };
        if raw.url.is_some() {
            return Err(refuse("its source has a URL as well"));
        }
        if written.is_some_and(|provider| provider != ProviderKind::Files) {
            return Err(refuse("its source has another provider than `files`"));
        }
        let path = raw.path.as_deref().unwrap_or(Path::new(""));
        let url = file_url("source.path", &self.base.join(path))?;
        Ok((url, Some(ProviderKind::Files)))
    }

    /// The directory that BACKUP_FILES_PATH names.
    pub(super) fn given_path(&self, stated: Option<ProviderKind>) -> Result<Option<Given>> {
        if stated.is_some_and(|stated| stated != ProviderKind::Files) {
            return Ok(None);
        }
        let Some(path) = self.inputs.environment.get("BACKUP_FILES_PATH")? else {
            return Ok(None);
        };
        let url = file_url("BACKUP_FILES_PATH", &self.inputs.directory.join(path))?;
        Ok(Some(Given { url, provider: Some(ProviderKind::Files) }))
    }

    pub(super) fn files(
        &mut self,
        raw: &RawSource,
        provider: ProviderKind,
    ) -> Result<Option<FilesSettings>> {
        if provider != ProviderKind::Files {
            return Ok(None);
        }
        let bucket = self.bucket(&raw.bucket)?;
        let raw = &raw.files;
        Ok(Some(FilesSettings {
            include: raw.include.clone(),
            exclude: raw.exclude.clone(),
            markers: raw.markers.clone().unwrap_or_else(|| vec![MARKER.to_owned()]),
            one_file_system: raw.one_file_system.unwrap_or_default(),
            host: self.text("BACKUP_FILES_HOST", raw.host.as_ref())?,
            allow_unreadable: raw.allow_unreadable.unwrap_or_default(),
            allow_changing: raw.allow_changing.unwrap_or_default(),
            bucket,
        }))
    }
}

fn file_url(setting: &str, path: &Path) -> Result<SecretRef> {
    let text = path.to_str().filter(|text| !text.is_empty()).ok_or_else(|| {
        Error::new(ErrorKind::ConfigInvalid, "read path of files").with("setting", setting)
    })?;
    Ok(SecretRef::inline(setting, Secret::new(format!("file://{text}"))))
}
