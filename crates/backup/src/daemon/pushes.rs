//! WAL that servers push through the daemon: each file is stored before it is acknowledged, and
//! what a server will hand over next is stored while its next command is still starting.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use backup_core::port::Clock;
use backup_core::{ErrorKind, Result, WalFile, WalSegment};
use backup_repository::{Repository, WalPut};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::control::{self, Answer, WalOrder};
use super::hand_over::BEAT;
use super::place::Place;
use super::seen::Seen;
use super::start::Daemon;
use crate::wal::{WalPushRequest, wal_push};

/// Files that are stored before they are asked for, at most, of each server.
const AHEAD: usize = 8;
/// Of them so many at the same time; each is in memory. Larger segments than these bytes are not
/// stored ahead.
const AT_ONCE: usize = 3;
const LARGEST: u64 = 64 << 20;
/// For so long it is believed that a file that was stored ahead still is; then it is looked for.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What is being stored before it is asked for.
#[derive(Default)]
pub(super) struct Pushes {
    ahead: Mutex<HashMap<PathBuf, Ahead>>,
    rooms: Rooms,
    place: Place,
}

/// How much is stored at the same time, for each server's folder: one that is slow keeps no other
/// waiting.
#[derive(Default)]
struct Rooms(Mutex<HashMap<PathBuf, Weak<Semaphore>>>);

impl Rooms {
    fn of(&self, folder: &Path) -> Arc<Semaphore> {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = rooms.get(folder).and_then(Weak::upgrade) {
            return room;
        }
        rooms.retain(|_, room| room.strong_count() > 0);
        let room = Arc::new(Semaphore::new(AT_ONCE));
        rooms.insert(folder.to_owned(), Arc::downgrade(&room));
        room
    }
}

/// A file on its way.
struct Ahead {
    /// What it looked like when it was read.
    seen: Seen,
    order: WalOrder,
    /// Nothing when it could not be stored: then whoever asks for it hears why.
    done: JoinHandle<Option<Put>>,
}

/// What came of it, and when, by the clock's elapsed time.
type Put = (WalPut, Duration);

impl Daemon {
    /// Stores a WAL file and answers; signs of life go out meanwhile. Whoever asked may be gone,
    /// and then nobody is answered.
    pub(super) async fn answer_push(&self, stream: &mut UnixStream, order: WalOrder) {
        let mut push = std::pin::pin!(self.push(order));
        loop {
            if !control::write(stream, &Answer::Working).await {
                return;
            }
            tokio::select! {
                biased;
                answer = &mut push => {
                    control::write(stream, &answer).await;
                    return;
                }
                () = self.inner.clock.sleep(BEAT) => {}
            }
        }
    }

    async fn push(&self, order: WalOrder) -> Answer {
        let loaded = self.inner.work.loaded();
        let own = loaded.settings.repository().and_then(crate::repository_place);
        match own {
            Ok(own) if own == order.repository => {}
            _ => return declined("it keeps another repository"),
        }
        if !order.path.is_absolute() {
            return declined("the path is relative");
        }
        let seen = match tokio::fs::metadata(&order.path).await {
            Ok(metadata) if metadata.is_file() => Seen::of(&metadata),
            // Another user, another container: whoever asks may see it.
            _ => return declined("it cannot read the file"),
        };
        // The same path in another mount namespace is another file.
        if seen.file != order.file {
            return declined("it sees another file there");
        }
        let (pushes, repository) = (&self.inner.pushes, &self.inner.work.repository);
        let clock = &self.inner.clock;
        match pushes.store(repository, clock, order, seen).await {
            Ok(put) => match pushes.confirm(repository, &**clock).await {
                Some(doubt) => declined(&doubt),
                None => Answer::Pushed {
                    stored: match put {
                        WalPut::Stored(bytes) => Some(bytes),
                        WalPut::Known => None,
                    },
                },
            },
            Err(error) if error.kind() == ErrorKind::NotFound => declined("the file is gone"),
            Err(error) => {
                tracing::warn!(%error, hint = error.remedy(), "a WAL file was not stored");
                Answer::from(&error)
            }
        }
    }
}

