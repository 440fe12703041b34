//! The frontend/backend protocol, version 3.0, on the parsers of `postgres-protocol`.

pub mod certificate;
pub mod frame;

mod auth;
mod cancel;
mod client;
mod copy_in;
mod copy_out;
mod error;
mod fault;
mod inbox;
mod link;
mod push;
mod query;
mod quote;
mod row;
mod session;
mod socket;
mod startup;
mod tls;
mod transport;
mod trust;

pub use cancel::CancelToken;
pub use client::Client;
pub use copy_in::CopyIn;
pub use copy_out::CopyOut;
pub use error::{DbError, sqlstate};
pub use quote::{quote_ident, quote_literal};
pub use row::Row;
pub use session::TransactionStatus;

pub(crate) use link::Incoming;
pub(crate) use row::column_names;
