//! Fakes of vendors' control planes: HTTP on loopback, held to the vendor's own schema, with
//! virtual time, troubles on demand, and real PostgreSQL servers as branches.
//!
//! A fake is a [`Vendor`]: a state machine that answers requests. [`FakeVendor`] serves it, brings
//! about [`Trouble`], and, with a [`Contract`], compares every request of ours and every answer of
//! the fake with the vendor's OpenAPI document. An [`Estate`] is its data plane, a
//! [`MysqlEstate`] that of a vendor of MySQL.
//!
//! The documents belong to the vendors and are not part of this repository: they are read from
//! `BACKUP_PROVIDER_APIS`, or from `shared/provider-apis` beside it; a test that lacks them says so
//! and is skipped.

mod contract;
mod estate;
mod exchange;
mod mysql_estate;
pub mod neon;
pub mod planetscale;
pub mod railway;
mod schema;
mod server;
pub mod supabase;
mod trouble;

pub use contract::{Contract, provider_apis};
pub use estate::Estate;
pub use exchange::{Ask, Reply};
pub use mysql_estate::{MysqlBranch, MysqlEstate};
pub use server::{FakeVendor, Vendor};
pub use trouble::{Trouble, Upset};
