//! What the helper does by itself: it keeps the segments that follow ready.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use backup_core::{Result, WalFile};

use super::helper::{Next, Work};
use super::take::is_segment;
use super::{LOCK, failed, part};
use crate::wal::fetch::{read, write_here};

/// Segments kept ready, 16 MiB each as a rule.
const READY: usize = 8;
const LOOK: Duration = Duration::from_millis(5);

/// Keeps segments ready until nobody wants anything any more.
pub(super) async fn run(work: &Work) -> Result<()> {
    let mut waiting = usize::MAX;
    loop {
        let ready = ready(&work.folder).map_err(|error| failed(&work.folder, error))?;
        let next = {
            let mut state = work.state();
            if ready != waiting {
                (waiting, state.touched) = (ready, Instant::now());
            }
            state.next.clone()
        };
        match next {
            Some(next) if ready < READY => fetch(work, &next).await?,
            _ if work.is_idle() => return Ok(()),
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

async fn fetch(work: &Work, next: &Next) -> Result<()> {
    let file = WalFile::Segment(next.segment);
    // Only what is final: an unfinished one may be longer when it is needed.
    let content = match work.repository.find_wal(&next.log, file).await?.as_slice() {
        [] => None,
        _ => {
            let target = work.folder.join(next.segment.to_string());
            let part = part(&target);
            let coming = |error| failed(&work.folder, error);
            std::fs::write(&part, b"").map_err(coming)?;
            let content = read(&work.repository, &next.log, file).await;
            let content = content.inspect_err(|_| drop(std::fs::remove_file(&part)))?;
            content.map(|content| (content, part, target))
        }
    };
    let Some((content, part, target)) = content else {
        let mut state = work.state();
        if state.next.as_ref() == Some(next) {
            (state.next, state.ended) = (None, true);
        }
        return Ok(());
    };
    let written = tokio::task::spawn_blocking(move || {
        write_here(&part, &content).and_then(|()| std::fs::rename(&part, &target))
    });
    let written = written.await.map_err(io::Error::other).flatten();
    written.map_err(|error| failed(&work.folder, error))?;
    let mut state = work.state();
    if state.next.as_ref() == Some(next) {
        let following = next.segment.next(next.size);
        state.next = following.map(|segment| Next { segment, ..next.clone() });
    } else {
        let _ = std::fs::remove_file(work.folder.join(next.segment.to_string()));
    }
    Ok(())
}

/// Returns how many segments are ready; fails when the folder is gone.
fn ready(folder: &Path) -> io::Result<usize> {
    let entries = std::fs::read_dir(folder)?;
    Ok(entries.flatten().filter(|entry| is_segment(&entry.file_name())).count())
}

/// Removes the segments that are ready.
pub(super) fn forget(folder: &Path) -> io::Result<()> {
    remove(folder, is_segment)
}

/// Removes what another helper left.
pub(super) fn clear(folder: &Path) -> io::Result<()> {
    remove(folder, |name| name != LOCK)
}

fn remove(folder: &Path, which: impl Fn(&std::ffi::OsStr) -> bool) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)?.flatten() {
        if which(&entry.file_name()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
