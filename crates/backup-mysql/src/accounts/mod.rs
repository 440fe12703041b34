//! Accounts of the server: who they are, what they may do, and making them again elsewhere.
//!
//! A [`Record`] holds what the server prints of one account. Password hashes are in its statement
//! and nowhere else: no error, finding or `Debug` repeats it.

mod account;
mod grant;
mod plan;
mod read;
mod record;
mod rename;
mod text;

pub(crate) use account::Account;
pub(crate) use plan::{Here, Place, Plan, Reach, plan};
pub(crate) use read::{check_readable, of_server, read};
pub(crate) use record::{Record, parse, write};
pub(crate) use rename::RoleMap;
