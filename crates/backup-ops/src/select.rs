//! Which snapshot is meant: the words people type, resolved against what is there.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use backup_core::{Error, ErrorKind, Listed, Result, SourceName};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// What a person may write for SNAPSHOT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// `latest`: the newest snapshot of any source that is not suspect.
    Latest,
    /// `SOURCE@latest`: the newest snapshot of that source that is not suspect.
    LatestOf(SourceName),
    /// `GROUP@ID` or `GROUP@TIME`: one recovery set of a group.
    SetOf(SourceName, Which),
    /// The first digits of an id; also the name of a group, for its newest complete set.
    Prefix(String),
}

/// Which of a group's recovery sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// That whose id begins with these digits.
    Prefix(String),
    /// The newest complete one that was begun before this.
    Before(Timestamp),
}

impl Which {
    /// Reads digits of an id, a time with its zone, whose very instant counts in, or a day, whose
    /// end (UTC) is meant.
    fn of(text: &str) -> Option<Self> {
        if let Ok(time) = text.parse::<Timestamp>() {
            return time.checked_add(Span::new().nanoseconds(1)).ok().map(Self::Before);
        }
        // Eight digits may be a day to others; here they are those of an id.
        if text.contains('-')
            && let Ok(day) = text.parse::<Date>()
        {
            let next = day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?;
            return Some(Self::Before(next.timestamp()));
        }
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        digits.then(|| Self::Prefix(text.to_ascii_lowercase()))
    }
}

impl FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        if let Some(source) = text.strip_suffix("@latest") {
            return Ok(Self::LatestOf(source.parse()?));
        }
        if let Some((group, word)) = text.rsplit_once('@')
            && let (Ok(group), Some(which)) = (group.parse(), Which::of(word))
        {
            return Ok(Self::SetOf(group, which));
        }
        if text.is_empty() || text.len() > 64 || text.chars().any(char::is_control) {
            return Err(Error::new(ErrorKind::Usage, "parse snapshot")
                .with("text", text.escape_debug())
                .hint(FORMS));
        }
        // What is no id matches nothing, and is told so when it is looked for.
        Ok(Self::Prefix(text.to_owned()))
    }
}

const FORMS: &str = "Write the first digits of an id, `latest`, or `SOURCE@latest`; \
                     `backupctl snapshots` lists them. `latest` passes over suspect ones.";

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::LatestOf(source) => write!(f, "{source}@latest"),
            Self::SetOf(group, Which::Prefix(digits)) => write!(f, "{group}@{digits}"),
            Self::SetOf(group, Which::Before(time)) => write!(f, "{group} before {time}"),
            Self::Prefix(digits) => f.write_str(digits),
        }
    }
}

/// Returns the one snapshot that `selector` means. Nothing is `NotFound`; several is `Usage`,
/// and the error lists them.
pub fn select<'a, R: Listed>(records: &'a [R], selector: &Selector) -> Result<&'a R> {
    let found = match selector {
        Selector::Latest => newest(newest_of_each(records).into_values()),
        Selector::LatestOf(source) => newest_of(records, source),
        Selector::Prefix(digits) => by_prefix(records, &digits.to_ascii_lowercase())?,
        Selector::SetOf(..) => None,
    };
    found.ok_or_else(|| {
        let hint = if records.is_empty() {
            "The repository holds no snapshot yet; run `backupctl backup`."
        } else {
            FORMS
        };
        Error::new(ErrorKind::NotFound, "find snapshot").with("snapshot", selector).hint(hint)
    })
}

/// Returns the newest snapshot of a source that is not suspect: by sequence, which no clock
/// can change.
#[must_use]
pub fn newest_of<'a, R: Listed>(records: &'a [R], source: &SourceName) -> Option<&'a R> {
    records
        .iter()
        .filter(|record| record.source() == source && !record.is_suspect())
        .max_by_key(|record| record.place())
}

fn newest_of_each<R: Listed>(records: &[R]) -> BTreeMap<&str, &R> {
    let mut newest: BTreeMap<&str, &R> = BTreeMap::new();
    for record in records.iter().filter(|record| !record.is_suspect()) {
        let best = newest.entry(record.source().as_str()).or_insert(record);
        if best.place() <= record.place() {
            *best = record;
        }
    }
    newest
}

