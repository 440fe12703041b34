//! What is noticed while a cluster is copied: damaged pages, and what to compare with the
//! manifest.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

use backup_core::port::Observer;
use backup_core::{Error, ErrorKind, Event, Finding, Result};

use crate::physical::files::name::Relation;
use crate::physical::files::row::Row;
use crate::physical::page::{self, BadPage, PageRules};

/// Damaged pages that are named one by one; more are counted.
const NAMED: u64 = 20;

/// Shared by everything that copies.
pub(crate) struct Copied {
    pub(super) observer: Arc<dyn Observer>,
    /// Size at which the server begins the next file of a relation.
    pub(super) segment_bytes: u64,
    /// How pages are judged; `None` where the cluster has no checksums.
    pub(super) rules: Option<PageRules>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bad: u64,
    findings: Vec<Finding>,
    /// Files that the manifest has yet to list, where we write it.
    listed: Option<Vec<(String, u64, u32)>>,
    /// Size and CRC-32C by a hash of the path, where the server's manifest is compared: a million
    /// files take 40 MiB.
    files: Option<HashMap<u64, (u64, u32)>>,
    /// Bytes that were taken over unread.
    kept: u64,
}

impl Copied {
    /// Compares files with the manifest of the server (`compares`), or writes a manifest of our
    /// own (`lists`), or both.
    pub(super) fn new(
        observer: Arc<dyn Observer>,
        segment_bytes: u64,
        rules: Option<PageRules>,
        compares: bool,
        lists: bool,
    ) -> Self {
        let state = State {
            listed: lists.then(Vec::new),
            files: compares.then(HashMap::new),
            ..State::default()
        };
        Self { observer, segment_bytes, rules, state: Mutex::new(state) }
    }

    /// Counts bytes that were taken over unread.
    pub(super) fn kept(&self, bytes: u64) -> Result<()> {
        self.lock()?.kept += bytes;
        Ok(())
    }

    /// Returns how many bytes were taken over unread.
    pub(super) fn kept_bytes(&self) -> Result<u64> {
        Ok(self.lock()?.kept)
    }

    /// Takes the files since the last call, if there are so many: path, size, CRC-32C.
    pub(super) fn take_listed(&self, least: usize) -> Result<Vec<(String, u64, u32)>> {
        let mut state = self.lock()?;
        let listed = state.listed.as_mut().filter(|listed| listed.len() >= least);
        Ok(listed.map(std::mem::take).unwrap_or_default())
    }

    /// Checks the pages of a relation's file from `offset` on.
    pub(super) fn check(
        &self,
        path: &str,
        relation: Relation,
        offset: u64,
        bytes: &[u8],
    ) -> Result<()> {
        let mut bad = Vec::new();
        self.find_bad(relation, offset, bytes, |page| bad.push(page));
        if bad.is_empty() { Ok(()) } else { self.damaged(path, &bad) }
    }

    /// Calls `bad` for every damaged page.
    pub(super) fn find_bad(
        &self,
        relation: Relation,
        offset: u64,
        bytes: &[u8],
        bad: impl FnMut(BadPage),
    ) {
        let Some(rules) = self.rules else { return };
        let before = u64::from(relation.segment) * self.segment_bytes + offset;
        // Block numbers have 32 bits.
        let block = (before / rules.size as u64) as u32;
        page::check(bytes, block, rules, bad);
    }

    /// Notes damaged pages: the snapshot is suspect.
    pub(super) fn damaged(&self, path: &str, bad: &[BadPage]) -> Result<()> {
        let mut state = self.lock()?;
        for page in bad {
            state.bad += 1;
            if state.bad <= NAMED {
                let finding = Finding::suspect(format!(
                    "{path}: block {} is damaged: its checksum is {:04x}, its bytes make {:04x}. \
                     Look at the server's disk; restore that relation from an older snapshot.",
                    page.block, page.stored, page.computed
                ));
                self.observer.on_event(&Event::Found(finding.clone()));
                state.findings.push(finding);
            }
        }
        Ok(())
    }

    /// Remembers a file as it came and is kept.
    pub(super) fn saw(&self, row: &Row) -> Result<()> {
        self.list(row)?;
        self.came(&row.path, row.bytes, row.crc32c.unwrap_or_default())
    }

    /// Remembers a file that our manifest has to list.
    pub(super) fn list(&self, row: &Row) -> Result<()> {
        if let Some(listed) = &mut self.lock()?.listed
            && is_listed(&row.path)
        {
            listed.push((row.path.clone(), row.bytes, row.crc32c.unwrap_or_default()));
        }
        Ok(())
    }

    /// Remembers a file that the server's manifest must list.
    pub(super) fn came(&self, path: &str, bytes: u64, crc: u32) -> Result<()> {
        let mut state = self.lock()?;
        let Some(files) = state.files.as_mut().filter(|_| is_listed(path)) else { return Ok(()) };
        match files.insert(key(path), (bytes, crc)) {
            None => Ok(()),
            Some(_) => Err(Error::new(ErrorKind::SourceUnavailable, "read base backup")
                .with("file", path)
                .because("a file came twice")),
        }
    }

    /// Compares a file with what the manifest says of it; each is asked for once.
    pub(super) fn compare(&self, path: &str, bytes: u64, crc32c: Option<u32>) -> Result<()> {
        if !is_listed(path) {
            return Ok(());
        }
        let differs = |why: String| {
            Err(Error::new(ErrorKind::SourceUnavailable, "compare with backup manifest")
                .with("file", path)
                .because(why)
                .hint("The copy is not what the server sent; run the backup again."))
        };
        match self.lock()?.files.as_mut().and_then(|files| files.remove(&key(path))) {
            None => differs("the manifest lists it, but it did not come".to_owned()),
            Some((size, _)) if size != bytes => differs(format!("{size} bytes came, not {bytes}")),
            Some((_, crc)) if crc32c.is_some_and(|listed| listed != crc) => {
                differs("its checksum is another".to_owned())
            }
            Some(_) => Ok(()),
        }
    }

    /// Fails if files came that the manifest does not list.
    pub(super) fn compared(&self) -> Result<()> {
        match self.lock()?.files.as_ref().map_or(0, HashMap::len) {
            0 => Ok(()),
            left => Err(Error::new(ErrorKind::SourceUnavailable, "compare with backup manifest")
                .with("files", left)
                .because("files came that the manifest does not list")),
        }
    }

    /// Takes what was found.
    pub(super) fn findings(&self) -> Result<Vec<Finding>> {
        let mut state = self.lock()?;
        let mut findings = std::mem::take(&mut state.findings);
        if state.bad > NAMED {
            findings.push(Finding::suspect(format!("{} pages are damaged in all.", state.bad)));
        }
        Ok(findings)
    }

    fn lock(&self) -> Result<MutexGuard<'_, State>> {
        self.state
            .lock()
            .map_err(|_| Error::new(ErrorKind::Failed, "copy cluster after an earlier failure"))
    }
}

/// Whether a manifest lists the file: all but the log, and what changes by itself later.
pub(crate) fn is_listed(path: &str) -> bool {
    !path.starts_with("pg_wal/")
        && !matches!(
            path,
            "backup_manifest" | "postgresql.auto.conf" | "recovery.signal" | "standby.signal"
        )
}

fn key(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}
