//! Parts for tests: things that behave, things that break, and suites that tell them apart.
//!
//! **What it is.** [`MemoryStore`] and [`FakeClock`] stand in for a store and for time;
//! [`FaultStore`] wraps any store and breaks it on demand; [`conformance`] holds every adapter
//! to its port's contract; [`postgres`], [`s3`], [`azure`], [`sftp`] and [`smtp`] start real servers; [`vendor`]
//! serves fakes of vendors' control planes, held to the vendors' schemas; [`vitess`] puts Vitess's rules in
//! front of a real MariaDB.
//!
//! **What it is not.** It is never linked into a program. Nothing here imitates a database or
//! a storage service: those are started for real, behind fake control planes too.
//!
//! ```
//! use backup_core::port::Store;
//! use backup_testkit::{Fault, FaultStore, MemoryStore, Operation};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> backup_core::Result<()> {
//! let store = FaultStore::new(MemoryStore::new());
//! store.add(Fault::fail().on(Operation::Create).under("packs/").nth(2));
//! store.create(&"packs/a".parse()?, "1".into()).await?;
//! assert!(store.create(&"packs/b".parse()?, "2".into()).await.is_err());
//! assert_eq!(store.calls(), 2);
//! # Ok(())
//! # }
//! ```

pub mod azure;
mod book;
mod clock;
pub mod conformance;
mod fault;
mod ledger;
pub mod mariadb;
mod memory;
mod memory_parts;
pub mod parts;
pub mod pgbouncer;
mod platform;
pub mod postgres;
mod process;
mod recorder;
pub mod s3;
pub mod sftp;
pub mod smtp;
pub mod supabase;
mod sync;
pub mod tools;
pub mod vendor;
pub mod vitess;

pub use book::MemoryBook;
pub use clock::FakeClock;
pub use fault::{Call, Fault, FaultStore, Operation};
pub use ledger::MemoryLedger;
pub use memory::MemoryStore;
pub use memory_parts::MemoryParts;
pub use platform::MemoryPlatform;
pub use recorder::Recorder;
