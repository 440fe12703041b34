//! Storing, finding and reading files of a log.

use std::collections::BTreeSet;

use backup_core::{Error, ErrorKind, Lsn, Result, SourceName, WalFacts, WalFile, WalSegment};
use bytes::Bytes;
use futures::TryStreamExt;

use super::head::WalHead;
use super::name::{WalEntry, WalLog, WalObject, source_folder};
use super::object::{self, FRONT, PreparedWal};
use crate::blocking;
use crate::layout::WAL;
use crate::read::missing_is_damage;
use crate::repository::Repository;

/// How storing a file went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalPut {
    /// It is durable, in an object of so many bytes.
    Stored(u64),
    /// The same bytes were there already.
    Known,
}

/// How much WAL there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalTally {
    /// Objects.
    pub objects: u64,
    /// Bytes they take.
    pub bytes: u64,
}

impl Repository {
    /// Stores a file, durable when this returns. Needs no key that can read.
    ///
    /// Fails with `Conflict` when other bytes are stored under that name: two clusters archive
    /// to one place, or a file changed after it was archived. Nothing is then written.
    pub async fn put_wal(
        &self,
        log: &WalLog,
        file: WalFile,
        content: Bytes,
        facts: Option<WalFacts>,
    ) -> Result<WalPut> {
        self.put_wal_entry(log, WalEntry::File(file), content, facts).await
    }

    /// Hashes and compresses a file's content, to be stored by [`Repository::put_prepared_wal`].
    pub async fn prepare_wal(&self, content: Bytes) -> Result<PreparedWal> {
        let keys = self.keys_now()?;
        blocking(move || object::prepare(keys, &content)).await
    }

    /// As [`Repository::put_wal`].
    pub async fn put_prepared_wal(
        &self,
        log: &WalLog,
        file: WalFile,
        content: PreparedWal,
        facts: Option<WalFacts>,
    ) -> Result<WalPut> {
        self.put_entry(log, WalEntry::File(file), content, facts).await
    }

