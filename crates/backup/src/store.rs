//! Opening stores.

use std::sync::Arc;

use backup_core::Result;
use backup_core::port::Store;
use backup_storage::{CreateIfAbsent, StoreOptions, StoreUrl};

/// Opens the store at `url`. What a local disk does is known and never probed; other stores
/// are, if `options` say so, because some claim to refuse what exists, and overwrite it.
pub async fn open_store(url: &str, options: &StoreOptions) -> Result<Arc<dyn Store>> {
    let mut options = options.clone();
    if matches!(StoreUrl::parse(url)?, StoreUrl::Disk(_)) {
        options.create_if_absent = CreateIfAbsent::Known(true);
    }
    backup_storage::open(url, &options).await
}
