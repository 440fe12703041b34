//! Handing a WAL file over to a running daemon, whose repository is open and whose connections
//! are warm.
//!
//! What the daemon does not do, for whatever reason, the caller does itself: storing a file twice
//! is success. Only the daemon's own word that the file is durable counts as success.

use std::io;
use std::path::Path;
use std::time::Duration;

use backup_core::{ErrorKind, Result};
use backup_repository::WalPut;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::control::{Answer, Question, SOCKET, WalOrder, failure};

/// A daemon that says nothing for so long is not waited for: it gives a sign of life every
/// [`BEAT`].
const SILENCE: Duration = Duration::from_secs(5);
/// How often a daemon that works on a file says so.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// Asks the daemon of that directory to store a WAL file. `None`: none did, and whoever asks has
/// to do it.
///
/// Fails as the push itself would, where the daemon tried and what it met is of the file, or of what
/// is stored. That it did not reach the store may be a fault of its own: then none did.
pub async fn hand_over(directory: &Path, order: WalOrder) -> Result<Option<WalPut>> {
    let reason = match ask(directory, order).await {
        Ok(Answer::Pushed { stored }) => {
            return Ok(Some(stored.map_or(WalPut::Known, WalPut::Stored)));
        }
        Ok(Answer::Failed { exit_code, message, hint }) => {
            let error = failure(exit_code, &message, hint.as_deref());
            if is_final(error.kind()) {
                return Err(error);
            }
            error.to_string()
        }
        Ok(Answer::Declined { reason }) => reason,
        Ok(_) => "it gave another answer".to_owned(),
        Err(error) => error.to_string(),
    };
    tracing::debug!(directory = %directory.display(), reason, "no daemon stores the file");
    Ok(None)
}

/// Whether the caller would meet the same: there is no use in trying at once again.
fn is_final(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Integrity | ErrorKind::Conflict)
}

/// Returns the last answer; signs of life are heard and not returned.
async fn ask(directory: &Path, order: WalOrder) -> io::Result<Answer> {
    let stream = UnixStream::connect(directory.join(SOCKET)).await?;
    // "Durable" is believed from this user and from root alone.
    let owner = stream.peer_cred()?.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("the daemon there is of another user ({owner})"),
        ));
    }
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_vec(&Question::PushWal(order))?;
    line.push(b'\n');
    tokio::time::timeout(SILENCE, write.write_all(&line)).await??;
    let mut lines = BufReader::new(read).lines();
    loop {
        let line = tokio::time::timeout(SILENCE, lines.next_line()).await??;
        let line = line.ok_or(io::ErrorKind::UnexpectedEof)?;
        match serde_json::from_str::<Answer>(&line)? {
            Answer::Working => {}
            answer => return Ok(answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixListener;

    use super::*;
    use crate::daemon::FileSeen;

    /// A daemon that gives these answers to one question, and hangs up.
    async fn asked(answers: &[&str]) -> Result<Option<WalPut>> {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let order = WalOrder {
            repository: "disk /srv".into(),
            source: "shop".parse().unwrap(),
            path: "/data/pg_wal/000000010000000000000001".into(),
            file: FileSeen { device: 1, inode: 2, bytes: 3, changed: (4, 5) },
            system: Some(7),
            accept_new_identity: false,
        };
        let heard = Question::PushWal(order.clone());
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut line = vec![0; 1 << 10];
            let read = stream.read(&mut line).await.unwrap();
            let question: Question = serde_json::from_slice(&line[..read]).unwrap();
            assert_eq!(question, heard);
            for answer in answers {
                stream.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
            }
        };
        tokio::join!(hand_over(folder.path(), order), serving).0
    }

    #[tokio::test]
    async fn only_the_daemons_own_word_counts() {
        let stored = "{\"pushed\":{\"stored\":5}}";
        assert_eq!(asked(&[stored]).await.unwrap(), Some(WalPut::Stored(5)));
        let known = "{\"pushed\":{\"stored\":null}}";
        assert_eq!(asked(&["\"working\"", known]).await.unwrap(), Some(WalPut::Known));
        let failed = |code: u8| {
            format!("{{\"failed\":{{\"exit_code\":{code},\"message\":\"m\",\"hint\":\"h\"}}}}")
        };
        let nobody: [&[&str]; 8] = [
            &[],
            &["\"working\""],
            &["\"done\""],
            &["nonsense"],
            &["{\"declined\":{\"reason\":\"r\"}}"],
            // An older daemon does not know the question.
            &[&failed(2)],
            &[&failed(6)],
            // Its way to the store may be broken where the command's own is not.
            &["\"working\"", &failed(4)],
        ];
        for answers in nobody {
            assert_eq!(asked(answers).await.unwrap(), None, "{answers:?}");
        }
        for code in [5, 8] {
            let error = asked(&["\"working\"", &failed(code)]).await.unwrap_err();
            assert_eq!((error.kind().exit_code(), error.remedy()), (code, Some("h")));
        }
        let folder = tempfile::tempdir().unwrap();
        let order = WalOrder {
            repository: String::new(),
            source: "shop".parse().unwrap(),
            path: "/x".into(),
            file: FileSeen { device: 1, inode: 2, bytes: 3, changed: (4, 5) },
            system: None,
            accept_new_identity: false,
        };
        assert_eq!(hand_over(folder.path(), order).await.unwrap(), None, "no daemon at all");
    }
}
