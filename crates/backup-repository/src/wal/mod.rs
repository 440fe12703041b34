//! Write-ahead log: files that PostgreSQL archives, each one sealed object.
//!
//! An object's name says whose log it is, which file, and a keyed hash of the content: the same
//! bytes have the same name, so storing them twice is success; other bytes for the same file
//! stand beside the first and are a visible conflict. A host that can only write can do all of
//! this. `docs/format.md` describes every byte.

mod archive;
mod head;
mod name;
mod object;

pub use archive::{WalPut, WalTally};
pub use head::WalHead;
pub use name::{WalEntry, WalLog, WalObject};
pub use object::PreparedWal;

pub(crate) use head::read_head;
