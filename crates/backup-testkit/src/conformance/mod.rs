//! Suites that hold adapters to their port's contract.

mod checks;
mod ledger;
mod store;

pub use ledger::ledger;
pub use store::{Failure, check_store, store};
