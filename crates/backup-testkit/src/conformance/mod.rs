//! Suites that hold adapters to their port's contract.

mod checks;
mod store;

pub use store::{Failure, check_store, store};
