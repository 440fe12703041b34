//! Logical backups: one instant of one database, the schema from `pg_dump`, the rows by
//! parallel COPY.
//!
//! [`LogicalSource`] writes these parts, and [`LogicalTarget`] and [`export`] read them:
//!
//! | part | what it holds | attributes |
//! |---|---|---|
//! | `schema` | pg_dump's custom archive of everything but rows | `format`, `tool`, `entries` |
//! | `globals` | roles and tablespaces as SQL; absent where they cannot be read | `format`, `tool`, `role_passwords` |
//! | `table/<schema>.<name>` | COPY text in the database's encoding; one segment per range of heap blocks, its address the first block | `schema`, `table`, `columns`, `rows`, `range`, `longest_segment`, `encoding`; where they apply `extension`, `oid`, `after`, `load_through`, `unlogged` |
//! | `sequences` | one JSON object per line | `count` |
//! | `large-objects` | COPY text of oid, offset and bytes; one segment per range of oids, its address the first oid | `range`, `count` |
//! | `large-object-metadata` | one JSON object per line: owner, privileges, comment, labels | `count` |
//!
//! In a table's part name `%`, `.`, `/` and control characters of schema or name are written as
//! `%` and two hexadecimal digits.
//!
//! Facts in the evidence: `encoding`, `collate`, `ctype`, `locale_provider`, `locale`,
//! `icu_rules`, `extensions` (JSON object of versions), `roles`, `role_owners`,
//! `role_grantees`, `role_others`, `tablespaces` (JSON arrays), `database`, `database_bytes`,
//! `server_version_num`, `block_size`, `timezone`, `standby`, `identity_from`, `wal_lsn`,
//! `instant` (RFC 3339), `large_objects`, `large_objects_read` (`pages` or `pieces`),
//! `row_fingerprint` (how rows are hashed), `collation_version`, `lc_monetary`; of a database that
//! a host has furnished also `scope` (JSON: what was left out) and `optional_relations` (JSON array:
//! what a restore may lack).

mod archive;
mod backup;
mod catalog;
mod discover;
mod examine;
mod export;
mod fingerprint;
mod hosted;
mod names;
pub(crate) mod neighbours;
mod pooling;
mod ranges;
pub(crate) mod rate;
mod restore;
mod roles;
mod schema_text;
mod session;
mod statement;
mod subset;
mod survey;

#[doc(hidden)]
pub use archive::is_archive;
pub use backup::LogicalSource;
pub use discover::{discover, discover_hosted};
pub(crate) use examine::read_through;
pub use examine::{Examination, Examined, examine};
pub use export::{ExportOptions, ExportReport, export};
pub use hosted::Hosted;
pub use restore::LogicalTarget;
pub(crate) use restore::{drop_database, maintenance};
pub use survey::{survey, survey_hosted};
