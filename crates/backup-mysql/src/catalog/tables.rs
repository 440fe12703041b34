//! Tables, their columns, and the key that their rows are read by.

use std::collections::BTreeMap;

use backup_core::{Error, ErrorKind, Result};

use crate::{Client, quote_text};

/// What holds rows in a database, and what only looks like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    View,
    Sequence,
}

/// One table or what stands beside tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) engine: String,
    /// As the server estimates them.
    pub(crate) rows: u64,
    pub(crate) row_bytes: u64,
    pub(crate) bytes: u64,
    /// Whether it keeps its history itself.
    pub(crate) versioned: bool,
    /// What the server says instead where it cannot open the table or view.
    pub(crate) trouble: Option<String>,
    pub(crate) columns: Vec<Column>,
    pub(crate) key: Vec<KeyColumn>,
    /// The index of the key.
    pub(crate) key_index: String,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// `int`, `varchar` …
    pub(crate) data_type: String,
    /// The character set of its text.
    pub(crate) charset: Option<String>,
    /// The collation that its text is compared by.
    pub(crate) collation: Option<String>,
    /// `varchar(30)`, `int(10) unsigned` …
    pub(crate) full_type: String,
    /// Computed by the server.
    pub(crate) generated: bool,
    /// Whether the server converts its text on the way, whatever is asked of it.
    pub(crate) converted: bool,
}

/// A column of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyColumn {
    pub(crate) name: String,
    pub(crate) kind: KeyKind,
    /// `varchar(30)`, `int(10) unsigned` …
    pub(crate) full_type: String,
    /// The collation that its text is compared by.
    pub(crate) collation: Option<String>,
}

/// How a value of a key is written in a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// Digits.
    Number,
    /// A quoted text that the server reads as the column's type.
    Quoted,
    /// Bytes of that character set.
    Text(String),
}

/// Engines whose tables show rows that are kept somewhere else.
pub(crate) const ELSEWHERE: [&str; 8] =
    ["federated", "spider", "connect", "mrg_myisam", "oqgraph", "sphinx", "s3", "cassandra"];

/// Returns whether tables of this engine only show rows that are kept somewhere else.
pub(crate) fn points_elsewhere(engine: &str) -> bool {
    ELSEWHERE.contains(&engine.to_ascii_lowercase().as_str())
}

impl Table {
    /// Returns whether it has rows of its own.
    pub(crate) fn holds_rows(&self) -> bool {
        self.kind == Kind::Plain && !points_elsewhere(&self.engine)
    }

    /// Returns whether its rows are in a transaction's snapshot.
    pub(crate) fn is_transactional(&self) -> bool {
        matches!(
            self.engine.to_ascii_lowercase().as_str(),
            "innodb" | "rocksdb" | "tokudb" | "ndbcluster"
        )
    }

    /// Returns the columns whose values are stored.
    pub(crate) fn stored(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !column.generated)
    }
}

/// Reads every table of the database, by name.
pub(crate) async fn read(client: &mut Client, database: &str) -> Result<Vec<Table>> {
    let name = quote_text(database);
    let sql = format!(
        "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, AVG_ROW_LENGTH, DATA_LENGTH, \
         TABLE_COMMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = {name} \
         ORDER BY TABLE_NAME"
    );
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    for row in client.query(&sql).await? {
        let kind = match row.text(1).as_str() {
            "VIEW" | "SYSTEM VIEW" => Kind::View,
            "SEQUENCE" => Kind::Sequence,
            _ => Kind::Plain,
        };
        let engine = row.get(2).map(str::to_owned);
        let trouble = match kind {
            Kind::Plain => engine.is_none().then(|| row.text(6)),
            Kind::View => Some(row.text(6)).filter(|said| !matches!(said.as_str(), "VIEW" | "")),
            Kind::Sequence => None,
        };
        tables.insert(
            row.text(0),
            Table {
                name: row.text(0),
                kind,
                engine: engine.unwrap_or_default(),
                rows: row.number(3).unwrap_or(0),
                row_bytes: row.number(4).unwrap_or(0),
                bytes: row.number(5).unwrap_or(0),
                versioned: row.text(1) == "SYSTEM VERSIONED",
                trouble,
                columns: Vec::new(),
                key: Vec::new(),
                key_index: String::new(),
            },
        );
    }
    columns(client, &name, &mut tables).await?;
    keys(client, &name, &mut tables).await?;
    Ok(tables.into_values().collect())
}

async fn columns(
    client: &mut Client,
    database: &str,
    tables: &mut BTreeMap<String, Table>,
) -> Result<()> {
    let sql = format!(
        "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, CHARACTER_SET_NAME, EXTRA, \
         COLLATION_NAME, COLUMN_TYPE \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {database} \
         ORDER BY TABLE_NAME, ORDINAL_POSITION"
    );
    for row in client.query(&sql).await? {
        let Some(table) = tables.get_mut(&row.text(0)) else { continue };
        table.columns.push(Column {
            name: row.text(1),
            data_type: row.text(2).to_ascii_lowercase(),
            charset: row.get(3).map(str::to_owned),
            generated: is_generated(&row.text(4)),
            collation: row.get(5).map(str::to_owned),
            full_type: row.text(6).to_ascii_lowercase(),
            converted: false,
        });
    }
    Ok(())
}

/// MySQL also marks expressions as defaults, which are stored like other values.
fn is_generated(extra: &str) -> bool {
    let extra = extra.to_ascii_uppercase();
    ["VIRTUAL GENERATED", "STORED GENERATED", "PERSISTENT"].iter().any(|mark| extra.contains(mark))
}