fn declined(reason: &str) -> Answer {
    Answer::Declined { reason: reason.to_owned() }
}

impl Pushes {
    /// Stores a file, durable when this returns, unless it is so already; stores those that come
    /// next before they are asked for.
    async fn store(
        &self,
        repository: &Repository,
        clock: &Arc<dyn Clock>,
        order: WalOrder,
        seen: Seen,
    ) -> Result<WalPut> {
        let taken = self.lock().remove(&order.path);
        if let Some(ahead) = taken.filter(|ahead| ahead.seen == seen && ahead.order == order) {
            self.go_ahead(repository, clock, &order).await;
            if let Ok(Some((put, at))) = ahead.done.await
                && clock.elapsed().saturating_sub(at) <= REMEMBERED
            {
                return Ok(put);
            }
        }
        let put = wal_push(repository, &request(&order)).await?;
        tracing::debug!(file = %order.path.display(), "a WAL file is stored");
        // Not before this one is: where nothing can be stored, nothing piles up.
        self.go_ahead(repository, clock, &order).await;
        Ok(put)
    }

    /// Returns why nothing must be acknowledged now: what was stored may not lie where the
    /// repository is looked for.
    async fn confirm(&self, repository: &Repository, clock: &dyn Clock) -> Option<String> {
        let doubt = match self.place.is_kept(repository, clock).await {
            Ok(true) => return None,
            Ok(false) => "another repository lies at the place of its own".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(doubt, "a WAL file is not acknowledged");
        self.lock().clear();
        Some(doubt)
    }

    /// Begins to store the segments that the server will hand over after this one.
    async fn go_ahead(&self, repository: &Repository, clock: &Arc<dyn Clock>, order: &WalOrder) {
        let Some((folder, from)) = segment_of(&order.path) else { return };
        let of_it = |path: &Path| {
            let found = segment_of(path).filter(|(of, _)| *of == folder);
            found.map(|(_, segment)| segment)
        };
        {
            let mut ahead = self.lock();
            // The server is beyond these, or went back.
            ahead.retain(|path, _| of_it(path).is_none_or(|segment| segment > from));
            // Looking costs time where many wait.
            if ahead.keys().filter_map(|path| of_it(path)).count() > AHEAD / 2 {
                return;
            }
        }
        let shown = folder.to_owned();
        let Ok(found) = tokio::task::spawn_blocking(move || ready(&shown, from)).await else {
            return;
        };
        let room = self.rooms.of(folder);
        let mut ahead = self.lock();
        ahead.retain(|path, _| of_it(path).is_none() || found.contains_key(path));
        for (path, seen) in found {
            let order = WalOrder {
                path: path.clone(),
                file: seen.file,
                accept_new_identity: false,
                ..order.clone()
            };
            ahead.entry(path).or_insert_with(|| {
                let done = begin(repository.clone(), Arc::clone(clock), &order, Arc::clone(&room));
                Ahead { seen, order, done }
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Ahead>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin(
    repository: Repository,
    clock: Arc<dyn Clock>,
    order: &WalOrder,
    room: Arc<Semaphore>,
) -> JoinHandle<Option<Put>> {
    let request = request(order);
    tokio::spawn(async move {
        let _room = room.acquire().await.ok()?;
        match wal_push(&repository, &request).await {
            Ok(put) => Some((put, clock.elapsed())),
            Err(error) => {
                tracing::debug!(file = %request.path.display(), %error, "not stored ahead");
                None
            }
        }
    })
}

fn request(order: &WalOrder) -> WalPushRequest {
    WalPushRequest {
        source: order.source.clone(),
        path: order.path.clone(),
        system: order.system,
        accept_new_identity: order.accept_new_identity,
    }
}

/// Returns the folder and the number of a segment's path; nothing for another file's.
fn segment_of(path: &Path) -> Option<(&Path, WalSegment)> {
    let name = path.file_name()?.to_str()?;
    match name.parse() {
        Ok(WalFile::Segment(segment)) => Some((path.parent()?, segment)),
        _ => None,
    }
}

/// Returns the segments after `from` that a server waits to hand over, the next ones: it lists
/// them beside its log.
fn ready(folder: &Path, from: WalSegment) -> BTreeMap<PathBuf, Seen> {
    let entries = std::fs::read_dir(folder.join("archive_status"));
    let mut next = BTreeSet::new();
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name();
        let ready = name.to_str().and_then(|name| name.strip_suffix(".ready"));
        let segment = ready.and_then(|name| name.parse::<WalSegment>().ok());
        if let Some(segment) = segment.filter(|segment| *segment > from) {
            next.insert(segment);
            if next.len() > AHEAD {
                next.pop_last();
            }
        }
    }
    let paths = next.into_iter().map(|segment| folder.join(segment.to_string()));
    paths
        .filter_map(|path| {
            let metadata = std::fs::metadata(&path).ok()?;
            let fits = metadata.is_file() && metadata.len() <= LARGEST;
            fits.then(|| (path, Seen::of(&metadata)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use backup_testkit::{FakeClock, MemoryStore};

    use super::*;

    #[test]
    fn what_a_server_hands_over_next_is_found_beside_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let status = folder.path().join("archive_status");
        std::fs::create_dir(&status).unwrap();
        let name = |number: u32| format!("0000000100000000000000{number:02X}");
        for number in 1..20 {
            std::fs::write(folder.path().join(name(number)), "x").unwrap();
            let state = if number < 4 { "done" } else { "ready" };
            std::fs::write(status.join(format!("{}.{state}", name(number))), "").unwrap();
        }
        // Listed, and not there; and what is no segment.
        std::fs::remove_file(folder.path().join(name(7))).unwrap();
        for stray in ["00000002.history.ready", "notes.ready", "0000000100000000000000FF.tmp"] {
            std::fs::write(status.join(stray), "").unwrap();
        }
        let found = ready(folder.path(), name(4).parse().unwrap());
        let names: Vec<_> =
            found.keys().map(|path| path.file_name().unwrap().to_string_lossy()).collect();
        let wanted: Vec<String> = (5..13).filter(|number| *number != 7).map(name).collect();
        assert_eq!(names, wanted);
        let nothing = ready(folder.path(), name(19).parse().unwrap());
        assert!(nothing.is_empty());
        assert!(ready(Path::new("/nowhere"), name(1).parse().unwrap()).is_empty());
    }

    #[tokio::test]
    async fn what_was_stored_long_before_is_not_acknowledged_from_memory() {
        let clock = Arc::new(FakeClock::manual(jiff::Timestamp::UNIX_EPOCH));
        let store = Arc::new(MemoryStore::new());
        let repository = crate::daemon::place::tests::repository(store, &clock).await;
        let elapsed: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("000000010000000000000001");
        std::fs::write(&path, "no WAL, and stored never").unwrap();
        let seen = Seen::of(&std::fs::metadata(&path).unwrap());
        let order = WalOrder {
            repository: "disk /srv".into(),
            source: "shop".parse().unwrap(),
            path: path.clone(),
            file: seen.file,
            system: Some(7),
            accept_new_identity: false,
        };
        let pushes = Pushes::default();
        let asked = async |age: Duration| {
            let at = clock.elapsed();
            let done = tokio::spawn(async move { Some((WalPut::Stored(1), at)) });
            pushes.lock().insert(path.clone(), Ahead { seen, order: order.clone(), done });
            clock.advance(age);
            pushes.store(&repository, &elapsed, order.clone(), seen).await
        };
        assert_eq!(asked(REMEMBERED).await.unwrap(), WalPut::Stored(1));
        let looked = asked(REMEMBERED + Duration::from_secs(1)).await;
        assert!(looked.is_err(), "the file itself was looked at: {looked:?}");
    }

    #[tokio::test]
    async fn a_server_that_fills_its_room_leaves_others_theirs() {
        let rooms = Rooms::default();
        let (one, other) = (Path::new("/one/pg_wal"), Path::new("/other/pg_wal"));
        let room = rooms.of(one);
        let _all = room.acquire_many(AT_ONCE as u32).await.unwrap();
        assert!(rooms.of(one).try_acquire().is_err());
        assert_eq!(rooms.of(other).available_permits(), AT_ONCE);
    }
}
