//! One entry of a table of contents.

/// Where an entry belongs in a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// With its parent: comments, privileges, labels.
    None,
    /// Before rows.
    PreData,
    /// Rows.
    Data,
    /// After rows: indexes, constraints, triggers, refreshes.
    PostData,
}

impl Section {
    pub(super) fn from_code(code: i64) -> Option<Self> {
        match code {
            1 => Some(Self::None),
            2 => Some(Self::PreData),
            3 => Some(Self::Data),
            4 => Some(Self::PostData),
            _ => None,
        }
    }

    pub(super) fn code(self) -> i64 {
        match self {
            Self::None => 1,
            Self::PreData => 2,
            Self::Data => 3,
            Self::PostData => 4,
        }
    }
}

/// One object (or statement) of the archive. Texts are in the archive's encoding; absent ones
/// are `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The archive's own number for it.
    pub(crate) id: i64,
    /// Whether row data belongs to it.
    pub(crate) has_data: bool,
    /// Catalog and oid, as text.
    pub(crate) table_oid: Option<Vec<u8>>,
    pub(crate) oid: Option<Vec<u8>>,
    /// Its name; for objects on tables `table name`.
    pub(crate) tag: Option<Vec<u8>>,
    /// What it is: `TABLE`, `FK CONSTRAINT`, `ACL` …
    pub(crate) kind: Option<Vec<u8>>,
    pub(crate) section: Section,
    /// The statements that create and drop it.
    pub(crate) definition: Option<Vec<u8>>,
    pub(crate) drop: Option<Vec<u8>>,
    pub(crate) copy: Option<Vec<u8>>,
    pub(crate) schema: Option<Vec<u8>>,
    pub(crate) tablespace: Option<Vec<u8>>,
    /// Table access method (archives of PostgreSQL 12 and later).
    pub(crate) access_method: Option<Vec<u8>>,
    /// `pg_class.relkind` (archives of PostgreSQL 17 and later).
    pub(crate) relation_kind: i64,
    pub(crate) owner: Option<Vec<u8>>,
    pub(crate) with_oids: Option<Vec<u8>>,
    /// Ids of entries that must exist first.
    pub(crate) depends_on: Vec<i64>,
}

impl Entry {
    /// Returns what it is.
    pub(crate) fn kind(&self) -> &str {
        text(self.kind.as_deref())
    }

    /// Returns its name, where that is UTF-8.
    pub(crate) fn tag(&self) -> &str {
        text(self.tag.as_deref())
    }

    /// Returns its schema, where it has one.
    pub(crate) fn schema(&self) -> &str {
        text(self.schema.as_deref())
    }

    /// Returns its owner, where it has one.
    pub(crate) fn owner(&self) -> Option<&str> {
        Some(text(self.owner.as_deref())).filter(|owner| !owner.is_empty())
    }

    /// Returns the tablespace it names, if any.
    pub(crate) fn tablespace(&self) -> Option<&str> {
        Some(text(self.tablespace.as_deref())).filter(|name| !name.is_empty())
    }

    /// Returns the statement that creates it.
    pub(crate) fn definition(&self) -> &str {
        text(self.definition.as_deref())
    }

    /// Returns whether it belongs to the database itself (only restored with it).
    pub(crate) fn is_of_database(&self) -> bool {
        matches!(self.kind(), "DATABASE" | "DATABASE PROPERTIES")
            || (self.section == Section::None && self.tag().starts_with("DATABASE "))
    }

    /// Returns whether it grants or revokes.
    pub(crate) fn is_privilege(&self) -> bool {
        matches!(self.kind(), "ACL" | "DEFAULT ACL")
    }

    /// Returns whether it sets up the session and is not an object.
    pub(crate) fn is_setting(&self) -> bool {
        matches!(self.kind(), "ENCODING" | "STDSTRINGS" | "SEARCHPATH")
    }
}

#[cfg(test)]
impl Entry {
    /// An entry before the rows, owned by alice.
    pub(crate) fn for_test(
        id: i64,
        kind: &str,
        schema: &str,
        tag: &str,
        definition: &str,
        depends_on: &[i64],
    ) -> Self {
        Self {
            id,
            has_data: false,
            table_oid: None,
            oid: None,
            tag: Some(tag.into()),
            kind: Some(kind.into()),
            section: Section::PreData,
            definition: Some(definition.into()),
            drop: None,
            copy: None,
            schema: Some(schema.into()),
            tablespace: None,
            access_method: None,
            relation_kind: 0,
            owner: Some(b"alice".to_vec()),
            with_oids: None,
            depends_on: depends_on.to_vec(),
        }
    }
}

fn text(bytes: Option<&[u8]>) -> &str {
    bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
}
