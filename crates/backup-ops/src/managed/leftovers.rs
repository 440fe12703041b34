//! Which copies nobody wants any more.

use std::time::Duration;

use backup_core::port::TemporaryCopy;
use backup_core::{OwnedName, SourceName};
use jiff::Timestamp;

/// How old a copy that was made for a while must be before another run takes it for a leftover:
/// longer than any dump or drill.
pub const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 3600);

/// What a finding begins with that tells of something left behind which costs money.
pub const LEFT_BEHIND: &str = "left behind at the provider: ";

/// Returns the copies of a source that were made for one run and outlived it. A copy whose name is
/// not one of ours, of another source, or made to stay, is never among them; nor is one whose name
/// says that it is old while the vendor says that it is young.
#[must_use]
pub fn leftovers<'a>(
    copies: &'a [TemporaryCopy],
    source: &SourceName,
    now: Timestamp,
    age: Duration,
) -> Vec<&'a TemporaryCopy> {
    let old =
        |at: Timestamp| Duration::try_from(now.duration_since(at)).is_ok_and(|past| past >= age);
    copies
        .iter()
        .filter(|copy| {
            OwnedName::parse(&copy.name).is_some_and(|name| {
                name.is_of(source)
                    && name.purpose().is_temporary()
                    && old(name.at())
                    && old(copy.created_at)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(name: &str, created_at: &str) -> TemporaryCopy {
        TemporaryCopy {
            id: name.to_owned(),
            name: name.to_owned(),
            created_at: created_at.parse().unwrap(),
            expires_at: None,
            costs: true,
        }
    }

    #[test]
    fn only_old_temporary_copies_of_this_source_are_leftovers() {
        let old = "2026-01-01T00:00:00Z";
        let copies = [
            copy("backupctl-shop-freeze-20260101t000000-00000001", old),
            copy("backupctl-shop-drill-20260101t000000-00000001", old),
            copy("backupctl-shop-restore-20260101t000000-00000001", old),
            copy("backupctl-shop-eu-freeze-20260101t000000-00000001", old),
            copy("backupctl-shop-freeze-20260109t230000-00000001", old),
            copy("backupctl-shop-freeze-20260101t000000-00000002", "2026-01-09T23:00:00Z"),
            copy("backup-shop-freeze", old),
            copy("main", old),
        ];
        let now = "2026-01-10T00:00:00Z".parse().unwrap();
        let found = leftovers(&copies, &"shop".parse().unwrap(), now, LEFTOVER_AGE);
        let names: Vec<&str> = found.iter().map(|copy| copy.name.as_str()).collect();
        assert_eq!(names, [&copies[0].name, &copies[1].name]);
    }
}
