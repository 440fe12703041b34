//! The WAL archive that Railway's image keeps in a bucket: is it without gaps? Pure, over a list
//! of names and the list of backups.
//!
//! The image archives by pgBackRest, and lets segments go when the bucket cannot be reached, so
//! that the database stays up; no counter says so afterwards. Only the archive itself tells.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use backup_core::{Finding, Result};
use serde::Deserialize;

/// Segments of 16 MiB in one logical file of 4 GiB.
const PER_FILE: u64 = 0x100;
/// What Railway's image calls its stanza.
const STANZA: &str = "main";
/// Gaps named before "and more".
const NAMED: usize = 5;

/// Where the archive lies; whoever composes knows how to read there.
#[async_trait]
pub trait ArchiveFiles: Send + Sync + std::fmt::Debug {
    /// Returns the names of all files below it.
    async fn names(&self) -> Result<Vec<String>>;

    /// Reads a file; nothing where there is none of that name.
    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>>;
}

/// Looks at every archive that lies there (a restored service begins one of its own) and says how
/// it is. Reads only.
pub(crate) async fn look(files: &dyn ArchiveFiles) -> Result<Vec<Finding>> {
    let names = files.names().await?;
    let roots: BTreeSet<&str> = names.iter().filter_map(|name| root(name)).collect();
    if roots.is_empty() {
        return Ok(Archive::default().findings());
    }
    let mut findings = Vec::new();
    for root in &roots {
        let info = files.read(&format!("{root}backup/{STANZA}/backup.info")).await?;
        let info = info.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let own = names.iter().filter_map(|name| name.strip_prefix(root));
        let own = own.filter(|name| name.starts_with("archive/"));
        for mut finding in Archive::read(own, info.as_deref()).findings() {
            if roots.len() > 1 {
                finding.message = format!("{}: {}", root.trim_end_matches('/'), finding.message);
            }
            findings.push(finding);
        }
    }
    Ok(findings)
}

/// What comes before `archive/<stanza>/` in a name.
fn root(name: &str) -> Option<&str> {
    let sign = format!("archive/{STANZA}/");
    let at = name.find(&sign)?;
    let root = name.get(..at)?;
    (root.is_empty() || root.ends_with('/')).then_some(root)
}

/// What an archive holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archive {
    /// Segments by history (`17-1`) and timeline.
    timelines: BTreeMap<(String, u32), BTreeSet<u64>>,
    /// Backups, by label.
    backups: BTreeMap<String, Backup>,
}

/// A base backup of pgBackRest's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Backup {
    /// The first segment it needs.
    start: (u32, u64),
    /// The last segment it needs.
    stop: (u32, u64),
}

/// Segments that are missing between others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first that is missing.
    pub first: String,
    /// How many.
    pub count: u64,
    /// The newest backup before it, from which no moment behind the gap can be reached.
    pub after_backup: Option<String>,
}

