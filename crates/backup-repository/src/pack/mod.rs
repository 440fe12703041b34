//! Packs: objects of about 32 MiB that hold many sealed chunks and a sealed footer.

mod builder;
mod entry;
mod opened;

pub(crate) use builder::PackBuilder;
pub(crate) use entry::{Entry, PackEntries, read_entries, write_entries};
pub(crate) use opened::{OpenedPack, footer_of};

/// Ends every pack; with the two counts before it, bound into the footer as associated data.
pub(crate) const TRAILER_MAGIC: [u8; 8] = *b"BKPACK01";

/// Length of the trailer: sealed footer length, number of chunks, magic.
pub(crate) const TRAILER_LEN: usize = 16;
