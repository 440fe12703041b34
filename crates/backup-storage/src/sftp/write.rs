//! Writing and deleting objects.

use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use backup_core::{Error, ErrorKind, ObjectName, Result};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use openssh_sftp_client::Error as SftpError;
use openssh_sftp_client::file::File;
use openssh_sftp_client::metadata::{MetaDataBuilder, Permissions};
use tokio::io::AsyncSeek;

use super::SftpStore;
use super::error::{is_absence, is_failure, is_unsupported, refused};
use super::session::Session;

/// Where unfinished objects are; no object's name has capital letters.
const TEMPORARY: &str = "TMP";
/// How old an unfinished object must be to belong to nobody.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);
/// Pieces of one object on their way at the same time.
const AHEAD: usize = 16;
/// Bytes of a piece: what every server takes at once.
const PIECE: usize = 32 << 10;

impl SftpStore {
    pub(super) async fn write(&self, name: &ObjectName, body: Bytes) -> Result<()> {
        let session = self.sessions.get().await?;
        let (path, temporary) = (self.path(name), format!("{}/{TEMPORARY}", self.root));
        self.ensure(&session, &temporary).await?;
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.ensure(&session, parent).await?;
        }
        if !self.swept.swap(true, Relaxed) {
            self.sweep(&session, &temporary).await;
        }
        let unfinished = format!("{temporary}/{}", random_file_name()?);
        let written = match self.fill(&session, &unfinished, body).await {
            Ok(file) => self.publish(&session, file, &unfinished, &path).await,
            Err(error) => Err(error),
        };
        // After a rename it is gone; anything else is swept up another day.
        let mut fs = session.sftp.fs();
        let _ = self.ask(&session, "write object", &path, fs.remove_file(&unfinished)).await;
        written.map_err(|error| error.with("store", &self.location))
    }

    /// Writes a new file and makes it durable; returns it, still open.
    async fn fill(&self, session: &Arc<Session>, path: &str, body: Bytes) -> Result<File> {
        let operation = "write object";
        if !session.sftp.support_fsync() {
            return Err(Error::new(ErrorKind::StoreUnavailable, operation)
                .with("path", path)
                .because("the server cannot make a file durable (fsync@openssh.com)")
                .hint("What is acknowledged here has to survive a crash: use OpenSSH's server."));
        }
        let failed = |error| refused(operation, path, &error);
        let mut options = session.sftp.options();
        options.write(true).create_new(true);
        let opened = self.ask(session, operation, path, options.open(path)).await?;
        let mut file = opened.map_err(failed)?;
        let mut own = Permissions::new();
        own.set_read_by_owner(true).set_write_by_owner(true);
        let private = MetaDataBuilder::new().permissions(own).create();
        let set = self.ask(session, operation, path, file.set_metadata(private)).await?;
        set.map_err(failed)?;
        let pieces = stream::iter((0..body.len()).step_by(PIECE).map(|start| {
            let piece = body.slice(start..body.len().min(start + PIECE));
            let file = file.clone();
            async move {
                let put =
                    self.ask(session, operation, path, put(file, start as u64, piece)).await?;
                put.map_err(|error| refused(operation, path, &error))
            }
        }));
        pieces.buffer_unordered(AHEAD).try_for_each(|()| std::future::ready(Ok(()))).await?;
        self.sync(session, &mut file, path).await?;
        Ok(file)
    }

    async fn sync(&self, session: &Arc<Session>, file: &mut File, path: &str) -> Result<()> {
        let operation = "make object durable";
        let synced = self.ask(session, operation, path, file.sync_all()).await?;
        synced.map_err(|error| refused(operation, path, &error))
    }

    /// Gives a durable file its name, unless the name is taken, and makes that durable: a
    /// directory cannot be synced here, but a filesystem with a journal writes the name with the
    /// file's own changes, to which a new name belongs.
    async fn publish(
        &self,
        session: &Arc<Session>,
        mut file: File,
        unfinished: &str,
        path: &str,
    ) -> Result<()> {
        let named = self.name(session, unfinished, path).await;
        let synced = match named {
            Ok(()) => self.sync(session, &mut file, path).await,
            other => other,
        };
        let closed = self.ask(session, "close file", path, file.close()).await?;
        synced?;
        closed.map_err(|error| refused("close file", path, &error))
    }

    async fn name(&self, session: &Arc<Session>, unfinished: &str, path: &str) -> Result<()> {
        let operation = "name object";
        let mut fs = session.sftp.fs();
        if self.links.load(Relaxed) {
            let linked = fs.hard_link(unfinished, path);
            match self.ask(session, operation, path, linked).await? {
                Ok(()) => return Ok(()),
                Err(error) if is_unsupported(&error) => self.links.store(false, Relaxed),
                Err(error) if is_failure(&error) && self.is_there(session, path).await? => {
                    return Err(taken(path));
                }
                Err(error) => return Err(refused(operation, path, &error)),
            }
        }
        // Without hard links two racing writers may both succeed, which is why create-if-absent is
        // no longer declared.
        if self.is_there(session, path).await? {
            return Err(taken(path));
        }
        let renamed = self.ask(session, operation, path, fs.rename(unfinished, path)).await?;
        renamed.map_err(|error| refused(operation, path, &error))
    }

    async fn is_there(&self, session: &Arc<Session>, path: &str) -> Result<bool> {
        let mut fs = session.sftp.fs();
        match self.ask(session, "stat object", path, fs.symlink_metadata(path)).await? {
            Ok(_) => Ok(true),
            Err(error) if is_absence(&error) => Ok(false),
            Err(error) => Err(refused("stat object", path, &error)),
        }
    }

    /// Makes a directory and those above it, from the repository's own on, once.
    async fn ensure(&self, session: &Arc<Session>, directory: &str) -> Result<()> {
        let mut missing = Vec::new();
        let mut at = directory;
        while !self.settled.lock().unwrap_or_else(PoisonError::into_inner).contains(at) {
            if self.is_there(session, at).await? {
                break;
            }
            missing.push(at.to_owned());
            match at.rsplit_once('/') {
                Some((above, _)) if !above.is_empty() => at = above,
                _ => break,
            }
        }
        let mut fs = session.sftp.fs();
        for directory in missing.iter().rev() {
            let operation = "create directory";
            let made = self.ask(session, operation, directory, fs.create_dir(directory)).await?;
            match made {
                Ok(()) => {}
                // Another writer was faster.
                Err(error) if is_failure(&error) && self.is_there(session, directory).await? => {}
                Err(error) => return Err(refused(operation, directory, &error)),
            }
        }
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.insert(directory.to_owned());
        settled.extend(missing);
        Ok(())
    }

    pub(super) async fn remove(&self, name: &ObjectName) -> Result<()> {
        let (operation, path) = ("delete object", self.path(name));
        let session = self.sessions.get().await?;
        let mut fs = session.sftp.fs();
        let removed = self.ask(&session, operation, &path, fs.remove_file(&path)).await?;
        match removed {
            Ok(()) => Ok(()),
            Err(error) if is_absence(&error) => Ok(()),
            // A directory of that name, or a path through a file, is no object.
            Err(error) => match self.look(name).await {
                Err(absent) if absent.kind() == ErrorKind::NotFound => Ok(()),
                _ => Err(refused(operation, &path, &error).with("store", &self.location)),
            },
        }
    }

    /// Removes what crashed writers left; failing to is no reason not to write.
    async fn sweep(&self, session: &Arc<Session>, temporary: &str) {
        let mut fs = session.sftp.fs();
        let Ok(Ok(opened)) = self.ask(session, "sweep", temporary, fs.open_dir(temporary)).await
        else {
            return;
        };
        let mut entries = std::pin::pin!(opened.read_dir());
        while let Ok(Ok(Some(entry))) =
            self.ask(session, "sweep", temporary, entries.try_next()).await
        {
            let age = entry.metadata().modified().and_then(|modified| {
                SystemTime::now().duration_since(modified.as_system_time()).ok()
            });
            let file = entry.file_type().is_some_and(|kind| kind.is_file());
            if let (true, Some(age), Some(name)) = (file, age, entry.filename().to_str())
                && age > ABANDONED
            {
                let path = format!("{temporary}/{name}");
                let _ = self.ask(session, "sweep", &path, fs.remove_file(&path)).await;
                tracing::info!(%path, "removed a crashed writer's file");
            }
        }
    }
}

/// Writes all of a piece at its place.
async fn put(mut file: File, start: u64, piece: Bytes) -> Result<(), SftpError> {
    let mut done = 0;
    while done < piece.len() {
        Pin::new(&mut file).start_seek(std::io::SeekFrom::Start(start + done as u64))?;
        done += file.write(&piece[done..]).await?;
    }
    Ok(())
}

fn taken(path: &str) -> Error {
    Error::new(ErrorKind::Conflict, "create object").with("path", path).because("it exists already")
}

fn random_file_name() -> Result<String> {
    let random = getrandom::u64().map_err(|error| {
        Error::new(ErrorKind::Failed, "name temporary file").because(error.to_string())
    })?;
    Ok(format!("{}-{random:016x}", std::process::id()))
}
