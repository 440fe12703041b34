//! WAL verbs: what PostgreSQL's `archive_command` and `restore_command` call.

mod ahead;
mod fetch;
mod pass;
mod push;
mod slot;
mod stream;

pub use ahead::{Ahead, AheadHelper, Asked, Asker, ask_ahead, remove_ahead, take_ahead};
pub(crate) use fetch::read as read_wal;
pub use fetch::{WalFetchRequest, wal_fetch};
pub use pass::WriterPass;
pub use push::{WalPushRequest, system_near, wal_push};
pub use slot::slot_name;
pub use stream::{Exposure, StreamNews, WalStreamRequest, wal_stream};