/// Returns a condition that leaves out indexes which the server does not use (invisible ones of MySQL,
/// ignored ones of MariaDB): it refuses to be told to.
async fn in_use(client: &mut Client) -> Result<&'static str> {
    let sql = "SELECT COLUMN_NAME FROM information_schema.COLUMNS \
               WHERE TABLE_SCHEMA = 'information_schema' AND TABLE_NAME = 'STATISTICS' \
               AND COLUMN_NAME IN ('IS_VISIBLE', 'IGNORED')";
    let known = client.query(sql).await?;
    Ok(match known.first().map(|row| row.text(0).to_ascii_uppercase()).as_deref() {
        Some("IS_VISIBLE") => " AND IS_VISIBLE = 'YES'",
        Some("IGNORED") => " AND IGNORED = 'NO'",
        // Older servers use every index.
        _ => "",
    })
}

/// The key that rows are read by: the primary key, else the first unique one without NULLs.
async fn keys(
    client: &mut Client,
    database: &str,
    tables: &mut BTreeMap<String, Table>,
) -> Result<()> {
    let used = in_use(client).await?;
    let sql = format!(
        "SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME, SUB_PART, NULLABLE, INDEX_TYPE, COLLATION \
         FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = {database} AND NON_UNIQUE = 0{used} \
         ORDER BY TABLE_NAME, INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX"
    );
    let mut indexes: BTreeMap<(String, bool, String), Vec<Part>> = BTreeMap::new();
    for row in client.query(&sql).await? {
        let (table, index) = (row.text(0), row.text(1));
        let second = index != "PRIMARY";
        indexes.entry((table, second, index)).or_default().push(Part {
            // MySQL indexes expressions too, which have no column.
            column: row.get(2).map(str::to_owned),
            plain: row.get(3).is_none()
                && row.text(4) != "YES"
                && row.text(5) == "BTREE"
                && row.text(6) == "A",
        });
    }
    for ((table, _, index), parts) in indexes {
        let Some(table) = tables.get_mut(&table).filter(|table| table.key.is_empty()) else {
            continue;
        };
        if let Some(key) = usable(table, &parts) {
            (table.key, table.key_index) = (key, index);
        }
    }
    Ok(())
}

/// One column of an index.
struct Part {
    column: Option<String>,
    /// Whole, never NULL, in rising order.
    plain: bool,
}

fn usable(table: &Table, parts: &[Part]) -> Option<Vec<KeyColumn>> {
    let of = |part: &Part| {
        let name = part.column.as_ref().filter(|_| part.plain)?;
        let column = table.columns.iter().find(|column| column.name == *name)?;
        Some(KeyColumn {
            name: name.clone(),
            kind: key_kind(column)?,
            full_type: column.full_type.clone(),
            collation: column.collation.clone(),
        })
    };
    parts.iter().map(of).collect()
}

/// Returns how values are compared; nothing for types whose order in an index is not that of
/// their text, or whose text is not exact.
fn key_kind(column: &Column) -> Option<KeyKind> {
    match column.data_type.as_str() {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "year" => {
            Some(KeyKind::Number)
        }
        "date" | "datetime" | "timestamp" | "time" | "uuid" | "inet6" | "inet4" => {
            Some(KeyKind::Quoted)
        }
        "char" | "varchar" => Some(KeyKind::Text(column.charset.clone()?)),
        "binary" | "varbinary" => Some(KeyKind::Text("binary".to_owned())),
        _ => None,
    }
}

/// Fails with the names of tables that the server itself cannot open.
pub(crate) fn check_sound(tables: &[Table]) -> Result<()> {
    let broken = |table: &&Table| table.kind == Kind::Plain && table.trouble.is_some();
    let Some(table) = tables.iter().find(broken) else { return Ok(()) };
    Err(Error::new(ErrorKind::Failed, "read table")
        .with("table", &table.name)
        .because(table.trouble.clone().unwrap_or_default())
        .hint("The server cannot open the table: repair it (CHECK TABLE), or drop it."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computed_columns_are_told_from_computed_defaults() {
        assert!(is_generated("VIRTUAL GENERATED") && is_generated("STORED GENERATED"));
        assert!(!is_generated("DEFAULT_GENERATED on update CURRENT_TIMESTAMP"));
        assert!(!is_generated("auto_increment"));
    }

    #[test]
    fn only_keys_whose_order_can_be_written_down_are_used() {
        let column = |name: &str, data_type: &str| Column {
            name: name.into(),
            data_type: data_type.into(),
            charset: data_type.ends_with("char").then(|| "latin1".into()),
            generated: false,
            collation: None,
            full_type: data_type.into(),
            converted: false,
        };
        let table = Table {
            name: "t".into(),
            kind: Kind::Plain,
            engine: "InnoDB".into(),
            rows: 0,
            row_bytes: 0,
            bytes: 0,
            versioned: false,
            trouble: None,
            columns: vec![
                column("id", "bigint"),
                column("code", "varchar"),
                column("kind", "enum"),
                column("ratio", "double"),
            ],
            key: Vec::new(),
            key_index: String::new(),
        };
        let part = |name: &str, plain| Part { column: Some(name.into()), plain };
        let key = usable(&table, &[part("code", true), part("id", true)]).unwrap();
        assert_eq!(key[0].kind, KeyKind::Text("latin1".into()));
        assert_eq!(key[1].kind, KeyKind::Number);
        for no in [part("kind", true), part("ratio", true), part("id", false), part("x", true)] {
            assert!(usable(&table, &[no]).is_none());
        }
        assert!(usable(&table, &[Part { column: None, plain: true }]).is_none());
    }
}
