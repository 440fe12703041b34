//! Trees of files and buckets, from settings.

use std::path::Path;
use std::sync::Arc;

use backup_config::{AzureSettings, BucketSettings, CredentialSettings, SourceSettings};
use backup_core::port::Provider;
use backup_core::{Error, ErrorKind, Result, SnapshotKind};
use backup_files::{
    BucketOptions, BucketPlace, BucketProvider, Pattern, Selection, Tolerance, TreeOptions,
    TreePlace, TreeProvider,
};
use backup_storage::{Keys, StoreOptions};

use crate::Composer;
use crate::provider::directory;

impl Composer {
    /// Returns the provider of a tree of files, or of a bucket; touches nothing. `ConfigInvalid` names
    /// a pattern that is none.
    pub(crate) fn files(&self, settings: &SourceSettings, url: &str) -> Result<Arc<dyn Provider>> {
        let named = |error: Error| error.with("source", &settings.name);
        let (selection, tolerance, host) = match &settings.files {
            Some(files) => (
                Selection {
                    include: Pattern::parse_all(&files.include).map_err(named)?,
                    exclude: Pattern::parse_all(&files.exclude).map_err(named)?,
                    markers: files.markers.clone(),
                    one_file_system: files.one_file_system,
                },
                Tolerance { unreadable: files.allow_unreadable, changing: files.allow_changing },
                files.host.clone(),
            ),
            None => <_>::default(),
        };
        if is_bucket(url) {
            let keys = settings.files.clone().map(|files| files.bucket).unwrap_or_default();
            let options = self.bucket_options(&keys)?;
            let bucket = Arc::new(Keys::open(url, &options).map_err(named)?);
            let options = BucketOptions { bucket, service: host, selection, tolerance };
            return Ok(Arc::new(BucketProvider::new(options)));
        }
        let root = directory(url).ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "find files of source")
                .with("source", &settings.name)
                .hint(
                    "Write path = \"/srv/uploads\", or a URL that begins with file:///, s3://, \
                     azure:// or gs://.",
                )
        })?;
        let root = root.to_owned();
        Ok(Arc::new(TreeProvider::new(TreeOptions {
            root,
            host,
            selection,
            tolerance,
            settled: None,
        })))
    }

    fn bucket_options(&self, keys: &BucketSettings) -> Result<StoreOptions> {
        let mut options = StoreOptions {
            credentials: self.credentials(keys.credentials.as_ref())?,
            azure: Some(self.azure(&keys.azure)?),
            region: keys.region.clone(),
            endpoint: keys.endpoint.clone(),
            ca_file: keys.ca_file.clone(),
            ..StoreOptions::default()
        };
        if let Some(most) = keys.max_requests {
            options.max_requests = most.get();
        }
        Ok(options)
    }

    /// Opens a bucket to restore into: with the keys that only targets have, else with those of the
    /// environment.
    fn target_bucket(&self, url: &str) -> Result<BucketPlace> {
        let environment = self.environment();
        let pick = |names: [&str; 3]| -> Result<Option<CredentialSettings>> {
            let id = environment.get(names[0])?.map(str::to_owned);
            let secret = self.given(names[1])?;
            let session_token = self.given(names[2])?;
            Ok(id.zip(secret).map(|(access_key_id, secret_access_key)| CredentialSettings {
                access_key_id,
                secret_access_key,
                session_token,
            }))
        };
        let own = pick([
            "BACKUP_TARGET_ACCESS_KEY_ID",
            "BACKUP_TARGET_SECRET_ACCESS_KEY",
            "BACKUP_TARGET_SESSION_TOKEN",
        ])?;
        let credentials = match own {
            Some(own) => Some(own),
            None => pick(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])?,
        };
        let text = |name: &str| environment.get(name).map(|text| text.map(str::to_owned));
        let azure = AzureSettings {
            account: text("AZURE_STORAGE_ACCOUNT")?,
            key: self.given("AZURE_STORAGE_KEY")?,
            sas_token: self.given("AZURE_STORAGE_SAS_TOKEN")?,
        };
        let keys = BucketSettings {
            credentials,
            azure,
            region: text("AWS_REGION")?.or(text("AWS_DEFAULT_REGION")?),
            endpoint: text("AWS_ENDPOINT_URL_S3")?.or(text("AWS_ENDPOINT_URL")?),
            ..BucketSettings::default()
        };
        let options = self.bucket_options(&keys)?;
        Ok(BucketPlace::new(Arc::new(Keys::open(url, &options)?)))
    }

    /// Returns the provider of a place to restore a snapshot of that kind into; connects to
    /// nothing.
    pub fn place(&self, url: &str, kind: SnapshotKind) -> Result<Arc<dyn Provider>> {
        match (kind, directory(url)) {
            (SnapshotKind::Files, Some(directory)) => Ok(Arc::new(TreePlace::new(directory))),
            (SnapshotKind::Files, None) if is_bucket(url) => Ok(Arc::new(self.target_bucket(url)?)),
            (SnapshotKind::Files, None) if !url.contains("://") && !url.is_empty() => {
                Ok(Arc::new(TreePlace::new(Path::new(url))))
            }
            (SnapshotKind::Files, None) => Err(Error::new(ErrorKind::Usage, "restore files")
                .because("the target is neither a directory nor a bucket")
                .hint(
                    "Name a new or an empty directory, --to ./uploads, or a bucket: \
                     --to s3://bucket/prefix.",
                )),
            _ => self.target(url),
        }
    }
}

/// Returns whether a URL names a bucket.
pub(crate) fn is_bucket(url: &str) -> bool {
    ["s3://", "azure://", "azblob://", "gs://"].iter().any(|scheme| url.starts_with(scheme))
}
