//! Copying a segment of WAL from the file that was checked.

use std::os::unix::fs::MetadataExt;

use backup_core::Result;

use super::group::GroupWriter;
use super::read::{self, Opened};
use super::reading::{Reading, opened_file};
use crate::physical::wal::{self, WalRules};

/// Stores a segment that is open: gone or renamed by now, its bytes are stored all the same.
///
/// Fails where it is not the segment of its name, before it was read or afterwards: a server that
/// has done with a segment writes a later one over it.
pub(super) async fn segment(
    reading: &Reading<'_>,
    group: &GroupWriter<'_>,
    rules: &WalRules,
    name: &str,
    opened: &Opened,
) -> Result<()> {
    let path = format!("pg_wal/{name}");
    check(reading, rules, name, opened)?;
    opened_file(reading, group, &path, opened).await?;
    check(reading, rules, name, opened)
}

fn check(reading: &Reading<'_>, rules: &WalRules, name: &str, opened: &Opened) -> Result<()> {
    let path = reading.root.join("pg_wal").join(name);
    let bytes = opened.file.metadata().map_err(|error| read::failed(&path, error))?.size();
    let mut head = Vec::new();
    read::piece(&opened.file, &path, 0, wal::HEADER as u64, &mut head)?;
    rules.check(name, bytes, &head)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use backup_core::port::NoObserver;
    use backup_testkit::MemoryParts;

    use super::*;
    use crate::logical::rate::RateLimit;
    use crate::physical::backup::copied::Copied;
    use crate::physical::files::name::Group;

    const SYSTEM: u64 = 7;
    const BYTES: u64 = 1 << 20;
    const NAME: &str = "000000010000000000000002";

    fn content(number: u64) -> Vec<u8> {
        let mut bytes = vec![b'x'; usize::try_from(BYTES).unwrap()];
        bytes[4..8].copy_from_slice(&1_u32.to_ne_bytes());
        bytes[8..16].copy_from_slice(&(number * BYTES).to_ne_bytes());
        bytes[24..32].copy_from_slice(&SYSTEM.to_ne_bytes());
        bytes[32..36].copy_from_slice(&u32::try_from(BYTES).unwrap().to_ne_bytes());
        bytes
    }

    /// Opens segment 2, lets `meanwhile` happen, and stores it.
    async fn stored(meanwhile: impl FnOnce(&std::path::Path)) -> Result<Vec<u8>> {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("pg_wal")).unwrap();
        let path = root.path().join("pg_wal").join(NAME);
        fs::write(&path, content(2)).unwrap();
        let opened = read::open(&path)?.unwrap();
        meanwhile(&path);
        let copied = Copied::new(Arc::new(NoObserver), BYTES, None, false, true);
        let (rate, count) = (RateLimit::new(None), AtomicU64::new(0));
        let reading = Reading {
            root: root.path(),
            copied: &copied,
            rate: &rate,
            changed: None,
            block_bytes: 8192,
            read: &count,
        };
        let parts = MemoryParts::default();
        let group = GroupWriter::begin(&parts, &copied, Group::Wal, None).await?;
        let rules = WalRules { system: SYSTEM, segment: BYTES };
        segment(&reading, &group, &rules, NAME, &opened).await?;
        group.finish().await?;
        Ok(parts.bytes("data/wal"))
    }

    #[tokio::test]
    async fn a_segment_that_goes_after_it_was_opened_is_stored() {
        assert_eq!(stored(|_| {}).await.unwrap(), content(2));
        assert_eq!(stored(|path| fs::remove_file(path).unwrap()).await.unwrap(), content(2));
    }

    #[tokio::test]
    async fn a_segment_that_is_written_over_is_none() {
        let recycled = |path: &std::path::Path| {
            let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.write_all(&content(9)).unwrap();
        };
        let error = stored(recycled).await.unwrap_err();
        assert!(error.to_string().contains("another position"), "{error}");
    }
}
