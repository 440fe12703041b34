//! Names of what we make at a vendor's: by them we know our own again.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::{RunId, SourceName};

/// What every name begins with.
const MARK: &str = "backupctl";

/// The name of a snapshot, branch or service that we made:
/// `backupctl-<source>-<purpose>-<time>-<run>`, in lowercase letters, digits and dashes, at most
/// 63 characters, so that every vendor takes it. A source's name that is longer than 20 characters or
/// has others is cut, and told apart by six digits of a hash.
///
/// It is deterministic: the same run, source and purpose are the same name, which is how a lost
/// response is found again. What does not parse as one is never ours and never touched.
///
/// ```
/// use backup_core::{OwnedName, Purpose};
///
/// let name = OwnedName::new(&"shop-eu".parse()?, Purpose::Freeze, "2026-01-02T03:04:05Z".parse()?, 0xab);
/// assert_eq!(name.to_string(), "backupctl-shop-eu-freeze-20260102t030405-000000ab");
/// assert_eq!(OwnedName::parse(&name.to_string()).as_ref(), Some(&name));
/// assert_eq!(OwnedName::parse("main"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedName {
    source: String,
    purpose: Purpose,
    at: Timestamp,
    run: u32,
}

/// What a thing at a vendor's was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A copy that is dumped, then dropped.
    Freeze,
    /// A copy to restore into and question, then dropped.
    Drill,
    /// A provider snapshot.
    Snapshot,
    /// A copy that a person asked for; stays.
    Restore,
    /// What a restore in place kept of the state before; stays.
    Before,
    /// A credential for the time of one run.
    Access,
}

impl Purpose {
    const ALL: [Self; 6] =
        [Self::Freeze, Self::Drill, Self::Snapshot, Self::Restore, Self::Before, Self::Access];

    /// Returns the word in names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Drill => "drill",
            Self::Snapshot => "snap",
            Self::Restore => "restore",
            Self::Before => "before",
            Self::Access => "access",
        }
    }

    /// Returns whether nothing of this purpose is wanted once its run is over.
    #[must_use]
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::Freeze | Self::Drill | Self::Access)
    }
}

impl OwnedName {
    /// Makes the name; `run` tells runs of the same second apart.
    #[must_use]
    pub fn new(source: &SourceName, purpose: Purpose, at: Timestamp, run: u32) -> Self {
        let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
        Self { source: slug(source), purpose, at, run }
    }

    /// Makes the name of a run.
    #[must_use]
    pub fn of_run(source: &SourceName, purpose: Purpose, at: Timestamp, run: RunId) -> Self {
        // Ids of one program differ by their time, those of several by what chance added.
        let words = run
            .0
            .chunks(4)
            .map(|word| word.iter().fold(0, |all, byte| all << 8 | u32::from(*byte)));
        Self::new(source, purpose, at, words.fold(0, |all: u32, word| all.rotate_left(5) ^ word))
    }

    /// Returns what the names of a source's things begin with.
    #[must_use]
    pub fn prefix(source: &SourceName) -> String {
        format!("{MARK}-{}-", slug(source))
    }

    /// Reads a name; nothing where it is not one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(MARK)?.strip_prefix('-')?;
        let (rest, run) = rest.rsplit_once('-')?;
        let (rest, time) = rest.rsplit_once('-')?;
        let (source, purpose) = rest.rsplit_once('-')?;
        let run = (run.len() == 8).then(|| u32::from_str_radix(run, 16).ok())??;
        let purpose = Purpose::ALL.into_iter().find(|known| known.as_str() == purpose)?;
        let time = DateTime::strptime("%Y%m%dt%H%M%S", time).ok()?;
        let at = TimeZone::UTC.to_timestamp(time).ok()?;
        let name = Self { source: source.to_owned(), purpose, at, run };
        (name.to_string() == text).then_some(name)
    }

    /// Returns whether it is of that source.
    #[must_use]
    pub fn is_of(&self, source: &SourceName) -> bool {
        self.source == slug(source)
    }

    /// Returns what it was made for.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Returns when its run began.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

impl fmt::Display for OwnedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.at.strftime("%Y%m%dt%H%M%S");
        write!(f, "{MARK}-{}-{}-{time}-{:08x}", self.source, self.purpose.as_str(), self.run)
    }
}

/// The source's name as every vendor takes it. Names that come to the same are told apart by a
/// few digits of their own.
fn slug(source: &SourceName) -> String {
    const MOST: usize = 20;
    let text: String = source
        .as_str()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let text = text.trim_matches('-');
    if text == source.as_str() && text.len() <= MOST && !text.contains("--") {
        return text.to_owned();
    }
    let digits = source
        .as_str()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let head: String = text.chars().take(MOST - 7).collect();
    format!("{}-{:06x}", head.trim_end_matches('-'), digits & 0x00ff_ffff)
        .trim_start_matches('-')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(source: &str, purpose: Purpose) -> OwnedName {
        let at = "2026-01-02T03:04:05.678Z".parse().unwrap();
        OwnedName::new(&source.parse().unwrap(), purpose, at, 7)
    }

    #[test]
    fn every_name_is_read_back_and_fits_every_vendor() {
        for source in ["shop", "Shop", "a", "a.b_c", "x-", &"long_name".repeat(7), "_", "a--b"] {
            for purpose in Purpose::ALL {
                let name = name(source, purpose);
                let text = name.to_string();
                assert_eq!(OwnedName::parse(&text).as_ref(), Some(&name), "{text}");
                assert!(text.len() <= 63, "{text}");
                assert!(
                    text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
                );
                assert!(text.starts_with(&OwnedName::prefix(&source.parse().unwrap())));
                assert!(name.is_of(&source.parse().unwrap()));
            }
        }
    }

    #[test]
    fn runs_of_the_same_second_have_names_of_their_own() {
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        let name = |id: [u8; 16]| {
            OwnedName::of_run(&"shop".parse().unwrap(), Purpose::Snapshot, at, RunId(id))
                .to_string()
        };
        let program = |millisecond: u8, chance: u8| {
            let mut id = [chance; 16];
            id[..8].copy_from_slice(&[1, 2, 3, 4, 5, millisecond, 0, 0]);
            id
        };
        let names = [[1; 16], [2; 16], program(1, 9), program(2, 9), program(1, 8)].map(name);
        let apart: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(apart.len(), names.len(), "{names:?}");
        assert_eq!(name(program(1, 9)), names[2]);
    }

    #[test]
    fn sources_that_look_alike_are_not_mixed_up() {
        let (plain, upper) = (name("shop", Purpose::Freeze), name("Shop", Purpose::Freeze));
        assert_ne!(plain, upper);
        assert!(!plain.is_of(&"Shop".parse().unwrap()));
        assert!(!name("shop-eu", Purpose::Freeze).is_of(&"shop".parse().unwrap()));
    }

    #[test]
    fn what_others_made_is_not_ours() {
        for text in [
            "main",
            "backup-2026",
            "backupctl-shop",
            "backupctl-shop-freeze-20260102t030405-7",
            "backupctl-shop-freeze-20261302t030405-00000007",
            "backupctl-shop-party-20260102t030405-00000007",
            "backupctl-shop-freeze-20260102t030405-0000000g",
            "my-backupctl-shop-freeze-20260102t030405-00000007",
        ] {
            assert_eq!(OwnedName::parse(text), None, "{text}");
        }
    }
}
