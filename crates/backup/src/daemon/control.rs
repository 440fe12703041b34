//! The control socket: one question a connection, answered in lines of JSON.
//!
//! Whoever may open the socket (its owner) may do everything; nobody else can.

use std::path::{Path, PathBuf};

use backup_core::{Error, ErrorKind, JobKey, Result, Run, RunId, SourceName};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::seen::FileSeen;

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// How does everything stand?
    Status,
    /// Run a job now; with `wait` the answers go on until the run has ended.
    Run {
        /// `backup shop`.
        job: JobKey,
        /// Who asks.
        actor: Option<String>,
        /// Whether to wait for its end.
        wait: bool,
    },
    /// Stop a run.
    Cancel {
        /// Which.
        run: RunId,
        /// Who asks.
        actor: Option<String>,
    },
    /// Store a file of a server's `pg_wal`; see [`hand_over`](super::hand_over).
    PushWal(WalOrder),
    /// Read the configuration again.
    Reload,
}

/// A WAL file to store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalOrder {
    /// The repository that is meant, as [`repository_place`](crate::repository_place) names it.
    pub repository: String,
    /// Whose log.
    pub source: SourceName,
    /// The file, by its absolute path.
    pub path: PathBuf,
    /// What lies there, as whoever asks sees it.
    pub file: FileSeen,
    /// The cluster's system identifier, where whoever asks knows it.
    pub system: Option<u64>,
    /// The source is another cluster from now on, on purpose.
    pub accept_new_identity: bool,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Done.
    Done,
    /// A run, as it stands.
    Run(Box<Run>),
    /// How everything stands.
    Status(Box<Status>),
    /// At work on a WAL file: a sign of life.
    Working,
    /// A WAL file is durable in the repository.
    Pushed {
        /// The size of its object; absent where the same bytes were stored before.
        stored: Option<u64>,
    },
    /// The daemon cannot do that; whoever asks may be able to.
    Declined {
        /// Why.
        reason: String,
    },
    /// It did not work.
    Failed {
        /// The kind's exit code.
        exit_code: u8,
        /// What failed.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
}

/// How the daemon stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Since when it runs.
    pub started_at: Option<jiff::Timestamp>,
    /// Runs that wait or run.
    pub active: Vec<Run>,
    /// Each job that is planned, and when.
    pub next: Vec<(JobKey, jiff::Timestamp)>,
    /// Jobs that are due and cannot start, and why.
    pub waiting: Vec<(JobKey, String)>,
    /// What is wrong with the daemon itself.
    pub problems: Vec<String>,
}

/// Longer questions are refused.
const MOST_BYTES: u64 = 64 << 10;

/// Asks a daemon.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
}

impl Client {
    /// Finds the daemon that keeps its state in `directory`; `None` when none answers there.
    pub async fn find(directory: &Path) -> Option<Self> {
        let path = directory.join(SOCKET);
        UnixStream::connect(&path).await.ok()?;
        Some(Self { path })
    }

    /// Asks, and hands every answer to `each`; the last one is returned. What the daemon refuses
    /// is the error.
    pub async fn ask(&self, question: &Question, mut each: impl FnMut(&Answer)) -> Result<Answer> {
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::Failed, "ask the daemon")
                .with("socket", self.path.display())
                .because(error)
                .hint("Look at the daemon's log; without it, leave --via-daemon out.")
        };
        let stream = UnixStream::connect(&self.path).await.map_err(failed)?;
        let (read, mut write) = stream.into_split();
        let mut line = serde_json::to_vec(question).map_err(|e| failed(e.into()))?;
        line.push(b'\n');
        write.write_all(&line).await.map_err(failed)?;
        let mut lines = BufReader::new(read).lines();
        let mut last = None;
        while let Some(line) = lines.next_line().await.map_err(failed)? {
            let answer: Answer = serde_json::from_str(&line).map_err(|e| failed(e.into()))?;
            if let Answer::Failed { exit_code, message, hint } = &answer {
                return Err(failure(*exit_code, message, hint.as_deref()));
            }
            each(&answer);
            last = Some(answer);
        }
        last.ok_or_else(|| failed(std::io::ErrorKind::UnexpectedEof.into()))
    }
}

/// The socket's name in the daemon's directory.
pub(super) const SOCKET: &str = "control.sock";

/// Reads the question of a connection.
pub(super) async fn read(stream: &mut UnixStream) -> Result<Question> {
    let mut line = String::new();
    let unreadable = || Error::new(ErrorKind::Usage, "read question");
    BufReader::new(stream.take(MOST_BYTES))
        .read_line(&mut line)
        .await
        .map_err(|error| unreadable().because(error))?;
    serde_json::from_str(&line).map_err(|error| {
        unreadable().because(error).hint("Use a backupctl of the same version as backupd.")
    })
}

/// Writes an answer; whoever asked may be gone.
pub(super) async fn write(stream: &mut UnixStream, answer: &Answer) -> bool {
    let Ok(mut line) = serde_json::to_vec(answer) else { return false };
    line.push(b'\n');
    stream.write_all(&line).await.is_ok()
}

impl From<&Error> for Answer {
    fn from(error: &Error) -> Self {
        Self::Failed {
            exit_code: error.kind().exit_code(),
            message: error.to_string(),
            hint: error.remedy().map(str::to_owned),
        }
    }
}

/// Returns what failed in the daemon as an error of whoever asked.
pub(super) fn failure(exit_code: u8, message: &str, hint: Option<&str>) -> Error {
    let error = Error::new(kind_of(exit_code), "ask the daemon").because(message.to_owned());
    match hint {
        Some(hint) => error.hint(hint.to_owned()),
        None => error,
    }
}

/// Returns the kind that an exit code stands for.
fn kind_of(code: u8) -> ErrorKind {
    [
        ErrorKind::Usage,
        ErrorKind::SourceUnavailable,
        ErrorKind::StoreUnavailable,
        ErrorKind::Integrity,
        ErrorKind::WrongKey,
        ErrorKind::NotFound,
        ErrorKind::Conflict,
        ErrorKind::Suspect,
        ErrorKind::Interrupted,
        ErrorKind::Terminated,
    ]
    .into_iter()
    .find(|kind| kind.exit_code() == code)
    .unwrap_or(ErrorKind::Failed)
}
