//! Buckets of files.

use backup_core::Result;

use super::Resolver;
use super::repository::either;
use crate::file::raw::RawBucket;
use crate::settings::{AzureSettings, BucketSettings};

/// What a URL of a bucket begins with.
const SCHEMES: [&str; 4] = ["s3://", "azure://", "azblob://", "gs://"];

/// Returns whether a URL names a bucket. It holds no secret.
pub(super) fn is_bucket(url: &str) -> bool {
    SCHEMES.iter().any(|scheme| url.starts_with(scheme))
}

impl Resolver<'_> {
    /// What reaches a bucket: keys of the source's own beat those of the environment, which are the
    /// repository's as a rule. Keys belong together: never one half from here and the other from
    /// there.
    pub(super) fn bucket(&mut self, raw: &RawBucket) -> Result<BucketSettings> {
        let environment = self.inputs.environment;
        let written = |this: &mut Self, name: &str, value: &Option<_>| {
            value.as_ref().map(|value| this.written(&format!("source.bucket.{name}"), value))
        };
        let credentials = if raw.access_key_id.is_some() || raw.secret_access_key.is_some() {
            let secret = written(self, "secret_access_key", &raw.secret_access_key);
            let token = written(self, "session_token", &raw.session_token);
            let names = ["source.bucket.access_key_id", "source.bucket.secret_access_key"];
            self.both(raw.access_key_id.clone(), secret, token, names)?
        } else {
            let id = environment.get("AWS_ACCESS_KEY_ID")?.map(str::to_owned);
            let secret = self.variable("AWS_SECRET_ACCESS_KEY")?;
            let token = self.variable("AWS_SESSION_TOKEN")?;
            self.both(id, secret, token, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])?
        };
        let mut azure = AzureSettings {
            account: raw.azure_account.clone(),
            key: written(self, "azure_key", &raw.azure_key),
            sas_token: written(self, "azure_sas_token", &raw.azure_sas_token),
        };
        if azure.key.is_none() && azure.sas_token.is_none() {
            azure.key = self.variable("AZURE_STORAGE_KEY")?;
            azure.sas_token = self.variable("AZURE_STORAGE_SAS_TOKEN")?;
            let account = environment.get("AZURE_STORAGE_ACCOUNT")?.map(str::to_owned);
            azure.account = azure.account.or(account);
        }
        let region = either(environment, "AWS_REGION", "AWS_DEFAULT_REGION")?;
        Ok(BucketSettings {
            credentials,
            azure,
            region: raw.region.clone().or(region),
            endpoint: either(environment, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")?,
            ca_file: raw.ca_file.as_ref().map(|path| self.base.join(path)),
            max_requests: raw.max_requests,
        })
    }
}
