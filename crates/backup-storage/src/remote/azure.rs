//! Azure Blob Storage.

use backup_core::{Error, ErrorKind, Result};
use opendal::Operator;
use opendal::services::Azblob;
use url::Url;

use super::reach::reached;
use super::store::{Absence, RemoteStore};
use crate::options::StoreOptions;
use crate::url::{AzureUrl, StoreUrl};

/// Opens a container; sends nothing yet.
pub(crate) fn open_azure(url: &AzureUrl, options: &StoreOptions) -> Result<RemoteStore> {
    let keys = options.azure.clone().unwrap_or_default();
    let mut url = url.clone();
    url.account = url.account.or(keys.account);
    let account = url.account.clone().ok_or_else(|| {
        Error::new(ErrorKind::ConfigInvalid, "open store")
            .with("container", &url.container)
            .because("no storage account is named")
            .hint("Add ?account=NAME to the URL, or set AZURE_STORAGE_ACCOUNT.")
    })?;
    let public = || format!("https://{account}.blob.core.windows.net");
    let endpoint = url.endpoint.clone().unwrap_or_else(public);
    let mut azure = Azblob::default()
        .container(&url.container)
        .root(&format!("/{}", url.prefix))
        .endpoint(&endpoint)
        .account_name(&account);
    if let Some(key) = &keys.key {
        azure = azure.account_key(key.expose());
    }
    if let Some(token) = &keys.sas_token {
        azure = azure.sas_token(token.expose().trim_start_matches('?'));
    }
    let endpoint = Url::parse(&endpoint).ok();
    let location = StoreUrl::Azure(url).location();
    reached(Operator::new(azure), location, Absence::ByCode, endpoint.as_ref(), options)
}