/// Across sources only the store's clock can order.
fn newest<'a, R: Listed>(records: impl Iterator<Item = &'a R>) -> Option<&'a R> {
    records.max_by_key(|record| (record.place().1, record.finished_at()))
}

fn by_prefix<'a, R: Listed>(records: &'a [R], digits: &str) -> Result<Option<&'a R>> {
    let matches: Vec<_> =
        records.iter().filter(|r| r.id().to_string().starts_with(digits)).collect();
    if let [_, _, ..] = matches.as_slice() {
        let listed: Vec<_> =
            matches.iter().take(8).map(|r| format!("{} ({})", r.id(), r.source())).collect();
        return Err(Error::new(ErrorKind::Usage, "find snapshot")
            .with("prefix", digits)
            .with("matches", matches.len())
            .hint(format!("Write more digits; it could be {}.", listed.join(", "))));
    }
    Ok(matches.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::record;
    use backup_core::SnapshotRecord;

    fn id(records: &[SnapshotRecord], text: &str) -> String {
        select(records, &text.parse().unwrap()).unwrap().snapshot.id.short()
    }

    #[test]
    fn finds_by_prefix_latest_and_source() {
        let mut suspect = record("cc", "shop", 3, "2026-01-03T00:00:00Z");
        suspect.snapshot.evidence.findings.push(backup_core::Finding::suspect("no rows"));
        let records = [
            record("aa", "shop", 1, "2026-01-01T00:00:00Z"),
            record("ab", "shop", 2, "2026-01-02T00:00:00Z"),
            suspect,
            record("dd", "blog", 1, "2026-01-01T12:00:00Z"),
        ];
        assert_eq!(id(&records, "AA"), "aaaaaaaa");
        assert_eq!(id(&records, "latest"), "abababab");
        assert_eq!(id(&records, "shop@latest"), "abababab");
        assert_eq!(id(&records, "blog@latest"), "dddddddd");
        assert_eq!(id(&records, "cccc"), "cccccccc", "a suspect one is found when named");

        let many = select(&records, &"a".parse().unwrap()).unwrap_err();
        assert_eq!(many.kind(), ErrorKind::Usage);
        assert!(many.remedy().unwrap().contains("abab"), "{many:?}");
        for absent in ["ff", "none@latest", "xyz", "a b", "LATEST"] {
            let error = select(&records, &absent.parse().unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{absent}");
        }
        for bad in ["", "../x@latest", "a\nb", &"a".repeat(65)] {
            assert!(bad.parse::<Selector>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sets_are_named_by_digits_a_time_or_a_day() {
        let which = |text: &str| match text.parse().unwrap() {
            Selector::SetOf(group, which) => {
                assert_eq!(group.as_str(), "all");
                Some(which)
            }
            _ => None,
        };
        let before = |time: &str| Some(Which::Before(time.parse().unwrap()));
        assert_eq!(which("all@AB01"), Some(Which::Prefix("ab01".into())));
        assert_eq!(which("all@20481103"), Some(Which::Prefix("20481103".into())));
        assert_eq!(which("all@2026-01-02"), before("2026-01-03T00:00:00Z"));
        let instant = which("all@2026-01-02T03:00:00+01:00");
        assert_eq!(instant, before("2026-01-02T02:00:00.000000001Z"));
        assert_eq!(which("all@latest"), None);
        assert_eq!(which("all@yesterday"), None);
        assert!(select(&[] as &[SnapshotRecord], &"all@ab".parse().unwrap()).is_err());
    }

    #[test]
    fn the_clock_cannot_reorder_one_source() {
        let records = [
            record("aa", "shop", 1, "2026-02-01T00:00:00Z"),
            record("bb", "shop", 2, "2026-01-01T00:00:00Z"),
        ];
        assert_eq!(id(&records, "shop@latest"), "bbbbbbbb");
        assert_eq!(id(&records, "latest"), "bbbbbbbb");
    }
}
