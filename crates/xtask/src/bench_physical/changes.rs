//! One page in a hundred changed, and the proof that it was so.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use backup_testkit::postgres::Cluster;

use crate::shop::TABLES;

const PAGE: usize = 8192;

/// Changes a row on a few random pages of every table of `database`; with the indexes, and the
/// pages that the new versions go to, that is about one page in a hundred; others in each round.
pub(super) fn one_percent(cluster: &Cluster, database: &str, round: u32) -> Result<()> {
    for table in TABLES {
        // Setting a column to itself writes a new version of the row.
        let column = match table {
            "sales.customers" => "city",
            "sales.orders" => "status",
            "web.events" => "kind",
            _ => "title",
        };
        cluster.try_sql(
            database,
            &format!(
                "update {table} set {column} = {column} where ctid in (select \
                 format('(%s,1)', b)::tid from generate_series(0, \
                 pg_relation_size('{table}') / {PAGE} - 1) as b \
                 where hashint8extended(b, {round}) & 1023 < 6)"
            ),
        )?;
    }
    // Of these alone: the catalogs stay as they are.
    cluster.try_sql(database, &format!("vacuum {}", TABLES.join(", ")))?;
    Ok(())
}

/// Pages of relations that differ between two data directories, and all of `new`'s.
pub(super) fn differing(old: &Path, new: &Path) -> Result<(u64, u64)> {
    let (mut changed, mut all) = (0, 0);
    let mut folders = vec![Path::new("base").to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(new.join(&folder))? {
            let entry = entry?;
            let name = entry.file_name();
            // A cache that the server makes anew: no tool copies it.
            if name.to_string_lossy().starts_with("pg_internal.init") {
                continue;
            }
            let path = folder.join(name);
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else {
                let (different, pages) = compare(&old.join(&path), &new.join(&path))?;
                changed += different;
                all += pages;
            }
        }
    }
    Ok((changed, all))
}

fn compare(old: &Path, new: &Path) -> Result<(u64, u64)> {
    let mut new = File::open(new).with_context(|| format!("opening {}", new.display()))?;
    let mut old = File::open(old).ok();
    let (mut changed, mut all) = (0, 0);
    let (mut left, mut right) = (vec![0; PAGE], vec![0; PAGE]);
    loop {
        let read = fill(&mut new, &mut right)?;
        if read == 0 {
            return Ok((changed, all));
        }
        let before = match &mut old {
            Some(old) => fill(old, &mut left)?,
            None => 0,
        };
        all += 1;
        changed += u64::from(before != read || left[..read] != right[..read]);
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_differ_are_counted() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let put = |root: &Path, name: &str, bytes: &[u8]| {
            std::fs::create_dir_all(root.join("base/5")).unwrap();
            std::fs::write(root.join("base/5").join(name), bytes).unwrap();
        };
        let mut bytes = vec![7; 4 * PAGE];
        put(old.path(), "1", &bytes);
        bytes[2 * PAGE + 9] = 8;
        bytes.extend([9; 100]);
        put(new.path(), "1", &bytes);
        put(new.path(), "2", &[1; PAGE]);
        assert_eq!(differing(old.path(), new.path()).unwrap(), (3, 6));
        assert_eq!(differing(new.path(), new.path()).unwrap(), (0, 6));
    }
}
