//! Reading back: packs whole, then chunks through their bases.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use backup_core::port::Observer;
use backup_core::{ChunkId, Error, ErrorKind, Event, PackId, Result};
use backup_repository::{ChunkChecker, Repository};
use futures::{StreamExt, TryStreamExt};

use crate::damage::Damage;
use crate::report::Report;

/// Packs in memory at the same time.
const PACKS: usize = 2;
/// Chunks reconstructed at the same time.
const CHUNKS: usize = 2;

/// Reads `packs` and proves those of `needed` that lie in them.
///
/// A whole chunk is proved from its pack; a chunk behind a difference is proved on the way to
/// the difference, deepest first, so that most are decoded once.
pub(crate) async fn read_back(
    repository: &Repository,
    packs: &BTreeSet<PackId>,
    needed: &HashSet<ChunkId>,
    damage: &mut Damage,
    report: &mut Report,
    observer: &Arc<dyn Observer>,
) -> Result<()> {
    let checker = repository.checker().await?;
    let placed = Placed::new(&checker, packs, needed);
    let mut proved: HashSet<ChunkId> = HashSet::new();
    let mut reads = futures::stream::iter(packs.iter().copied())
        .map(|pack| {
            let prove = Arc::clone(&placed.whole);
            async move { (pack, repository.check_pack(pack, prove).await) }
        })
        .buffer_unordered(PACKS);
    while let Some((pack, check)) = reads.next().await {
        match check {
            Ok(check) => {
                observer.on_event(&Event::Progress { bytes: check.bytes });
                report.packs_read += 1;
                report.bytes_read += check.bytes;
                let agreed = check.proved.into_iter();
                let agreed = agreed.filter(|(chunk, at)| checker.agrees(pack, *chunk, *at));
                proved.extend(agreed.map(|(chunk, _)| chunk));
            }
            Err(error) if error.kind() == ErrorKind::Integrity => {
                damage.flawed.insert(pack, error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    drop(reads);
    for layer in placed.deepest_first() {
        let rest: Vec<ChunkId> =
            layer.iter().filter(|chunk| !proved.contains(*chunk)).copied().collect();
        let mut results = futures::stream::iter(rest)
            .map(|chunk| {
                let checker = &checker;
                async move {
                    match checker.prove(chunk).await {
                        Err(error) if error.kind() != ErrorKind::Integrity => Err(error),
                        result => Ok::<_, Error>((chunk, result)),
                    }
                }
            })
            .buffer_unordered(CHUNKS);
        while let Some((chunk, result)) = results.try_next().await? {
            match result {
                Ok((links, fetched)) => {
                    proved.extend(links);
                    report.bytes_read += fetched;
                }
                Err(error) => {
                    damage.chunks.insert(chunk, error.to_string());
                }
            }
        }
    }
    report.chunks_proved += proved.len() as u64;
    Ok(())
}

/// The needed chunks that lie in the packs in question, by depth.
struct Placed {
    /// Whole chunks that nothing needed here is a difference to.
    whole: Arc<HashSet<ChunkId>>,
    layers: HashMap<u8, Vec<ChunkId>>,
}

impl Placed {
    fn new(checker: &ChunkChecker, packs: &BTreeSet<PackId>, needed: &HashSet<ChunkId>) -> Self {
        let mut layers: HashMap<u8, Vec<ChunkId>> = HashMap::new();
        let mut behind: HashSet<ChunkId> = HashSet::new();
        for chunk in needed {
            let Some((depth, pack)) = checker.place(*chunk) else { continue };
            if packs.contains(&pack) {
                layers.entry(depth).or_default().push(*chunk);
                if depth > 0 {
                    behind.extend(checker.bases(*chunk));
                }
            }
        }
        let whole = layers.get(&0).into_iter().flatten();
        let whole = whole.filter(|chunk| !behind.contains(*chunk)).copied().collect();
        Self { whole: Arc::new(whole), layers }
    }

    fn deepest_first(&self) -> Vec<&Vec<ChunkId>> {
        let mut depths: Vec<_> = self.layers.iter().collect();
        depths.sort_by_key(|(depth, _)| std::cmp::Reverse(**depth));
        depths.into_iter().map(|(_, chunks)| chunks).collect()
    }
}
