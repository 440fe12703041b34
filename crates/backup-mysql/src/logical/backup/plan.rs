//! Where a table is cut.

use std::collections::BTreeMap;

use backup_core::port::BaseSnapshot;
use backup_core::{Part, Result};
use futures::TryStreamExt;

use super::select;
use crate::catalog::tables::{KeyKind, Table};
use crate::logical::borders::{self, Border, Key, LONGEST_KEPT};
use crate::logical::names::{borders_part, table_part};
use crate::{Client, error_code};

/// What the previous snapshot knows of a table's segments.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    borders: Vec<Border>,
    /// Bytes by address.
    bytes: BTreeMap<u64, u64>,
}

impl Before {
    /// Reads it; nothing where the key is another one now, or the base cannot be read: then
    /// borders are chosen afresh, and only cost room.
    pub(super) async fn read(
        base: Option<&BaseSnapshot>,
        previous: Option<&Part>,
        table: &Table,
    ) -> Option<Self> {
        let (base, previous) = (base?, previous?);
        if previous.attributes.get("key") != Some(&key_attribute(table)) {
            return None;
        }
        let segments = base.parts.segments(&table_part(&table.name)).await.ok()?;
        let part = borders_part(&table.name);
        let mut text = Vec::new();
        if base.parts.parts().iter().any(|one| one.name == part) {
            for position in 0..base.parts.segments(&part).await.ok()?.len() {
                let mut stream = base.parts.read(&part, position).await.ok()?;
                while let Some(piece) = stream.try_next().await.ok()? {
                    text.extend_from_slice(&piece);
                }
            }
        }
        let borders = borders::read(&text, table.key.len()).ok()?;
        let bytes = segments.into_iter().map(|one| (one.address, one.bytes)).collect();
        Some(Self { borders, bytes })
    }

    fn is_too_long(&self, border: &Border) -> bool {
        self.bytes.get(&border.address).is_some_and(|bytes| *bytes > LONGEST_KEPT)
    }
}

/// Names a table's key, so that a later snapshot knows whether its borders still mean something.
pub(super) fn key_attribute(table: &Table) -> String {
    let columns: Vec<String> = table
        .key
        .iter()
        .map(|column| {
            let kind = match &column.kind {
                KeyKind::Number => "number",
                KeyKind::Quoted => "quoted",
                KeyKind::Text(charset) => charset,
            };
            let collation = column.collation.as_deref().unwrap_or("-");
            format!("{} {kind} {} {collation}", column.name, column.full_type)
        })
        .collect();
    columns.join(", ")
}

/// Finds where a table's segments begin, and tells of each border as soon as it is known.
pub(super) struct Cutter<'a> {
    pub(super) client: &'a mut Client,
    pub(super) table: &'a Table,
    pub(super) rows: u64,
}

impl Cutter<'_> {
    /// Cuts the table; `found` takes each border after the first, in rising order.
    pub(super) async fn cut(
        &mut self,
        before: Option<Before>,
        mut found: impl FnMut(Border),
    ) -> Result<()> {
        let start = match before {
            Some(before) if self.rises(&before.borders).await? => {
                self.keep(&before, &mut found).await?
            }
            _ => self.even(&mut found).await?,
        };
        // What follows the last border: nothing, or all that was added.
        self.walk_to_the_end(start, &mut found).await
    }

    /// Whether the server itself holds each border to be beyond the one before; what it cannot
    /// compare does not rise.
    async fn rises(&mut self, borders: &[Border]) -> Result<bool> {
        for sql in borders::rising(&self.table.key, borders) {
            match self.client.first(&sql).await {
                Ok(Some(row)) if row.all_true() => {}
                Ok(_) => return Ok(false),
                Err(error) if error_code(&error).is_some() => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Takes over borders, and cuts what became too long.
    async fn keep(&mut self, before: &Before, found: &mut impl FnMut(Border)) -> Result<Border> {
        let mut last = Border::first();
        for (border, next) in before.borders.iter().zip(before.borders.iter().skip(1)) {
            if before.is_too_long(border) {
                for inner in self.between(border, next).await? {
                    found(inner);
                }
            }
            found(next.clone());
            last = next.clone();
        }
        Ok(last)
    }

    /// Cuts numbers into even ranges, which costs nothing; ranges in which most rows are gathered
    /// are walked through by the next snapshot, when they have become too long.
    async fn even(&mut self, found: &mut impl FnMut(Border)) -> Result<Border> {
        let mut last = Border::first();
        let pieces = self.table.rows / self.rows.max(1);
        let counts = self.table.key.first().is_some_and(|column| column.kind == KeyKind::Number);
        if pieces < 2 || !counts || self.table.key.len() > 1 {
            return Ok(last);
        }
        let Some(sql) = select::ends(self.table) else { return Ok(last) };
        let ends = self.client.first(&sql).await?.unwrap_or_default();
        let (Some(low), Some(high)) = (ends.number::<i128>(0), ends.number::<i128>(1)) else {
            return Ok(last);
        };
        for cut in borders::even_cuts(low, high, pieces) {
            let Some(address) = borders::address_after(last.address) else { break };
            last = Border { address, key: Some(vec![cut.to_string().into_bytes()]) };
            found(last.clone());
        }
        Ok(last)
    }

    async fn walk_to_the_end(
        &mut self,
        start: Border,
        found: &mut impl FnMut(Border),
    ) -> Result<()> {
        let mut last = start;
        while let Some(key) = self.step(last.key.as_ref(), None).await? {
            let Some(address) = borders::address_after(last.address) else { break };
            last = Border { address, key: Some(key) };
            found(last.clone());
        }
        Ok(())
    }

    /// Finds borders between two.
    async fn between(&mut self, from: &Border, to: &Border) -> Result<Vec<Border>> {
        let mut keys = Vec::new();
        let mut last = from.key.clone();
        while let Some(key) = self.step(last.as_ref(), to.key.as_ref()).await? {
            last = Some(key.clone());
            keys.push(key);
        }
        let addresses = borders::addresses_between(from.address, to.address, keys.len() as u64);
        let pairs = addresses.into_iter().zip(keys);
        Ok(pairs.map(|(address, key)| Border { address, key: Some(key) }).collect())
    }

    async fn step(&mut self, from: Option<&Key>, to: Option<&Key>) -> Result<Option<Key>> {
        let sql = select::step(self.table, from, to, self.rows);
        let Some(row) = self.client.first(&sql).await? else { return Ok(None) };
        let columns = self.table.key.len();
        let key: Option<Key> =
            (0..columns).map(|position| row.bytes(position).map(<[u8]>::to_vec)).collect();
        // Collations hold several texts to be equal, so that a step may not advance.
        Ok(key.filter(|key| Some(key) != from))
    }
}
