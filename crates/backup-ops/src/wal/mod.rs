//! Write-ahead log: archive it, give it back, say how far it reaches.

mod fetch;
mod push;

pub use backup_repository::{WalEntry, WalLog, WalObject, WalPut};
pub use fetch::{choose_log, fetch};
pub use push::{WalPush, push};
