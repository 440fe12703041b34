//! Keys: who can open the repository.

use backup_core::{Error, ErrorKind, KeyId, Result};
use backup_repository::Repository;

/// Returns the key whose id starts with `prefix`. None is `NotFound`, several is `Usage`.
pub async fn find(repository: &Repository, prefix: &str) -> Result<KeyId> {
    let keys = repository.keys().await?;
    let prefix = prefix.to_ascii_lowercase();
    let matches: Vec<_> =
        keys.iter().map(|key| key.id).filter(|id| id.to_string().starts_with(&prefix)).collect();
    match matches.as_slice() {
        [one] => Ok(*one),
        [] => Err(Error::new(ErrorKind::NotFound, "find key")
            .with("key", prefix)
            .hint("Run `backupctl key list` to see the keys.")),
        _ => Err(Error::new(ErrorKind::Usage, "find key")
            .with("key", prefix)
            .with("matches", matches.len())
            .hint("Write more digits of the key's id.")),
    }
}
