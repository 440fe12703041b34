//! Reads write-ahead log: whose it is, and what happens in it.
//!
//! [`inspect`] checks a file against its name and returns what a recovery plan needs to know of
//! it; [`Scanner`] walks the records of consecutive segments. Both work on bytes alone, believe
//! nothing in them, and read the pages of PostgreSQL 13 and newer on little-endian machines.

mod control;
mod inspect;
mod page;
mod record;
mod scan;

pub use control::{needed_settings, system_identifier, system_of_directory};
pub use inspect::{inspect, scanner};
pub use record::{Ended, WalEvent};
pub use scan::{Found, Scanner};

/// Returns the major version whose pages have this format; `None` for one this crate does not
/// know.
#[must_use]
pub fn major_of(magic: u16) -> Option<u32> {
    page::major_of(magic)
}
