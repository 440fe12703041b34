//! What vendors' APIs need, and databases whose URL is spelt out in several variables.

use backup_core::{Result, Secret};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Resolver;
use crate::file::raw::RawSource;
use crate::settings::{RailwaySettings, SupabaseSettings};
use crate::{ProviderKind, SecretRef};

/// Signs that stand for themselves in a login.
const LOGIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

impl Resolver<'_> {
    pub(super) fn supabase(
        &mut self,
        raw: &RawSource,
        provider: ProviderKind,
    ) -> Result<Option<SupabaseSettings>> {
        if provider != ProviderKind::Supabase {
            return Ok(None);
        }
        let raw = &raw.supabase;
        let token = match self.variable("SUPABASE_ACCESS_TOKEN")? {
            Some(token) => Some(token),
            None => {
                let key = "source.supabase.access_token";
                raw.access_token.as_ref().map(|token| self.written(key, token))
            }
        };
        Ok(Some(SupabaseSettings {
            access_token: token,
            project_ref: self.word("SUPABASE_PROJECT_REF", raw.project_ref.as_ref())?,
            api_url: self.word("SUPABASE_API_URL", raw.api_url.as_ref())?,
        }))
    }

    pub(super) fn railway(
        &mut self,
        raw: &RawSource,
        provider: ProviderKind,
    ) -> Result<Option<RailwaySettings>> {
        if provider != ProviderKind::Railway {
            return Ok(None);
        }
        let raw = &raw.railway;
        let api_token = match self.variable("RAILWAY_API_TOKEN")? {
            Some(token) => Some(token),
            None => {
                let key = "source.railway.api_token";
                raw.api_token.as_ref().map(|token| self.written(key, token))
            }
        };
        let project_token = match self.variable("RAILWAY_TOKEN")? {
            Some(token) => Some(token),
            None => {
                let key = "source.railway.project_token";
                raw.project_token.as_ref().map(|token| self.written(key, token))
            }
        };
        Ok(Some(RailwaySettings {
            api_token,
            project_token,
            project_id: self.word("RAILWAY_PROJECT_ID", raw.project_id.as_ref())?,
            environment_id: self.word("RAILWAY_ENVIRONMENT_ID", raw.environment_id.as_ref())?,
            service: self.word("RAILWAY_BACKUP_SERVICE", raw.service.as_ref())?,
            wal_archive: self.word("RAILWAY_WAL_ARCHIVE", raw.wal_archive.as_ref())?,
            api_url: self.word("RAILWAY_API_URL", raw.api_url.as_ref())?,
            // Railway sets it in every container.
            inside: self.inputs.environment.get("RAILWAY_DEPLOYMENT_ID")?.is_some(),
        }))
    }

    fn word(&self, variable: &str, written: Option<&String>) -> Result<Option<String>> {
        let found = self.inputs.environment.get(variable)?;
        Ok(found.map(str::to_owned).or_else(|| written.cloned()))
    }

    /// Puts a URL together from `<PREFIX>DB_HOST`, `…_PORT`, `…_NAME`, `…_USER` and
    /// `…_PASSWORD`; nothing without a host.
    pub(super) fn database_of_parts(&self, prefix: &str) -> Result<Option<SecretRef>> {
        let get = |part: &str| self.inputs.environment.get(&format!("{prefix}DB_{part}"));
        let Some(host) = get("HOST")? else { return Ok(None) };
        let encode = |text: &str| utf8_percent_encode(text, LOGIN).to_string();
        let mut login = get("USER")?.map(encode).unwrap_or_default();
        if let Some(password) = self.variable(&format!("{prefix}DB_PASSWORD"))? {
            let password = self.inputs.secrets.resolve(&password)?;
            login = format!("{login}:{}", encode(password.expose()));
        }
        let at = if login.is_empty() { "" } else { "@" };
        let port = get("PORT")?.map(|port| format!(":{port}")).unwrap_or_default();
        let name = get("NAME")?.map(encode).unwrap_or_default();
        let ssl = match get("SSL")?.map(str::to_ascii_lowercase).as_deref() {
            Some("false" | "0" | "no" | "off") => "?sslmode=disable",
            _ => "",
        };
        let url = format!("postgres://{login}{at}{host}{port}/{name}{ssl}");
        Ok(Some(SecretRef::inline(format!("{prefix}DB_HOST"), Secret::new(url))))
    }
}
