//! Control planes from settings, vendor by vendor.

use std::sync::Arc;

use async_trait::async_trait;
use backup_config::SourceSettings;
use backup_core::port::Platform;
use backup_core::{Result, Secret};
use backup_provider_railway::{ArchiveFiles, RailwayPlace, RailwayPlatform, Token};
use backup_provider_supabase::{Address, SupabaseDirect, SupabasePlatform};
use backup_storage::{Credentials, Foreign, StoreOptions};

use crate::Composer;

impl Composer {
    pub(super) fn supabase(
        &self,
        settings: &SourceSettings,
        url: &Secret,
    ) -> Result<Arc<dyn Platform>> {
        let mut address = Address::parse(url.expose())?;
        if let Some(password) = self.password()?.filter(|_| !address.connect.has_password()) {
            address.connect = address.connect.with_password(password);
        }
        let supabase = settings.supabase.clone().unwrap_or_default();
        let Some(token) = &supabase.access_token else {
            return Ok(Arc::new(SupabaseDirect::new(address)));
        };
        let base = supabase.api_url.as_deref().unwrap_or(backup_provider_supabase::API);
        Ok(Arc::new(SupabasePlatform::new(
            base,
            self.resolve(token)?,
            supabase.project_ref.as_deref(),
            address,
            Arc::clone(self.clock()),
        )?))
    }

    /// Returns nothing without a token: then a service is a database like any other.
    pub(super) fn railway(
        &self,
        settings: &SourceSettings,
        url: &Secret,
    ) -> Result<Option<Arc<dyn Platform>>> {
        let railway = settings.railway.clone().unwrap_or_default();
        let token = match (&railway.project_token, &railway.api_token) {
            (Some(token), _) => Token::Project(self.resolve(token)?),
            (None, Some(token)) => Token::Account(self.resolve(token)?),
            (None, None) => return Ok(None),
        };
        let archive = railway.wal_archive.as_deref().map(|url| self.archive(url)).transpose()?;
        let place = RailwayPlace {
            project: railway.project_id,
            environment: railway.environment_id,
            service: railway.service,
            inside: railway.inside,
        };
        let address = backup_provider_railway::Address::parse(url.expose())?;
        let base = railway.api_url.as_deref().unwrap_or(backup_provider_railway::API);
        let clock = Arc::clone(self.clock());
        let platform = RailwayPlatform::new(base, token, place, Some(address), clock)?;
        Ok(Some(Arc::new(match archive {
            Some(archive) => platform.with_archive(Arc::new(archive)),
            None => platform,
        })))
    }

    fn archive(&self, url: &str) -> Result<WalArchive> {
        let mut options = StoreOptions::default();
        let get = |name: &str| self.given(name);
        if let (Some(id), Some(key)) = (get("AWS_ACCESS_KEY_ID")?, get("AWS_SECRET_ACCESS_KEY")?) {
            let token = get("AWS_SESSION_TOKEN")?.map(|token| self.resolve(&token)).transpose()?;
            options.credentials = Some(Credentials {
                access_key_id: self.resolve(&id)?.expose().to_owned(),
                secret_access_key: self.resolve(&key)?,
                session_token: token,
            });
        }
        Ok(WalArchive(Foreign::open(url, &options)?))
    }
}

/// The bucket that a service's image archives to.
#[derive(Debug)]
struct WalArchive(Foreign);

#[async_trait]
impl ArchiveFiles for WalArchive {
    async fn names(&self) -> Result<Vec<String>> {
        self.0.names().await
    }

    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.read(name).await?.map(|bytes| bytes.to_vec()))
    }
}
