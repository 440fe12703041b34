//! Logical backups: one instant of one database, its statements and its rows.
//!
//! [`LogicalSource`] writes these parts, and [`LogicalTarget`] and [`export`] read them:
//!
//! | part | what it holds | attributes |
//! |---|---|---|
//! | `schema` | one JSON object per object of the schema: kind, name, statement, settings | `format`, `count` |
//! | `accounts` | the server's accounts with what they may do, a JSON object each; only where that is asked for | `format`, `count` |
//! | `table/<name>` | rows as `LOAD DATA` reads them, each value as it is stored; one segment per range of keys, or one stream where there is no key | `table`, `columns`, `types`, `rows`, `longest_segment`, `key` |
//! | `borders/<name>` | where the segments of a table begin: address and key in hexadecimal digits, a line each; absent where there is one segment | |
//!
//! Facts in the evidence: `database`, `database_bytes`, `encoding`, `collate`, `flavor`,
//! `identity_from`, `row_fingerprint`, `freeze` (how the instant was had),
//! `instant`, `binlog_file`, `binlog_position`, `gtid`, `sql_mode`,
//! `explicit_defaults_for_timestamp`, `lower_case_table_names`, `max_allowed_packet`, `log_bin`,
//! `binlog_format`, `accounts` (how many are kept); behind Vitess also `consistency` (`frozen` or
//! `fuzzy`), `frozen_by`, `vitess` and `shards`.

mod backup;
mod borders;
mod discover;
mod examine;
mod export;
pub(crate) mod fingerprint;
mod names;
mod rate;
mod restore;
mod survey;
mod text;

pub use backup::{Freeze, LogicalSource};
pub use discover::{discover, discover_accounts};
pub use examine::{Examination, examine};
pub use export::{ExportOptions, ExportReport, export};
pub use restore::LogicalTarget;
pub(crate) use restore::drop_database;
pub use survey::survey;
