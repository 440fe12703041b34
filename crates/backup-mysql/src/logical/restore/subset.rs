//! A part of a snapshot: some tables with what stands on them.

use std::collections::BTreeSet;

use backup_core::{Error, ErrorKind, Result};

use crate::schema::{ForeignKey, Item, Kind};

/// Which objects are restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subset {
    /// Names of tables; nothing means everything.
    tables: Option<BTreeSet<String>>,
}

impl Subset {
    /// Reads what was asked for: tables as `database.table` or `table`, and databases. A name that
    /// matches nothing is `NotFound`, with those that there are.
    pub(crate) fn choose(
        items: &[Item],
        database: &str,
        tables: &[String],
        schemas: &[String],
    ) -> Result<Self> {
        let missing = |what: &'static str, name: &str, known: Vec<&str>| {
            let known: Vec<&str> = known.into_iter().take(10).collect();
            Error::new(ErrorKind::NotFound, "find in snapshot")
                .with(what, name)
                .hint(format!("The snapshot holds {}.", known.join(", ")))
        };
        if let Some(other) = schemas.iter().find(|name| *name != database) {
            return Err(missing("schema", other, vec![database]));
        }
        if tables.is_empty() || !schemas.is_empty() {
            return Ok(Self { tables: None });
        }
        let known: Vec<&str> = items
            .iter()
            .filter(|item| item.kind == Kind::Table)
            .map(|item| item.name.as_str())
            .collect();
        let prefix = format!("{database}.");
        let mut chosen = BTreeSet::new();
        for name in tables {
            let plain = name.strip_prefix(&prefix).unwrap_or(name);
            let found = [name.as_str(), plain].into_iter().find(|name| known.contains(name));
            let found = found.ok_or_else(|| missing("table", name, known.clone()))?;
            chosen.insert(found.to_owned());
        }
        Ok(Self { tables: Some(chosen) })
    }

    /// Returns whether a table is in it.
    pub(crate) fn has_table(&self, name: &str) -> bool {
        self.tables.as_ref().is_none_or(|tables| tables.contains(name))
    }

    /// Returns whether what a foreign key references is in it; other databases go with the whole.
    pub(crate) fn has_parent(&self, key: &ForeignKey) -> bool {
        match key.database {
            Some(_) => self.tables.is_none(),
            None => self.has_table(&key.table),
        }
    }

    /// Returns whether an object is in it: with tables come their triggers, and the sequences
    /// that defaults take from.
    pub(crate) fn has(&self, item: &Item) -> bool {
        match (&self.tables, item.kind) {
            (None, _) | (_, Kind::Sequence) => true,
            (_, Kind::Table) => self.has_table(&item.name),
            (_, Kind::Trigger) => item.table.as_ref().is_some_and(|table| self.has_table(table)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_come_with_their_triggers_and_unknown_names_are_told() {
        let mut trigger = Item::new(Kind::Trigger, "tr", "");
        trigger.table = Some("a".into());
        let items = [
            Item::new(Kind::Table, "a", ""),
            Item::new(Kind::Table, "b", ""),
            Item::new(Kind::View, "v", ""),
            trigger,
        ];
        let names = |tables: &[&str]| -> Result<Vec<String>> {
            let tables: Vec<String> = tables.iter().map(|name| (*name).to_owned()).collect();
            let subset = Subset::choose(&items, "shop", &tables, &[])?;
            Ok(items.iter().filter(|i| subset.has(i)).map(|i| i.name.clone()).collect())
        };
        assert_eq!(names(&["shop.a"]).unwrap(), ["a", "tr"]);
        assert_eq!(names(&[]).unwrap().len(), 4);
        let error = names(&["c"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.remedy().unwrap().contains("a, b"));
        assert!(Subset::choose(&items, "shop", &[], &["other".into()]).is_err());
    }
}
