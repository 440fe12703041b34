//! Giving WAL to a throw-away server: it asks through files, we answer with files.
//!
//! So the server's user needs neither the repository nor its keys, and one that outlives its
//! drill is told nothing.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backup_core::port::WalFiles;
use backup_core::{Error, ErrorKind, Result, WalFile, WalSegment};

use super::user::ServerUser;

/// How often questions are looked for.
const LOOK: Duration = Duration::from_millis(5);
/// Segments that lie ready before they are asked for.
const AHEAD: usize = 4;

/// A folder with `want`, `have` and `none`, and the program that asks.
pub(super) struct Feed {
    root: PathBuf,
    user: ServerUser,
    files: Arc<dyn WalFiles>,
    segment_bytes: u64,
    /// The segment given last, after which the next is laid out.
    last: Mutex<Option<WalSegment>>,
    segments: AtomicU64,
    bytes: AtomicU64,
}

impl Feed {
    /// Makes the folder below `folder`.
    pub(super) fn create(
        folder: &Path,
        user: ServerUser,
        files: Arc<dyn WalFiles>,
        segment_bytes: u64,
    ) -> Result<Self> {
        let root = folder.join("wal");
        for place in [root.clone(), root.join("want"), root.join("have"), root.join("none")] {
            std::fs::create_dir(&place)
                .and_then(|()| user.own(&place))
                .map_err(|error| failed(&place, error))?;
        }
        let script = root.join("fetch");
        private(&script, SCRIPT.as_bytes(), user)?;
        let last = Mutex::default();
        let (segments, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { root, user, files, segment_bytes, last, segments, bytes })
    }

    /// Returns the command that the server asks with.
    pub(super) fn command(&self) -> String {
        let quoted = |path: PathBuf| {
            let text = path.display().to_string().replace('\'', "'\\''").replace('%', "%%");
            format!("'{text}'")
        };
        format!("/bin/sh {} {} %f %p", quoted(self.root.join("fetch")), quoted(self.root.clone()))
    }

    /// Returns how many segments, and bytes, were handed out.
    pub(super) fn given(&self) -> (u64, u64) {
        (self.segments.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// Answers until something fails; never returns otherwise.
    pub(super) async fn serve(&self) -> Error {
        loop {
            if let Err(error) = self.answer().await {
                return error;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Answers what is asked; else lays out what will be.
    async fn answer(&self) -> Result<()> {
        if let Some(name) = self.wanted()? {
            if let Ok(file) = name.parse::<WalFile>()
                && self.give(file).await?
            {
                return Ok(());
            }
            return private(&self.root.join("none").join(name), b"", self.user);
        }
        let next = self.lock().and_then(|last| last.next(self.segment_bytes));
        let Some(next) = next else { return Ok(()) };
        let have = self.root.join("have");
        let ready = std::fs::read_dir(&have).map_err(|error| failed(&have, error))?.count();
        if ready < AHEAD && !self.give(WalFile::Segment(next)).await? {
            *self.lock() = None;
        }
        Ok(())
    }

    /// Returns a question that has no answer yet.
    fn wanted(&self) -> Result<Option<String>> {
        let want = self.root.join("want");
        for entry in std::fs::read_dir(&want).map_err(|error| failed(&want, error))? {
            let name = entry.map_err(|error| failed(&want, error))?.file_name();
            let has = |answer: &str| self.root.join(answer).join(&name).exists();
            if !has("have") && !has("none") && want.join(&name).exists() {
                return Ok(Some(name.to_string_lossy().into_owned()));
            }
        }
        Ok(None)
    }

    async fn give(&self, file: WalFile) -> Result<bool> {
        let Some(content) = self.files.fetch(file).await? else { return Ok(false) };
        let part = self.root.join("part");
        private(&part, &content, self.user)?;
        let place = self.root.join("have").join(file.to_string());
        std::fs::rename(&part, &place).map_err(|error| failed(&place, error))?;
        if let WalFile::Segment(segment) = file {
            *self.lock() = Some(segment);
            self.segments.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(content.len() as u64, Ordering::Relaxed);
        }
        Ok(true)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<WalSegment>> {
        self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Asks, and waits for the answer as long as the drill is there. Ends as `restore_command` must:
/// 1 for what is not stored, 126 when nobody can tell.
const SCRIPT: &str = r#"# fetch FOLDER FILE PLACE
: > "$1/want/$2" || exit 126
while [ -e "$1/want/$2" ]; do
  if [ -e "$1/have/$2" ]; then
    rm -f "$1/want/$2"
    mv "$1/have/$2" "$3" && exit 0
    exit 126
  fi
  if [ -e "$1/none/$2" ]; then
    rm -f "$1/want/$2" "$1/none/$2"
    exit 1
  fi
  sleep 0.01 2>/dev/null || sleep 1
done
exit 126
"#;

fn private(path: &Path, content: &[u8], user: ServerUser) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    opened
        .and_then(|mut file| std::io::Write::write_all(&mut file, content))
        .and_then(|()| user.own(path))
        .map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unsupported, "give WAL to throw-away server")
        .with("path", path.display())
        .hint("Check the space and the permissions of the folder for temporary files.")
        .because(error)
}
