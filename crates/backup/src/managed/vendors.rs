//! Control planes from settings, vendor by vendor.

use std::sync::Arc;

use backup_config::SourceSettings;
use backup_core::port::Platform;
use backup_core::{Result, Secret};
use backup_provider_supabase::{Address, SupabaseDirect, SupabasePlatform};

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
}
