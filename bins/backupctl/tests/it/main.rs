//! The program as its users run it: processes, exit codes, real PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod alerts;
mod buckets;
mod damage;
mod drill;
mod exits;
mod export;
mod extract;
mod files;
mod files_memory;
mod groups;
mod happy;
mod health;
mod keys;
mod listener;
mod migrate;
mod mysql;
mod mysql_kills;
mod neon;
mod object_store;
mod offline;
mod physical;
mod physical_drill;
mod planetscale;
mod planetscale_mysql;
mod pooler;
mod program;
mod quiet;
mod railway;
mod recover;
mod recovery;
mod report;
mod retention;
mod runbooks;
mod schema;
mod server_kills;
mod signals;
mod supabase;
mod wal;
mod wal_retention;
mod wal_stream;
mod wal_verify;
