//! Opening stores.

use std::sync::Arc;

use backup_config::RepositorySettings;
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

/// Names the place that settings mean, in words that are the same wherever they are read: two
/// programs with equal words speak of one repository. Holds no secret.
pub fn repository_place(settings: &RepositorySettings) -> Result<String> {
    Ok(match StoreUrl::parse(&settings.url)? {
        StoreUrl::Disk(path) => {
            // Relative paths mean another folder in another process.
            let path = std::path::absolute(&path).unwrap_or(path);
            format!("disk {}", path.display())
        }
        _ => {
            let word = |word: &Option<String>| word.clone().unwrap_or_default();
            let (endpoint, region) = (word(&settings.endpoint), word(&settings.region));
            let account = word(&settings.azure.account);
            let account = if account.is_empty() { account } else { format!(" account={account}") };
            format!("{} endpoint={endpoint} region={region}{account}", settings.url)
        }
    })
}
