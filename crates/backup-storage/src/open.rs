//! From a URL to a store.

use std::sync::Arc;

use backup_core::Result;
use backup_core::port::Store;

use crate::disk::DiskStore;
use crate::layer::{Bounded, Counted, Proven, Retrying, Throttled};
use crate::options::{CreateIfAbsent, StoreOptions};
use crate::pace::Pace;
use crate::probe::probe_create_if_absent;
use crate::remote::{open_azure, open_google, open_memory, open_s3};
#[cfg(feature = "sftp")]
use crate::sftp::SftpStore;
use crate::url::StoreUrl;

/// Objects in one page of a listing of S3 and of Google Cloud Storage.
const PAGE: u64 = 1000;
/// Objects in one page of a listing of Azure Blob.
const AZURE_PAGE: u64 = 5000;

/// Opens the store at `url`: `file:///path`, an absolute path, `s3://bucket/prefix?…`,
/// `azure://container/prefix?…`, `gs://bucket/prefix`, `sftp://user@host/path` or `memory:`.
///
/// Sends nothing, except the probe when `options` ask for it; then a store that cannot be
/// written fails here, with `StoreUnavailable` and what to do. An unusable URL is
/// `ConfigInvalid`.
pub async fn open(url: &str, options: &StoreOptions) -> Result<Arc<dyn Store>> {
    let (upload, download) = (Pace::new(options.upload_rate), Pace::new(options.download_rate));
    let store = match StoreUrl::parse(url)? {
        StoreUrl::Disk(root) => {
            let counted = Counted::new(DiskStore::new(root), u64::MAX);
            layered(Throttled::new(counted, upload, download), options)
        }
        StoreUrl::Memory => {
            let counted = Counted::new(open_memory()?, u64::MAX);
            layered(Throttled::new(counted, upload, download), options)
        }
        StoreUrl::S3(s3) => layered(Counted::new(open_s3(&s3, options)?, PAGE), options),
        StoreUrl::Azure(azure) => {
            layered(Counted::new(open_azure(&azure, options)?, AZURE_PAGE), options)
        }
        StoreUrl::Google(google) => {
            layered(Counted::new(open_google(&google, options)?, PAGE), options)
        }
        #[cfg(not(feature = "sftp"))]
        StoreUrl::Sftp(_) => return Err(crate::remote::left_out("sftp")),
        #[cfg(feature = "sftp")]
        StoreUrl::Sftp(sftp) => {
            let counted = Counted::new(SftpStore::new(&sftp, options), u64::MAX);
            layered(Throttled::new(counted, upload, download), options)
        }
    };
    let proven = match options.create_if_absent {
        CreateIfAbsent::Known(known) => known,
        CreateIfAbsent::Probe => probe_create_if_absent(store.as_ref()).await?,
    };
    Ok(Arc::new(Proven::new(store, proven, options.near)))
}

fn layered(store: impl Store + 'static, options: &StoreOptions) -> Arc<dyn Store> {
    let bounded = Bounded::new(store, options.max_requests);
    Arc::new(Retrying::new(bounded, options.retry, options.observer.clone()))
}
