//! One session: statements, rows as they come, and files handed in.

mod client;
mod error;
mod quote;
mod row;

pub use client::Client;
pub use error::{DbError, error_code};
pub(crate) use error::{code, db_error};
pub use quote::{quote_name, quote_text};
pub use row::Row;
