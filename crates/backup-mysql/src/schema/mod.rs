//! The schema: what it is made of, how it is read, and when two are alike.

mod compare;
mod create_table;
mod definer;
mod item;
mod qualifier;
mod read;

pub(crate) use compare::{differences, fingerprint};
pub(crate) use create_table::{CreateTable, ForeignKey, Staged};
pub(crate) use definer::{definer, renamed, without_definer};
pub(crate) use item::{Item, Kind, parse, write};
pub(crate) use qualifier::{moved, others};
pub(crate) use read::read;
