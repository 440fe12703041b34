//! The helper's socket: answers what is not ready.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backup_core::{Error, ErrorKind, Result, WalFile, WalSegment};
use backup_ops::wal::WalLog;
use backup_repository::Repository;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::{Answer, Asker, LOCK, Wanted, address, failed, folder_of, keep, make};
use crate::wal::fetch::{WalFetchRequest, log_of, read, write};

/// Longer questions are not read.
const MOST_BYTES: u64 = 16 << 10;
/// A helper from which nobody takes anything ends after this time,
const IDLE: Duration = Duration::from_secs(60);
/// or after this one where the WAL had ended: a standby asks again after five seconds.
const ENDED: Duration = Duration::from_secs(6);

/// The helper of one folder, with its lock, before its repository is open.
pub struct AheadHelper {
    folder: PathBuf,
    request: WalFetchRequest,
    _lock: File,
    listener: UnixListener,
}

/// The helper at work.
pub(super) struct Work {
    pub(super) folder: PathBuf,
    pub(super) repository: Repository,
    asker: Asker,
    request: WalFetchRequest,
    state: Mutex<State>,
}

/// Where it stands.
pub(super) struct State {
    /// What is fetched next, before it is asked for.
    pub(super) next: Option<Next>,
    /// When last somebody wanted something.
    pub(super) touched: Instant,
    /// Whether the WAL had ended by then.
    pub(super) ended: bool,
    asking: usize,
    asked: u64,
}

/// A segment to fetch ahead.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) log: WalLog,
    pub(super) segment: WalSegment,
    /// Bytes of a segment.
    pub(super) size: u64,
}

impl AheadHelper {
    /// Becomes the helper for the folder that `request.path` lies in; `None` where there is one.
    /// Whoever asks from now on waits for [`AheadHelper::serve`]. Call it on an async runtime.
    pub fn begin(request: WalFetchRequest) -> Result<Option<Self>> {
        // The server signals the group of the command that started this; failing to leave it only
        // means to end earlier.
        let _ = rustix::process::setsid();
        let folder = folder_of(&request.path);
        let begun = || -> std::io::Result<Option<Self>> {
            make(&folder)?;
            let lock = File::create(folder.join(LOCK))?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            keep::clear(&folder)?;
            let (address, _open) = address(&folder)?;
            let listener = UnixListener::bind(address)?;
            Ok(Some(Self { folder: folder.clone(), request, _lock: lock, listener }))
        };
        begun().map_err(|error| failed(&folder, error))
    }

    /// Keeps segments ready and answers, until nobody wants anything any more; removes the folder.
    pub async fn serve(self, repository: &Repository, asker: Asker) -> Result<()> {
        let state =
            State { next: None, touched: Instant::now(), ended: false, asking: 0, asked: 0 };
        let work = Arc::new(Work {
            folder: self.folder,
            repository: repository.clone(),
            asker,
            request: self.request,
            state: Mutex::new(state),
        });
        let mut keeping = std::pin::pin!(keep::run(&work));
        let ended = loop {
            tokio::select! {
                ended = &mut keeping => break ended,
                Ok((stream, _)) = self.listener.accept() => {
                    let work = Arc::clone(&work);
                    tokio::spawn(async move { work.answer(stream).await });
                }
            }
        };
        // What is left is needed by nobody who will not fetch it himself.
        let _ = std::fs::remove_dir_all(&work.folder);
        ended
    }
}

impl Work {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody wants anything any more.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.asking == 0 && state.touched.elapsed() > if state.ended { ENDED } else { IDLE }
    }

    /// Answers a question; hangs up where whoever asks has to do it.
    async fn answer(&self, stream: UnixStream) {
        self.state().asking += 1;
        let answered = self.try_answer(stream).await;
        let mut state = self.state();
        state.asking -= 1;
        state.touched = Instant::now();
        if let Err(error) = answered {
            tracing::debug!(%error, "a question is not answered");
        }
    }

    async fn try_answer(&self, stream: UnixStream) -> Result<()> {
        let broken = |error: std::io::Error| failed(&self.folder, error);
        let peer = stream.peer_cred().map_err(broken)?.uid();
        if peer != rustix::process::geteuid().as_raw() {
            return Err(broken(std::io::ErrorKind::PermissionDenied.into()));
        }
        let (read, mut write) = stream.into_split();
        let mut line = String::new();
        BufReader::new(read.take(MOST_BYTES)).read_line(&mut line).await.map_err(broken)?;
        let wanted: Wanted = serde_json::from_str(&line).map_err(|error| broken(error.into()))?;
        if wanted.asker != self.asker {
            return Err(Error::new(ErrorKind::Conflict, "fetch WAL ahead")
                .because("another repository or source is meant"));
        }
        let answer = self.fetch(wanted.file.parse()?).await?;
        let mut line = serde_json::to_vec(&answer).map_err(|error| broken(error.into()))?;
        line.push(b'\n');
        write.write_all(&line).await.map_err(broken)
    }

    async fn fetch(&self, file: WalFile) -> Result<Answer> {
        let request = WalFetchRequest { file, ..self.request.clone() };
        let Some(log) = log_of(&self.repository, &request).await? else {
            return Ok(Answer::NotThere);
        };
        let Some(content) = read(&self.repository, &log, file).await? else {
            // An empty answer of another store, or of none, would end a recovery early.
            if !self.repository.is_there().await? || !self.repository.knows_wal(&log).await? {
                return Err(Error::new(ErrorKind::StoreUnavailable, "fetch WAL ahead")
                    .because("another repository lies at the place of its own"));
            }
            self.state().ended |= matches!(file, WalFile::Segment(_));
            return Ok(Answer::NotThere);
        };
        let name = {
            let mut state = self.state();
            state.asked += 1;
            format!("asked-{}", state.asked)
        };
        let size = content.len() as u64;
        write(&self.folder.join(&name), content).await?;
        if let WalFile::Segment(segment) = file {
            self.go_on(segment.next(size).map(|segment| Next { log, segment, size }));
        }
        Ok(Answer::Ready(name))
    }

    /// What is wanted after a segment that was asked for is fetched ahead.
    fn go_on(&self, next: Option<Next>) {
        let mut state = self.state();
        state.ended = false;
        if state.next != next {
            // The server is faster than this, or went elsewhere: another timeline, or back.
            let _ = keep::forget(&self.folder);
            state.next = next;
        }
    }
}
