//! A shop's database with plausible text in it, made by the server itself in seconds: the same
//! rows for the same size on every machine, so that runs can be compared.

use std::fmt::Write;

use anyhow::{Context, Result};
use backup_testkit::postgres::Cluster;

const FUNCTIONS: &str = include_str!("functions.sql");
const SCHEMA: &str = include_str!("schema.sql");
const ROWS: &str = include_str!("rows.sql");
const INDEXES: &str = include_str!("indexes.sql");
const DAY: &str = include_str!("day.sql");

/// The tables that hold rows.
pub(crate) const TABLES: [&str; 4] =
    ["sales.customers", "sales.orders", "web.events", "public.documents"];

/// How many rows each table starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shop {
    customers: u64,
    orders: u64,
    events: u64,
    documents: u64,
}

impl Shop {
    /// A shop whose database, indexes included, takes about that many MB.
    pub(crate) fn of_megabytes(megabytes: u64) -> Self {
        let megabytes = megabytes.max(1);
        Self {
            customers: 300 * megabytes,
            orders: 1_400 * megabytes,
            events: 2_800 * megabytes,
            documents: 32 * megabytes,
        }
    }

    /// Creates `database` and fills it.
    pub(crate) fn create(&self, cluster: &Cluster, database: &str) -> Result<()> {
        cluster.try_sql("postgres", &format!("create database {database}"))?;
        let script = [&self.variables(0), FUNCTIONS, SCHEMA, ROWS, INDEXES].concat();
        cluster.try_sql(database, &script).context("filling the shop")?;
        Ok(())
    }

    /// One day of business: 2% of the rows of every table updated at random places, 2% appended.
    /// Days count from 1.
    pub(crate) fn day(&self, cluster: &Cluster, database: &str, day: u64) -> Result<()> {
        let script = [&self.variables(day), FUNCTIONS, DAY].concat();
        cluster.try_sql(database, &script).with_context(|| format!("day {day} of the shop"))?;
        Ok(())
    }

    fn variables(&self, day: u64) -> String {
        let mut text = String::new();
        for (name, value) in [
            ("customers", self.customers),
            ("orders", self.orders),
            ("events", self.events),
            ("documents", self.documents),
            ("day", day),
        ] {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\\set {name} {value}");
        }
        text
    }
}

/// The database's size on the server's disk, in bytes.
pub(crate) fn size(cluster: &Cluster, database: &str) -> Result<u64> {
    let text = cluster.try_sql(database, "select pg_database_size(current_database())")?;
    text.trim().parse().context("a database size")
}

/// One line per table: name, rows, and a hash over all rows that does not depend on their order.
pub(crate) fn fingerprint(cluster: &Cluster, database: &str) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for table in TABLES {
        let query = format!(
            "select '{table}', count(*), sum(hashtextextended(row::text, 7)::numeric) \
             from {table} row"
        );
        let text = cluster.try_sql(database, &query)?;
        lines.push(text.trim().to_owned());
    }
    Ok(lines)
}

/// The schema as pg_dump writes it, without what differs from call to call.
pub(crate) fn schema_text(cluster: &Cluster, database: &str) -> Result<String> {
    let mut dump = cluster.command("pg_dump");
    let text = crate::command::capture(dump.args(["--schema-only", "-d", database]))?;
    // Newer minors fence the script with a random word.
    let same = |line: &&str| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict");
    Ok(text.lines().filter(same).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest() -> Option<Cluster> {
        let major = Cluster::majors().last().copied().unwrap_or(18);
        Cluster::builder(major).setting("autovacuum", "off").start()
    }

    #[test]
    fn the_same_size_is_the_same_shop_and_a_day_changes_four_percent() {
        let Some(cluster) = newest() else { return };
        let shop = Shop::of_megabytes(2);
        shop.create(&cluster, "one").unwrap();
        shop.create(&cluster, "two").unwrap();
        let before = fingerprint(&cluster, "one").unwrap();
        assert_eq!(before, fingerprint(&cluster, "two").unwrap());
        assert_eq!(schema_text(&cluster, "one").unwrap(), schema_text(&cluster, "two").unwrap());

        let events = || cluster.sql("one", "select count(*) from web.events");
        let old: u64 = events().trim().parse().unwrap();
        shop.day(&cluster, "one", 1).unwrap();
        let new: u64 = events().trim().parse().unwrap();
        assert_eq!(new - old, old / 50);
        let after = fingerprint(&cluster, "one").unwrap();
        assert!(before.iter().zip(&after).all(|(old, new)| old != new), "{after:?}");
        shop.day(&cluster, "one", 2).unwrap();
    }
}
