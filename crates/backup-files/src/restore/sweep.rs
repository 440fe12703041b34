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
use crate::backup::walk::{Seen, walk};
use crate::entry::{is_below, order};
use crate::select::Selection;

/// Removes what the list does not have; returns how many entries that were, those below a removed
/// directory not counted.
pub(super) async fn sweep(place: &Arc<Place>, mut chosen: Chosen) -> Result<u64> {
    let (to, mut seen) = mpsc::channel(4);
    let root: Arc<OwnedFd> = Arc::clone(&place.root);
    let walking = tokio::task::spawn_blocking(move || walk(&root, &Selection::default(), &to));
    let mut next = chosen.next().await?;
    let mut extra: Vec<Vec<u8>> = Vec::new();
    while let Some(batch) = seen.recv().await {
        for one in batch {
            let path = match one {
                Seen::Found(found) => found.entry.path,
                Seen::Socket(path) => path,
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
            let goes = extra.last().is_some_and(|gone| is_below(&path, gone));
            if !is_listed && !goes {
                extra.push(path);
            }
        }
    }
    let count = extra.len() as u64;
    let place = Arc::clone(place);
    blocking(move || {
        let mut writer = Writer::new(&place);
        extra.iter().try_for_each(|path| writer.remove_all(path))
    })
    .await?;
    // It ended, or nothing more would have come.
    let _ = walking.await;
    Ok(count)
}
