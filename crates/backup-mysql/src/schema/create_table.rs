//! A `CREATE TABLE` statement taken apart.
//!
//! Rows are loaded faster into a table without its secondary indexes, and foreign keys cannot be
//! made before all tables are: both are added afterwards.

use crate::quote_name;

/// The statement's pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CreateTable {
    /// Up to and with the opening parenthesis.
    head: String,
    /// Columns, keys and constraints.
    definitions: Vec<String>,
    /// From the closing parenthesis on.
    tail: String,
}

impl CreateTable {
    /// Takes a statement apart as `SHOW CREATE TABLE` prints it; nothing where it looks otherwise.
    pub(crate) fn parse(sql: &str) -> Option<Self> {
        let open = outside_quotes(sql).find(|(_, byte)| *byte == b'(')?.0;
        let (mut depth, mut from) = (0_u32, open + 1);
        let mut definitions = Vec::new();
        for (at, byte) in outside_quotes(sql).skip_while(|(at, _)| *at < open) {
            match byte {
                b'(' => depth += 1,
                b')' if depth == 1 => {
                    definitions.push(sql.get(from..at)?.trim().to_owned());
                    return Some(Self {
                        head: sql.get(..=open)?.to_owned(),
                        definitions,
                        tail: sql.get(at..)?.to_owned(),
                    });
                }
                b')' => depth -= 1,
                b',' if depth == 1 => {
                    definitions.push(sql.get(from..at)?.trim().to_owned());
                    from = at + 1;
                }
                _ => {}
            }
        }
        None
    }

    /// Returns the names of the columns, in order.
    pub(crate) fn columns(&self) -> Vec<String> {
        let is_column = |one: &&String| one.starts_with('`');
        self.definitions.iter().filter(is_column).filter_map(|one| quoted(one)).collect()
    }

    /// Returns the storage engine; nothing where the statement names none.
    pub(crate) fn engine(&self) -> Option<&str> {
        let (_, after) = self.tail.split_once(" ENGINE=")?;
        after.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()
    }

    /// Whether its rows are kept somewhere else.
    pub(crate) fn points_elsewhere(&self) -> bool {
        self.engine().is_some_and(crate::catalog::tables::points_elsewhere)
    }

    /// Returns the statement to begin with, and what to add once the rows are in: indexes, and
    /// foreign keys.
    pub(crate) fn staged(&self) -> Staged {
        self.staged_if(self.may_wait())
    }

    /// Returns the same with all indexes at once; only foreign keys come later.
    pub(crate) fn with_indexes(&self) -> Staged {
        self.staged_if(false)
    }

    fn staged_if(&self, later: bool) -> Staged {
        let mut staged = Staged::default();
        let mut first = Vec::new();
        for one in &self.definitions {
            if let Some((database, table)) = referenced(one) {
                let clause = format!("ADD {one}");
                staged.foreign_keys.push(ForeignKey { database, table, clause });
            } else if later && is_secondary(one) {
                staged.indexes.push(format!("ADD {one}"));
            } else {
                first.push(one.clone());
            }
        }
        staged.create = Self { definitions: first, ..self.clone() }.sql();
        staged
    }

    /// Whether secondary indexes can be added later: InnoDB with a primary key that any automatic
    /// number leads, and no history that an ALTER would have to rewrite.
    fn may_wait(&self) -> bool {
        let primary = self.definitions.iter().find_map(|one| one.strip_prefix("PRIMARY KEY "));
        let Some(leading) = primary.and_then(|key| quoted(key.trim_start_matches('('))) else {
            return false;
        };
        let upper = self.tail.to_ascii_uppercase();
        let automatic = self.definitions.iter().find(|one| {
            one.starts_with('`') && unquoted(one).to_ascii_uppercase().contains(" AUTO_INCREMENT")
        });
        upper.contains("ENGINE=INNODB")
            && !upper.contains("SYSTEM VERSIONING")
            && automatic.is_none_or(|one| quoted(one).as_ref() == Some(&leading))
    }

    /// Returns the statement with its keys and constraints in the order of their text, and
    /// without the next automatic number: two tables that are alike have the same.
    pub(crate) fn canonical(&self) -> String {
        let (columns, mut others): (Vec<_>, Vec<_>) =
            self.definitions.iter().cloned().partition(|one| one.starts_with('`'));
        others.sort();
        let definitions = columns.into_iter().chain(others).collect();
        let tail = without_automatic_number(&self.tail);
        Self { head: self.head.clone(), definitions, tail }.sql()
    }

    /// Returns the statement.
    pub(crate) fn sql(&self) -> String {
        format!("{}\n  {}\n{}", self.head, self.definitions.join(",\n  "), self.tail)
    }
}

/// What is done before the rows come, and what after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Staged {
    pub(crate) create: String,
    pub(crate) indexes: Vec<String>,
    pub(crate) foreign_keys: Vec<ForeignKey>,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignKey {
    /// The database of the referenced table, where it is another one.
    pub(crate) database: Option<String>,
    /// The table that is referenced.
    pub(crate) table: String,
    pub(crate) clause: String,
}

impl ForeignKey {
    /// Returns the name of what is referenced, for people.
    pub(crate) fn parent(&self) -> String {
        match &self.database {
            Some(database) => format!("{database}.{}", self.table),
            None => self.table.clone(),
        }
    }
}

/// Full text and spatial indexes stay: they cannot be added several at once.
fn is_secondary(definition: &str) -> bool {
    definition.starts_with("KEY ") || definition.starts_with("UNIQUE KEY ")
}

