//! The list of a tree: its entries in order, as the part `list` holds them.
//!
//! A segment is read alone: nothing in it refers to another. `docs/format.md` describes the bytes.

mod decode;
mod encode;
mod read;
mod write;

pub use decode::decode;
pub use encode::Encoder;
pub use read::ListReader;
pub(crate) use write::ListWriter;

/// The part that holds the list.
pub const LIST: &str = "list";
/// The part that holds the contents of files.
pub const DATA: &str = "data";

/// The version of the bytes.
const VERSION: u8 = 1;

// The first byte of a row: its kind in the low three bits, and flags.
const FILE: u8 = 1;
const DIRECTORY: u8 = 2;
const LINK: u8 = 3;
const PIPE: u8 = 4;
const CHARACTER: u8 = 5;
const BLOCK: u8 = 6;
const KIND: u8 = 0b111;
/// Extended attributes follow.
const ATTRIBUTES: u8 = 1 << 3;
/// Its two times are the same.
const ONE_TIME: u8 = 1 << 4;
const UNSETTLED: u8 = 1 << 5;
/// Mode and owners are those of the row before.
const LIKE_BEFORE: u8 = 1 << 6;

// The flags of a file.
/// Its contents follow those of the last file that had any, in the same bundle.
const FOLLOWS: u8 = 1;
const BUNDLED: u8 = 1 << 1;
const HOLES: u8 = 1 << 2;
const LINKED: u8 = 1 << 3;
const TORN: u8 = 1 << 4;
