//! Reading objects.

use std::ops::Range;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use backup_core::port::Object;
use backup_core::{Error, ErrorKind, ObjectName, Result};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use openssh_sftp_client::Error as SftpError;
use openssh_sftp_client::file::File;
use openssh_sftp_client::metadata::MetaData;
use tokio::io::AsyncSeek;

use super::SftpStore;
use super::error::{is_absence, is_failure, refused};
use super::session::Session;

/// Pieces of one object on their way at the same time.
const AHEAD: usize = 32;
/// Bytes of a piece: what every server sends at once.
const PIECE: u64 = 32 << 10;

impl SftpStore {
    /// Runs one request; a session that broke, or does not answer, is not used again.
    pub(super) async fn ask<T>(
        &self,
        session: &Arc<Session>,
        operation: &'static str,
        place: &str,
        request: impl Future<Output = Result<T, SftpError>>,
    ) -> Result<Result<T, SftpError>> {
        match tokio::time::timeout(self.sessions.timeout(), request).await {
            Ok(Ok(answer)) => Ok(Ok(answer)),
            Ok(Err(error)) => {
                self.sessions.drop_if_broken(session, &error).await;
                Ok(Err(error))
            }
            Err(_) => {
                self.sessions.forget(session).await;
                Err(Error::new(ErrorKind::StoreUnavailable, operation)
                    .with("path", place)
                    .because(format!("no answer within {} s", self.sessions.timeout().as_secs()))
                    .temporary())
            }
        }
    }