/// Returns the table that a foreign key references, and its database where that is another one.
fn referenced(definition: &str) -> Option<(Option<String>, String)> {
    let plain = unquoted(definition);
    if !definition.starts_with("CONSTRAINT ") || !plain.contains(" FOREIGN KEY ") {
        return None;
    }
    let after = definition.split(" REFERENCES ").last()?;
    // `database`.`table`, where it is another database's.
    let name = quoted(after)?;
    match after.strip_prefix(&quote_name(&name))?.strip_prefix('.') {
        Some(rest) => Some((Some(name), quoted(rest)?)),
        None => Some((None, name)),
    }
}

fn without_automatic_number(tail: &str) -> String {
    let Some((before, after)) = tail.split_once(" AUTO_INCREMENT=") else { return tail.to_owned() };
    if before.contains(" COMMENT=") {
        return tail.to_owned();
    }
    format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// Reads the name in backticks that a text begins with.
pub(super) fn quoted(text: &str) -> Option<String> {
    let mut rest = text.strip_prefix('`')?;
    let mut name = String::new();
    loop {
        let (piece, after) = rest.split_once('`')?;
        name.push_str(piece);
        match after.strip_prefix('`') {
            Some(more) => {
                name.push('`');
                rest = more;
            }
            None => return Some(name),
        }
    }
}

/// Returns the text with everything in quotes left out.
fn unquoted(text: &str) -> String {
    outside_quotes(text).map(|(_, byte)| char::from(byte)).collect()
}

/// Yields the bytes that are in no quotes, with their positions.
fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, u8)> + '_ {
    let mut quote: Option<u8> = None;
    let mut escaped = false;
    text.bytes().enumerate().filter(move |(_, byte)| match quote {
        Some(_) if escaped => {
            escaped = false;
            false
        }
        Some(open) => {
            escaped = *byte == b'\\' && open != b'`';
            // A doubled quote closes and opens again, which comes to the same.
            if *byte == open {
                quote = None;
            }
            false
        }
        None if matches!(byte, b'\'' | b'"' | b'`') => {
            quote = Some(*byte);
            false
        }
        None => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: &str = "CREATE TABLE `orders` (\n  `id` int(11) NOT NULL AUTO_INCREMENT COMMENT 'a, (b) \\' ``',\n  `st` enum('a','b,)') DEFAULT 'a',\n  `g` int(11) GENERATED ALWAYS AS (`id` + 1) VIRTUAL,\n  PRIMARY KEY (`id`),\n  UNIQUE KEY `u` (`st`),\n  KEY `k` (`g`),\n  FULLTEXT KEY `f` (`st`),\n  CONSTRAINT `fk` FOREIGN KEY (`g`) REFERENCES `oth``er` (`id`) ON DELETE CASCADE,\n  CONSTRAINT `c` CHECK (`id` > 0)\n) ENGINE=InnoDB AUTO_INCREMENT=42 DEFAULT CHARSET=utf8mb4 COMMENT='x AUTO_INCREMENT=7'\n PARTITION BY HASH (`id`)\nPARTITIONS 4";

    #[test]
    fn a_statement_is_put_together_again() {
        let table = CreateTable::parse(ORDERS).unwrap();
        assert_eq!(table.sql(), ORDERS);
        assert_eq!(table.columns(), ["id", "st", "g"]);
    }

    #[test]
    fn indexes_and_foreign_keys_come_after_the_rows() {
        let staged = CreateTable::parse(ORDERS).unwrap().staged();
        assert_eq!(staged.indexes, ["ADD UNIQUE KEY `u` (`st`)", "ADD KEY `k` (`g`)"]);
        assert_eq!(staged.foreign_keys.len(), 1);
        assert_eq!(staged.foreign_keys[0].parent(), "oth`er");
        assert!(staged.create.contains("FULLTEXT KEY") && staged.create.contains("CHECK"));
        assert!(!staged.create.contains("KEY `k`") && !staged.create.contains("FOREIGN"));
        let staged = CreateTable::parse(ORDERS).unwrap().with_indexes();
        assert!(staged.indexes.is_empty() && staged.foreign_keys.len() == 1);
        assert!(staged.create.contains("KEY `k`") && !staged.create.contains("FOREIGN"));
    }

    #[test]
    fn what_the_table_needs_at_once_stays() {
        for text in [
            ORDERS.replace("PRIMARY KEY (`id`)", "PRIMARY KEY (`st`,`id`)"),
            ORDERS.replace("  PRIMARY KEY (`id`),\n", ""),
            ORDERS.replace("ENGINE=InnoDB", "ENGINE=MyISAM"),
            ORDERS.replace("=utf8mb4", "=utf8mb4 WITH SYSTEM VERSIONING"),
        ] {
            assert!(CreateTable::parse(&text).unwrap().staged().indexes.is_empty(), "{text}");
        }
    }

    #[test]
    fn tables_that_differ_in_order_or_next_number_only_are_alike() {
        let one = CreateTable::parse(ORDERS).unwrap().canonical();
        let other = ORDERS.replace("=42", "=9999").replace(
            "  UNIQUE KEY `u` (`st`),\n  KEY `k` (`g`),",
            "  KEY `k` (`g`),\n  UNIQUE KEY `u` (`st`),",
        );
        assert_eq!(one, CreateTable::parse(&other).unwrap().canonical());
        assert!(one.contains("COMMENT='x AUTO_INCREMENT=7'") && !one.contains("=42"));
        let changed = ORDERS.replace("int(11) NOT NULL", "bigint(20) NOT NULL");
        assert_ne!(one, CreateTable::parse(&changed).unwrap().canonical());
    }
}
