//! Google Cloud Storage.

use backup_core::Result;
use opendal::Operator;
use opendal::services::Gcs;
use url::Url;

use super::reach::reached;
use super::store::{Absence, RemoteStore};
use crate::options::StoreOptions;
use crate::url::{GoogleUrl, StoreUrl};

/// Opens a bucket; sends nothing yet. Who asks is found by Google's own rules
/// (`GOOGLE_APPLICATION_CREDENTIALS`, the file of `gcloud`, the metadata server); a service at
/// another endpoint is asked without.
pub(crate) fn open_google(url: &GoogleUrl, options: &StoreOptions) -> Result<RemoteStore> {
    let mut google = Gcs::default().bucket(&url.bucket).root(&format!("/{}", url.prefix));
    if let Some(endpoint) = &url.endpoint {
        google = google.endpoint(endpoint).skip_signature();
    }
    if let Some(class) = &url.storage_class {
        google = google.default_storage_class(class);
    }
    let endpoint = url.endpoint.as_deref().and_then(|endpoint| Url::parse(endpoint).ok());
    let location = StoreUrl::Google(url.clone()).location();
    reached(Operator::new(google), location, Absence::ByCode, endpoint.as_ref(), options)
}