    /// Reads an object, or a part of it.
    pub(super) async fn read(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes> {
        let operation = if range.is_some() { "read part of object" } else { "read object" };
        let path = self.path(name);
        let session = self.sessions.get().await?;
        let opened = self.ask(&session, operation, &path, session.sftp.open(&path)).await?;
        let mut file = match opened {
            Ok(file) => file,
            Err(error) => return Err(self.missing(&session, operation, name, error).await),
        };
        let metadata = self.ask(&session, operation, &path, file.metadata()).await?;
        let metadata = metadata.map_err(|error| refused(operation, &path, &error))?;
        if !metadata.file_type().is_some_and(|kind| kind.is_file()) {
            return Err(self.absent(operation, name));
        }
        let size = self.size(operation, name, metadata)?;
        let range = range.unwrap_or(0..size);
        if range.start > range.end || range.end > size {
            return Err(Error::new(ErrorKind::Integrity, operation)
                .with("object", name)
                .with("store", &self.location)
                .with("range", format!("{}..{}", range.start, range.end))
                .with("size", size)
                .hint(
                    "The object is shorter than it should be; run `verify` to see what is damaged.",
                ));
        }
        let starts = (range.start..range.end).step_by(PIECE as usize);
        let pieces = stream::iter(starts.map(|start| {
            let (file, end) = (file.clone(), range.end.min(start + PIECE));
            let (session, path) = (&session, &path);
            async move {
                let piece = self.ask(session, operation, path, piece(file, start, end)).await?;
                piece.map_err(|error| refused(operation, path, &error))
            }
        }));
        let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let whole = pieces.buffered(AHEAD).try_fold(
            BytesMut::with_capacity(wanted),
            |mut whole, piece| async move {
                whole.extend_from_slice(&piece);
                Ok(whole)
            },
        );
        let whole = whole.await?.freeze();
        if whole.len() == wanted {
            return Ok(whole);
        }
        Err(Error::new(ErrorKind::StoreUnavailable, operation)
            .with("object", name)
            .with("store", &self.location)
            .with("received", whole.len())
            .because("the server sent another number of bytes")
            .temporary())
    }

    pub(super) async fn look(&self, name: &ObjectName) -> Result<Object> {
        let (operation, path) = ("stat object", self.path(name));
        let session = self.sessions.get().await?;
        let mut fs = session.sftp.fs();
        match self.ask(&session, operation, &path, fs.metadata(&path)).await? {
            Ok(metadata) if metadata.file_type().is_some_and(|kind| kind.is_file()) => {
                object(&self.location, name.clone(), metadata)
            }
            Ok(_) => Err(self.absent(operation, name)),
            Err(error) => Err(self.missing(&session, operation, name, error).await),
        }
    }

    fn absent(&self, operation: &'static str, name: &ObjectName) -> Error {
        Error::new(ErrorKind::NotFound, operation)
            .with("object", name)
            .with("store", &self.location)
    }

    /// Tells an object that is not there from everything else.
    async fn missing(
        &self,
        session: &Arc<Session>,
        operation: &'static str,
        name: &ObjectName,
        error: SftpError,
    ) -> Error {
        let path = self.path(name);
        let absent = is_absence(&error)
            || (is_failure(&error) && self.leads_through_file(session, name).await);
        if !absent {
            return refused(operation, &path, &error).with("store", &self.location);
        }
        // A server whose volume is not mounted has no repository, and so no say about its objects.
        let mut fs = session.sftp.fs();
        let root = self.ask(session, operation, &self.root, fs.metadata(&self.root)).await;
        let absent = self.absent(operation, name);
        match root {
            Ok(Ok(_)) => absent,
            Ok(Err(error)) if is_absence(&error) => absent.hint(format!(
                "The directory {} does not exist on the server. If it is on a mounted volume, check \
                 that the volume is mounted; otherwise check the path.",
                self.root
            )),
            Ok(Err(error)) => refused(operation, &self.root, &error).with("store", &self.location),
            Err(error) => error,
        }
    }

    /// Whether a directory in an object's name is a file, so that the object cannot be there.
    async fn leads_through_file(&self, session: &Arc<Session>, name: &ObjectName) -> bool {
        let mut fs = session.sftp.fs();
        let path = self.path(name);
        let above = Path::new(&path).ancestors().skip(1);
        for directory in above.take_while(|above| above.starts_with(&self.root)) {
            let asked = self.ask(session, "stat object", &self.root, fs.metadata(directory)).await;
            if let Ok(Ok(metadata)) = asked {
                return metadata.file_type().is_some_and(|kind| kind.is_file());
            }
        }
        false
    }

    fn size(&self, operation: &'static str, name: &ObjectName, metadata: MetaData) -> Result<u64> {
        metadata.len().ok_or_else(|| {
            Error::new(ErrorKind::StoreUnavailable, operation)
                .with("object", name)
                .with("store", &self.location)
                .because("the server does not say how large it is")
        })
    }
}

/// Reads exactly `start..end`, in as many answers as the server makes of it.
async fn piece(mut file: File, start: u64, end: u64) -> Result<BytesMut, SftpError> {
    let mut whole = BytesMut::new();
    let mut at = start;
    while at < end {
        // A short answer moves the file's own position too far, so it is set each time.
        Pin::new(&mut file).start_seek(std::io::SeekFrom::Start(at))?;
        let wanted = u32::try_from(end - at).unwrap_or(u32::MAX);
        let Some(bytes) = file.read(wanted, BytesMut::new()).await? else { break };
        at += bytes.len() as u64;
        if whole.is_empty() {
            whole = bytes;
        } else {
            whole.extend_from_slice(&bytes);
        }
    }
    Ok(whole)
}

/// Describes an object by what the server says of its file.
pub(super) fn object(location: &str, name: ObjectName, metadata: MetaData) -> Result<Object> {
    let unsaid = |what: &'static str, name: &ObjectName| {
        Error::new(ErrorKind::StoreUnavailable, "stat object")
            .with("object", name)
            .with("store", location)
            .because(what)
    };
    let size = metadata.len();
    let size = size.ok_or_else(|| unsaid("the server does not say how large it is", &name))?;
    // A missing time must not make an object look old enough to delete.
    let modified = metadata.modified().and_then(|at| Timestamp::try_from(at.as_system_time()).ok());
    let modified =
        modified.ok_or_else(|| unsaid("the server does not say when it was written", &name))?;
    Ok(Object { name, size, modified })
}
