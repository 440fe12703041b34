//! What a directory has that a snapshot does not.

use std::cmp::Ordering;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use backup_core::Result;
use tokio::sync::mpsc;

use super::chosen::Chosen;
use super::place::failed;
use super::target::blocking;
use super::write::{Place, Writer};
use crate::backup::walk::{SETTLED, Seen, walk};
use crate::entry::{is_below, order};
use crate::select::Selection;

/// So many are removed together.
const BATCH: usize = 4096;

/// Removes what the list does not have, on the file system of the root; returns how many entries
/// that were, those below a removed directory not counted.
pub(super) async fn sweep(place: &Arc<Place>, mut chosen: Chosen) -> Result<u64> {
    let (to, mut seen) = mpsc::channel(4);
    let root: Arc<OwnedFd> = Arc::clone(&place.root);
    let selection = Selection { one_file_system: true, ..Selection::default() };
    let walking = tokio::task::spawn_blocking(move || walk(&root, &selection, SETTLED, &to));
    let mut next = chosen.next().await?;
    let mut extra: Vec<Vec<u8>> = Vec::new();
    let mut last: Option<Vec<u8>> = None;
    let mut mounted: Option<Vec<u8>> = None;
    let mut count = 0;
    while let Some(batch) = seen.recv().await {
        for one in batch {
            let path = match one {
                Seen::Found(found) => found.entry.path,
                Seen::Socket(path) => path,
                Seen::Mounted(path) => {
                    // What is below a directory that goes is told of when that is removed.
                    if !last.as_ref().is_some_and(|gone| is_below(&path, gone)) {
                        place.tally.spare(&path);
                    }
                    mounted = Some(path);
                    continue;
                }
                Seen::Unreadable(path, error) => {
                    return Err(failed(
                        "look for what is not in the snapshot",
                        &place.shown(&path),
                        error,
                    ));
                }
                _ => continue,
            };
            while let Some(listed) = &next
                && order(&listed.path, &path) == Ordering::Less
            {
                next = chosen.next().await?;
            }
            let is_listed = next.as_ref().is_some_and(|listed| listed.path == path);
            let goes = last.as_ref().is_some_and(|gone| is_below(&path, gone));
            if !is_listed && !goes && mounted.as_ref() != Some(&path) {
                last = Some(path.clone());
                extra.push(path);
            }
        }
        if extra.len() >= BATCH {
            count += remove(place, std::mem::take(&mut extra)).await?;
        }
    }
    count += remove(place, extra).await?;
    // It ended, or nothing more would have come.
    let _ = walking.await;
    Ok(count)
}

async fn remove(place: &Arc<Place>, extra: Vec<Vec<u8>>) -> Result<u64> {
    let place = Arc::clone(place);
    blocking(move || {
        let mut writer = Writer::new(&place);
        let mut count = 0;
        for path in &extra {
            count += u64::from(writer.remove_all(path)?);
        }
        Ok(count)
    })
    .await
}