impl Archive {
    /// Reads the names of an archive's files (below the stanza's folder or any folder above it)
    /// and the text of `backup.info`, where there is one. Names of other kinds are passed over.
    pub fn read<'a>(names: impl Iterator<Item = &'a str>, info: Option<&str>) -> Self {
        let mut archive = Self::default();
        for name in names {
            let mut parts = name.rsplit('/');
            let (Some(file), Some(_), Some(history)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let is_history = history.split_once('-').is_some_and(|(version, number)| {
                version.parse::<f32>().is_ok() && number.parse::<u32>().is_ok()
            });
            let segment = file.split_once('-').and_then(|(segment, _)| parse(segment));
            if let (true, Some((timeline, number))) = (is_history, segment) {
                let key = (history.to_owned(), timeline);
                archive.timelines.entry(key).or_default().insert(number);
            }
        }
        archive.backups = info.map(backups).unwrap_or_default();
        archive
    }

    /// Returns whether anything is archived.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timelines.is_empty()
    }

    /// Returns the segments that are missing between others, oldest first. One that is missing at
    /// the end cannot be seen here.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for ((_, timeline), segments) in &self.timelines {
            let mut expected = None;
            for segment in segments {
                if let Some(expected) = expected.filter(|expected| expected < segment) {
                    gaps.push(Gap {
                        first: format_segment(*timeline, expected),
                        count: segment - expected,
                        after_backup: self.backup_before(*timeline, expected),
                    });
                }
                expected = Some(segment + 1);
            }
        }
        gaps
    }

    fn backup_before(&self, timeline: u32, segment: u64) -> Option<String> {
        let before = self
            .backups
            .iter()
            .filter(|(_, backup)| backup.start.0 == timeline && backup.start.1 <= segment);
        before.max_by_key(|(_, backup)| backup.start.1).map(|(label, _)| label.clone())
    }

    /// Returns the backups whose own WAL is not all there: they restore nothing.
    #[must_use]
    pub fn broken_backups(&self) -> Vec<String> {
        let whole = |backup: &Backup| {
            let (timeline, first) = backup.start;
            self.timelines.iter().any(|((_, known), segments)| {
                *known == timeline && (first..=backup.stop.1).all(|one| segments.contains(&one))
            })
        };
        let broken = self.backups.iter().filter(|(_, backup)| !whole(backup));
        broken.map(|(label, _)| label.clone()).collect()
    }

    /// Says how the archive is, a sentence each.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        if self.is_empty() {
            return vec![Finding::warning(
                "the WAL archive holds no segment: nothing is archived, or it is somewhere else",
            )];
        }
        let mut findings = Vec::new();
        let (gaps, broken) = (self.gaps(), self.broken_backups());
        for gap in gaps.iter().take(NAMED) {
            let from = gap.after_backup.as_deref().unwrap_or("the oldest backup");
            findings.push(Finding::warning(format!(
                "the WAL archive has a gap of {} segments from {} on: from backup {from} no later \
                 moment can be reached; take a new base backup",
                gap.count, gap.first
            )));
        }
        if gaps.len() > NAMED {
            findings.push(Finding::warning(format!(
                "the WAL archive has {} more gaps",
                gaps.len() - NAMED
            )));
        }
        for label in &broken {
            findings.push(Finding::warning(format!(
                "base backup {label} lacks WAL that it needs: it restores nothing"
            )));
        }
        if self.backups.is_empty() {
            findings.push(Finding::warning(
                "the WAL archive has no base backup: there is nothing to replay its segments on",
            ));
        }
        if findings.is_empty() {
            let segments: usize = self.timelines.values().map(BTreeSet::len).sum();
            findings.push(Finding::note(format!(
                "the WAL archive is without gaps: {segments} segments, {} base backups",
                self.backups.len()
            )));
        }
        findings
    }
}

/// Reads the name of a whole segment; nothing for what is not one.
fn parse(name: &str) -> Option<(u32, u64)> {
    let whole = name.len() == 24 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
    let field = |range: std::ops::Range<usize>| u64::from_str_radix(name.get(range)?, 16).ok();
    if !whole {
        return None;
    }
    let (timeline, file, segment) = (field(0..8)?, field(8..16)?, field(16..24)?);
    // Other sizes than the image's count otherwise; they are not judged.
    if segment >= PER_FILE {
        return None;
    }
    Some((u32::try_from(timeline).ok()?, file.checked_mul(PER_FILE)?.checked_add(segment)?))
}

fn format_segment(timeline: u32, number: u64) -> String {
    format!("{timeline:08X}{:08X}{:08X}", number / PER_FILE, number % PER_FILE)
}

