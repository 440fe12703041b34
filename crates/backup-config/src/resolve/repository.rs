//! The repository and what opens it.

use backup_core::{Error, ErrorKind, Result};

use super::Resolver;
use crate::file::raw::RawRepository;
use crate::settings::{AzureSettings, CredentialSettings, KeyRef, RepositorySettings};
use crate::{Environment, SecretRef};

impl Resolver<'_> {
    pub(super) fn repository(&mut self, raw: &RawRepository) -> Result<Option<RepositorySettings>> {
        let Some((setting, url)) = self.repository_url(raw)? else { return Ok(None) };
        refuse_credentials(setting, &url).map_err(|error| match setting {
            "repository.url" => self.locate(setting, error),
            _ => error,
        })?;
        let environment = self.inputs.environment;
        let region = either(environment, "AWS_REGION", "AWS_DEFAULT_REGION")?;
        let endpoint = either(environment, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")?;
        Ok(Some(RepositorySettings {
            url,
            keys: self.keys(raw)?,
            delta: raw.delta.as_ref().map(|delta| delta.0).unwrap_or_default(),
            timeout: raw.timeout.as_ref().map(|timeout| timeout.0),
            attempts: raw.attempts,
            max_requests: raw.max_requests,
            upload_rate: raw.upload_rate.as_ref().map(|rate| rate.0),
            download_rate: raw.download_rate.as_ref().map(|rate| rate.0),
            near: raw.near,
            region: region.or_else(|| raw.region.clone()),
            endpoint: endpoint.or_else(|| raw.endpoint.clone()),
            ca_file: raw.ca_file.as_ref().map(|path| self.base.join(path)),
            credentials: self.credentials(raw)?,
            azure: self.azure(raw)?,
        }))
    }

    /// Returns the setting that names the repository, and its URL. The names of older setups
    /// come last, so that a forgotten one never beats a file.
    fn repository_url(&mut self, raw: &RawRepository) -> Result<Option<(&'static str, String)>> {
        let environment = self.inputs.environment;
        if let Some(url) = &self.inputs.overrides.repository {
            return Ok(Some(("--repository", url.clone())));
        }
        if let Some(url) = environment.get("BACKUP_REPOSITORY")? {
            return Ok(Some(("BACKUP_REPOSITORY", url.trim().to_owned())));
        }
        if let Some(url) = &raw.url {
            return Ok(Some(("repository.url", url.clone())));
        }
        let directory = environment.get("BACKUP_DIR")?;
        if let Some(bucket) = environment.get("S3_BACKUP_BUCKET")? {
            if directory.is_some() {
                self.notes
                    .push("S3_BACKUP_BUCKET names the repository; BACKUP_DIR is not used".into());
            }
            let bucket = bucket.trim();
            let url =
                if bucket.contains("://") { bucket.to_owned() } else { format!("s3://{bucket}") };
            return Ok(Some(("S3_BACKUP_BUCKET", url)));
        }
        let Some(directory) = directory else { return Ok(None) };
        let path = self.inputs.directory.join(directory);
        let path = path.to_str().ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "use environment variable")
                .with("variable", "BACKUP_DIR")
                .because("the path is not UTF-8")
                .hint("Set BACKUP_REPOSITORY instead.")
        })?;
        Ok(Some(("BACKUP_DIR", path.to_owned())))
    }

    fn keys(&mut self, raw: &RawRepository) -> Result<Vec<KeyRef>> {
        let mut keys = Vec::new();
        keys.extend(self.variable("BACKUP_KEY")?.map(KeyRef::KeyFile));
        keys.extend(self.variable("BACKUP_PASSPHRASE")?.map(KeyRef::Passphrase));
        if !keys.iter().any(|key| matches!(key, KeyRef::KeyFile(_))) {
            let key = raw.key.as_ref().map(|key| self.written("repository.key", key));
            keys.extend(key.map(KeyRef::KeyFile));
        }
        if !keys.iter().any(|key| matches!(key, KeyRef::Passphrase(_))) {
            let written = raw.passphrase.as_ref();
            let passphrase = match written.map(|p| self.written("repository.passphrase", p)) {
                Some(passphrase) => Some(passphrase),
                None => self.variable("BACKUP_ENCRYPTION_KEY")?,
            };
            keys.extend(passphrase.map(KeyRef::Passphrase));
        }
        Ok(keys)
    }

    /// What opens Azure Blob: a key and a signature of the same place.
    fn azure(&mut self, raw: &RawRepository) -> Result<AzureSettings> {
        let account = self.inputs.environment.get("AZURE_STORAGE_ACCOUNT")?.map(str::to_owned);
        let key = self.variable("AZURE_STORAGE_KEY")?;
        let sas_token = self.variable("AZURE_STORAGE_SAS_TOKEN")?;
        let account = account.or_else(|| raw.azure_account.clone());
        if key.is_some() || sas_token.is_some() {
            return Ok(AzureSettings { account, key, sas_token });
        }
        let key = raw.azure_key.as_ref();
        let sas_token = raw.azure_sas_token.as_ref();
        Ok(AzureSettings {
            account,
            key: key.map(|key| self.written("repository.azure_key", key)),
            sas_token: sas_token.map(|token| self.written("repository.azure_sas_token", token)),
        })
    }

    fn credentials(&mut self, raw: &RawRepository) -> Result<Option<CredentialSettings>> {
        let environment = self.inputs.environment;
        // Keys belong together: never one half from here and the other from there.
        let id = environment.get("AWS_ACCESS_KEY_ID")?.map(str::to_owned);
        let secret = self.variable("AWS_SECRET_ACCESS_KEY")?;
        let (id, secret, token, names) = if id.is_some() || secret.is_some() {
            let token = self.variable("AWS_SESSION_TOKEN")?;
            (id, secret, token, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
        } else {
            let secret = raw.secret_access_key.as_ref();
            let secret = secret.map(|key| self.written("repository.secret_access_key", key));
            let token = raw.session_token.as_ref();
            let token = token.map(|token| self.written("repository.session_token", token));
            let names = ["repository.access_key_id", "repository.secret_access_key"];
            (raw.access_key_id.clone(), secret, token, names)
        };
        self.both(id, secret, token, names)
    }

    /// Keys come in pairs: `names` are those of the two settings.
    pub(super) fn both(
        &self,
        id: Option<String>,
        secret: Option<SecretRef>,
        session_token: Option<SecretRef>,
        names: [&'static str; 2],
    ) -> Result<Option<CredentialSettings>> {
        match (id, secret) {
            (None, None) => Ok(None),
            (Some(access_key_id), Some(secret_access_key)) => {
                Ok(Some(CredentialSettings { access_key_id, secret_access_key, session_token }))
            }
            (id, _) => {
                let [known, missing] = if id.is_some() { names } else { [names[1], names[0]] };
                let error = Error::new(ErrorKind::ConfigInvalid, "find keys of the object store")
                    .because(format!("{known} is set, but {missing} is not"))
                    .hint("Set both, or neither to use the AWS chain.");
                let written = known.starts_with("repository.");
                Err(if written { self.locate(known, error) } else { error })
            }
        }
    }
}

/// Returns the first of two variables that is set.
pub(super) fn either(
    environment: &Environment,
    first: &str,
    second: &str,
) -> Result<Option<String>> {
    Ok(match environment.get(first)? {
        Some(value) => Some(value),
        None => environment.get(second)?,
    }
    .map(str::to_owned))
}

/// URLs are shown to people, so they hold no keys; who logs in by SFTP is no secret.
fn refuse_credentials(setting: &'static str, url: &str) -> Result<()> {
    let (scheme, authority) = url.split_once("://").unwrap_or(("", ""));
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let named = authority.rsplit_once('@').map(|(user, _)| user);
    if named.is_some_and(|user| scheme != "sftp" || user.contains(':')) {
        return Err(Error::new(ErrorKind::ConfigInvalid, "use repository URL")
            .with("setting", setting)
            .because("it holds credentials")
            .hint(
                "Take them out of the URL and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
                 what docs/storage.md names for another store.",
            ));
    }
    Ok(())
}
