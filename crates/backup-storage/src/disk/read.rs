//! Reading objects.

use std::fs::{File, Metadata};
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

use backup_core::port::Object;
use backup_core::{Error, ErrorKind, ObjectName, Result};
use bytes::Bytes;
use jiff::Timestamp;

use super::Disk;
use super::error::{absent, is_absence, unavailable};

impl Disk {
    pub(super) fn get(&self, name: &ObjectName) -> Result<Bytes> {
        let operation = "read object";
        let path = self.path(name);
        let (mut file, metadata) = self.open(operation, &path)?;
        let size = metadata.len();
        let mut body = Vec::with_capacity(in_memory(operation, &path, size)?);
        // One byte more than there should be, to see that there is none.
        let mut limited = (&mut file).take(size + 1);
        limited.read_to_end(&mut body).map_err(|e| unavailable(operation, &path, e))?;
        expect_size(operation, &path, body.len() as u64, size)?;
        Ok(body.into())
    }

    pub(super) fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes> {
        let operation = "read part of object";
        let path = self.path(name);
        let (file, metadata) = self.open(operation, &path)?;
        if range.start > range.end || range.end > metadata.len() {
            return Err(Error::new(ErrorKind::Integrity, operation)
                .with("path", path.display())
                .with("range", format!("{}..{}", range.start, range.end))
                .with("size", metadata.len())
                .hint(
                    "The object is shorter than it should be; run `verify` to see what is damaged.",
                ));
        }
        let mut body = vec![0; in_memory(operation, &path, range.end - range.start)?];
        file.read_exact_at(&mut body, range.start).map_err(|e| unavailable(operation, &path, e))?;
        Ok(body.into())
    }

    pub(super) fn stat(&self, name: ObjectName) -> Result<Object> {
        let operation = "stat object";
        let path = self.path(&name);
        match path.metadata() {
            Ok(metadata) if metadata.is_file() => object(name, &metadata),
            Ok(_) => Err(absent(operation, &self.root, &path)),
            Err(error) if is_absence(&error) => Err(absent(operation, &self.root, &path)),
            Err(error) => Err(unavailable(operation, &path, error)),
        }
    }

    /// Opens a file; a directory of that name is not an object.
    fn open(&self, operation: &'static str, path: &Path) -> Result<(File, Metadata)> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if is_absence(&error) => return Err(absent(operation, &self.root, path)),
            Err(error) => return Err(unavailable(operation, path, error)),
        };
        let metadata = file.metadata().map_err(|error| unavailable(operation, path, error))?;
        if !metadata.is_file() {
            return Err(absent(operation, &self.root, path));
        }
        Ok((file, metadata))
    }
}

/// Describes a file as an object.
pub(super) fn object(name: ObjectName, metadata: &Metadata) -> Result<Object> {
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let modified = Timestamp::try_from(modified).map_err(|error| {
        Error::new(ErrorKind::StoreUnavailable, "read time of object")
            .with("object", &name)
            .because(error)
    })?;
    Ok(Object { name, size: metadata.len(), modified })
}

fn expect_size(operation: &'static str, path: &Path, read: u64, size: u64) -> Result<()> {
    if read == size {
        return Ok(());
    }
    Err(Error::new(ErrorKind::StoreUnavailable, operation)
        .with("path", path.display())
        .with("size", size)
        .with("read", read)
        .because("the file changed while it was read"))
}

fn in_memory(operation: &'static str, path: &Path, size: u64) -> Result<usize> {
    usize::try_from(size).map_err(|error| {
        Error::new(ErrorKind::Unsupported, operation).with("path", path.display()).because(error)
    })
}