/// Reads the backups of `backup.info`.
fn backups(text: &str) -> BTreeMap<String, Backup> {
    #[derive(Deserialize)]
    struct Facts {
        #[serde(rename = "backup-archive-start")]
        start: Option<String>,
        #[serde(rename = "backup-archive-stop")]
        stop: Option<String>,
        #[serde(rename = "backup-error", default)]
        error: bool,
    }
    let mut found = BTreeMap::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.trim() == "[backup:current]";
            continue;
        }
        let Some((label, json)) = line.split_once('=').filter(|_| inside) else { continue };
        let Ok(facts) = serde_json::from_str::<Facts>(json) else { continue };
        let span =
            facts.start.as_deref().and_then(parse).zip(facts.stop.as_deref().and_then(parse));
        if let Some((start, stop)) = span.filter(|_| !facts.error) {
            found.insert(label.to_owned(), Backup { start, stop });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

    fn name(timeline: u32, number: u64) -> String {
        let segment = format_segment(timeline, number);
        format!("archive/main/17-1/{}/{segment}-{HASH}.zst", &segment[..16])
    }

    fn archive(segments: &[(u32, u64)], info: &str) -> Archive {
        let names: Vec<String> = segments.iter().map(|(t, n)| name(*t, *n)).collect();
        Archive::read(names.iter().map(String::as_str), Some(info))
    }

    fn info(label: &str, start: u64, stop: u64) -> String {
        format!(
            "[backup:current]\n{label}={{\"backup-archive-start\":\"{}\",\
             \"backup-archive-stop\":\"{}\",\"backup-error\":false,\"option-online\":true}}\n\n[db]\n\
             db-id=1\n",
            format_segment(1, start),
            format_segment(1, stop)
        )
    }

    #[test]
    fn an_unbroken_archive_is_said_to_be_one() {
        let all: Vec<(u32, u64)> = (250..260).map(|number| (1, number)).collect();
        let found = archive(&all, &info("20260101-000000F", 250, 251));
        assert_eq!(found.gaps(), []);
        let text = &found.findings()[0].message;
        assert!(text.contains("without gaps: 10 segments, 1 base backups"), "{text}");
        // A new timeline may begin anywhere.
        let mut all = all;
        all.extend([(2, 259), (2, 260)]);
        assert_eq!(archive(&all, "").gaps(), []);
    }

    #[test]
    fn what_was_let_go_is_found_with_the_backup_that_it_cuts_off() {
        let all = [(1, 250), (1, 251), (1, 254), (1, 255), (1, 256)];
        let found = archive(&all, &info("20260101-000000F", 250, 251));
        let gap = Gap {
            first: "0000000100000000000000FC".into(),
            count: 2,
            after_backup: Some("20260101-000000F".into()),
        };
        assert_eq!(found.gaps(), [gap]);
        assert!(
            found.findings()[0]
                .message
                .contains("a gap of 2 segments from 0000000100000000000000FC")
        );
        let found = archive(&all, &info("20260101-000000F", 250, 252));
        assert_eq!(found.broken_backups(), ["20260101-000000F"]);
    }

    #[derive(Debug)]
    struct Files(BTreeMap<String, String>);

    #[async_trait]
    impl ArchiveFiles for Files {
        async fn names(&self) -> Result<Vec<String>> {
            Ok(self.0.keys().cloned().collect())
        }

        async fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
            Ok(self.0.get(name).map(|text| text.clone().into_bytes()))
        }
    }

    #[tokio::test]
    async fn each_lifetime_of_a_cluster_is_judged_for_itself() {
        let mut files = BTreeMap::new();
        for (root, numbers) in [("pg/cluster-1/", [5, 6, 7]), ("pg/cluster-2/", [5, 7, 8])] {
            for number in numbers {
                files.insert(format!("{root}{}", name(1, number)), String::new());
            }
            files.insert(format!("{root}backup/main/backup.info"), info("20260101-000000F", 5, 5));
        }
        let found = look(&Files(files)).await.unwrap();
        assert!(found[0].message.contains("pg/cluster-1: the WAL archive is without gaps"));
        assert!(found[1].message.contains("pg/cluster-2: the WAL archive has a gap of 1 segments"));
        let nothing = look(&Files(BTreeMap::new())).await.unwrap();
        assert!(nothing[0].message.contains("holds no segment"));
    }

    #[test]
    fn other_files_are_passed_over() {
        let names = [
            "archive/main/archive.info",
            "archive/main/17-1/00000002.history",
            "archive/main/17-1/0000000100000000/000000010000000000000001.00000028.backup",
            "archive/main/17-1/0000000100000000/000000010000000000000001.partial-0123.zst",
            "backup/main/20260101-000000F/backup.manifest",
            "x",
        ];
        let found = Archive::read(names.into_iter(), None);
        assert!(found.is_empty());
        assert!(found.findings()[0].message.contains("holds no segment"));
    }
}
