//! Suites that hold adapters to their port's contract.

mod book;
mod checks;
mod ledger;
mod platform;
mod store;

pub use book::handle_book;
pub use ledger::ledger;
pub use platform::{PlatformCase, platform};
pub use store::{Failure, check_store, store};
