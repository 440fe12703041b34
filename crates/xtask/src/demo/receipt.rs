//! What the demonstration showed, in numbers that were measured.

use std::fmt;

use serde::Deserialize;

/// A snapshot as `backupctl --json` describes it, as far as the receipt needs it.
#[derive(Debug, Deserialize)]
pub(super) struct Snapshot {
    pub(super) id: String,
    pub(super) read_bytes: u64,
    pub(super) added_bytes: u64,
    pub(super) stored_bytes: u64,
    pub(super) verified: Verified,
}

/// How far a snapshot has been proved.
#[derive(Debug, Deserialize)]
pub(super) struct Verified {
    pub(super) level: String,
}

/// The result of the demonstration.
pub(super) struct Receipt {
    pub(super) server: u32,
    pub(super) database_bytes: u64,
    pub(super) first: (Snapshot, f64),
    pub(super) second: (Snapshot, f64),
    pub(super) restored_rows: u64,
    pub(super) restore_seconds: f64,
    /// Lines of `table|rows|hash`.
    pub(super) tables: Vec<String>,
    pub(super) optimized: bool,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nRECEIPT")?;
        writeln!(f, "  PostgreSQL {}, database {}", self.server, size(self.database_bytes))?;
        writeln!(
            f,
            "\n  {:<14} {:<9} {:>10} {:>10} {:>10} {:>8}",
            "", "snapshot", "read", "new", "stored", "seconds"
        )?;
        for (name, (snapshot, seconds)) in
            [("first backup", &self.first), ("second backup", &self.second)]
        {
            writeln!(
                f,
                "  {name:<14} {:<9} {:>10} {:>10} {:>10} {seconds:>8.1}",
                snapshot.id.get(..8).unwrap_or(&snapshot.id),
                size(snapshot.read_bytes),
                size(snapshot.added_bytes),
                size(snapshot.stored_bytes),
            )?;
        }
        writeln!(
            f,
            "  the second backup stored {:.1}% of what the first did",
            percent(self.second.0.stored_bytes, self.first.0.stored_bytes)
        )?;
        writeln!(
            f,
            "  restore        {} rows in {:.1} s into a new database",
            self.restored_rows, self.restore_seconds
        )?;
        writeln!(f, "\n  proved, table by table (rows and a hash over all of them are equal):")?;
        for line in &self.tables {
            let mut fields = line.split('|');
            let (table, rows) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
            writeln!(f, "    {table:<18} {rows:>9} rows")?;
        }
        writeln!(f, "    the schema as pg_dump writes it is equal to the letter")?;
        writeln!(f, "    both snapshots: every stored byte read back and authenticated")?;
        if !self.optimized {
            writeln!(
                f,
                "\n  times are those of a development build; --release is several times faster"
            )?;
        }
        Ok(())
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// Bytes for people, in powers of 1000.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_500), "1.5 kB");
        assert_eq!(size(150_000_000), "150.0 MB");
        assert_eq!(size(2_340_000_000), "2.34 GB");
        assert!((percent(5, 100) - 5.0).abs() < 1e-9);
    }
}