    /// Records that WAL from `segment` on was lost; `note` says what is known, as JSON.
    pub async fn put_wal_gap(&self, log: &WalLog, segment: WalSegment, note: Bytes) -> Result<()> {
        match self.put_wal_entry(log, WalEntry::Gap(segment), note, None).await {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Stores a segment as far as it was received, up to position `end`; `content` has the length
    /// of a whole one.
    pub async fn put_wal_growing(
        &self,
        log: &WalLog,
        segment: WalSegment,
        end: Lsn,
        content: Bytes,
        facts: Option<WalFacts>,
    ) -> Result<WalPut> {
        let length = end.0.checked_rem(content.len() as u64).unwrap_or_default();
        self.put_wal_entry(log, WalEntry::Growing(segment, length as u32), content, facts).await
    }

    /// Deletes states of a growing segment that a later one, or the whole one, contains: those
    /// of fewer bytes than `length`, or all. Returns how many.
    pub async fn drop_grown_wal(
        &self,
        log: &WalLog,
        segment: WalSegment,
        length: Option<u64>,
    ) -> Result<u64> {
        let mut dropped = 0;
        for object in self.grown_wal(log, segment).await? {
            let WalEntry::Growing(_, grown) = object.entry else { continue };
            if length.is_none_or(|length| u64::from(grown) < length) {
                self.store().delete(&object.name).await?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    /// Returns the states in which a segment was stored while it grew, shortest first.
    pub async fn grown_wal(&self, log: &WalLog, segment: WalSegment) -> Result<Vec<WalObject>> {
        let mut found = self.wal_below(&log.segment(segment)).await?;
        found.retain(|object| matches!(object.entry, WalEntry::Growing(of, _) if of == segment));
        Ok(found)
    }

    async fn put_wal_entry(
        &self,
        log: &WalLog,
        entry: WalEntry,
        content: Bytes,
        facts: Option<WalFacts>,
    ) -> Result<WalPut> {
        let content = self.prepare_wal(content).await?;
        self.put_entry(log, entry, content, facts).await
    }

    async fn put_entry(
        &self,
        log: &WalLog,
        entry: WalEntry,
        content: PreparedWal,
        facts: Option<WalFacts>,
    ) -> Result<WalPut> {
        let digest = content.digest;
        let stored = self.wal_named(log, entry).await?;
        let name = log.object(entry, digest)?;
        refuse_others(log, entry, digest, &stored)?;
        // A name that is there already is written again nevertheless: whoever put it there may
        // have died before it was durable, and `Known` is an answer that PostgreSQL acts upon.
        let text = name.as_str().to_owned();
        let sealed = blocking(move || object::seal(&text, content, facts)).await?;
        let size = sealed.len() as u64;
        let known = match self.store().create(&name, sealed).await {
            Err(error) if error.kind() == ErrorKind::Conflict => true,
            other => other.map(|()| false)?,
        };
        // Somebody else may have stored other bytes at the same time: then both see it here.
        refuse_others(log, entry, digest, &self.wal_named(log, entry).await?)?;
        Ok(if known { WalPut::Known } else { WalPut::Stored(size) })
    }

    /// Returns every content stored under a file's name: none, one, or several that contradict
    /// each other. An empty answer is a confirmed absence. Needs no key.
    pub async fn find_wal(&self, log: &WalLog, file: WalFile) -> Result<Vec<WalObject>> {
        self.wal_named(log, WalEntry::File(file)).await
    }

    async fn wal_named(&self, log: &WalLog, entry: WalEntry) -> Result<Vec<WalObject>> {
        let mut found = self.wal_below(&log.prefix(entry)).await?;
        found.retain(|object| object.entry == entry);
        Ok(found)
    }

    /// Returns every object of a log, in order of timelines and positions. Needs no key.
    pub async fn wal_objects(&self, log: &WalLog) -> Result<Vec<WalObject>> {
        self.wal_below(&log.folder()).await
    }

    async fn wal_below(&self, prefix: &str) -> Result<Vec<WalObject>> {
        let listed: Vec<_> = self.store().list(prefix).await?.try_collect().await?;
        let mut found: Vec<WalObject> = listed.iter().filter_map(WalObject::of).collect();
        found.sort_by(|a, b| {
            (a.entry.timeline(), a.entry, a.digest).cmp(&(b.entry.timeline(), b.entry, b.digest))
        });
        Ok(found)
    }

    /// Returns whose logs are here: of one source, or of all. Needs no key.
    pub async fn wal_logs(&self, source: Option<&SourceName>) -> Result<Vec<WalLog>> {
        let prefix = source.map_or_else(|| WAL.to_owned(), source_folder);
        let listed: Vec<_> = self.store().list(&prefix).await?.try_collect().await?;
        let logs: BTreeSet<WalLog> =
            listed.iter().map(|object| WalLog::of(&object.name)).collect::<Result<_>>()?;
        Ok(logs.into_iter().collect())
    }

    /// Returns whether a cluster was said to be this source's, by [`Repository::admit_wal`].
    pub async fn knows_wal(&self, log: &WalLog) -> Result<bool> {
        match self.store().stat(&log.marker()?).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Says that a cluster is this source's. Saying it twice is success.
    pub async fn admit_wal(&self, log: &WalLog) -> Result<()> {
        match self.store().create(&log.marker()?, Bytes::from_static(b"known\n")).await {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            other => other,
        }
    }

    /// Reads a file back: every byte authenticated, its content what the name says.
    pub async fn read_wal(&self, stored: &WalObject) -> Result<(Vec<u8>, WalHead)> {
        let sealed = self.store().get(&stored.name).await.map_err(missing_is_damage)?;
        let keys = self.keys_now()?;
        let (name, digest) = (stored.name.as_str().to_owned(), stored.digest);
        blocking(move || object::open(&keys, &name, digest, &sealed))
            .await
            .map_err(|error| error.with("object", &stored.name))
    }

    /// Reads what an object says about its content, in one small request.
    pub async fn wal_head(&self, stored: &WalObject) -> Result<WalHead> {
        let front = self.store().get_range(&stored.name, 0..FRONT).await;
        let front = front.map_err(missing_is_damage)?;
        let keys = self.keys_now()?;
        object::open_front(&keys, stored.name.as_str(), &front)
            .map_err(|error| error.with("object", &stored.name))
    }

    /// Deletes files of a log. Only what a retention plan named belongs here: nothing brings
    /// WAL back.
    pub async fn delete_wal(&self, stored: &[WalObject]) -> Result<WalTally> {
        let mut tally = WalTally::default();
        for object in stored {
            self.store().delete(&object.name).await?;
            tally.objects += 1;
            tally.bytes += object.size;
        }
        Ok(tally)
    }
}

/// Fails if anything but `digest` is stored for an entry.
fn refuse_others(
    log: &WalLog,
    entry: WalEntry,
    digest: [u8; 8],
    stored: &[WalObject],
) -> Result<()> {
    let Some(other) = stored.iter().find(|object| object.digest != digest) else { return Ok(()) };
    let WalEntry::File(file) = entry else {
        return Err(Error::new(ErrorKind::Conflict, "record gap in WAL"));
    };
    Err(Error::new(ErrorKind::Conflict, "store WAL file")
        .with("file", file)
        .with("source", &log.source)
        .with("stored as", &other.name)
        .because("other bytes are stored under that name")
        .hint(
            "Two servers archive the same timeline to one place (a failover without a new \
             timeline, or a copy that still archives), or the file changed after it was \
             archived. Stop the wrong one; its WAL needs a place of its own.",
        ))
}
