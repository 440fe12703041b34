//! `UPLOAD_MANIFEST`: what an incremental base backup is compared with.

use backup_core::{Error, ErrorKind, Result};

use super::Replication;

impl Replication {
    /// Hands the server the manifest of an earlier backup; the next
    /// [`base_backup`](Replication::base_backup) of this session may then be incremental.
    ///
    /// # Errors
    /// `Unsupported` before 17; the server's error for a manifest it cannot use.
    pub async fn upload_manifest(&mut self, manifest: &[u8]) -> Result<()> {
        if self.server_version_num() < 170_000 {
            return Err(Error::new(ErrorKind::Unsupported, "upload backup manifest")
                .with("server", self.server_version())
                .because("incremental base backups came with PostgreSQL 17"));
        }
        let mut copy = self.client.copy_in("UPLOAD_MANIFEST").await?;
        copy.write(manifest).await?;
        copy.complete().await.map(drop)
    }
}
