//! From results to text. Nothing here decides anything.

pub(crate) mod screen;

mod log;
mod progress;
mod table;
mod watch;
mod words;

pub(crate) use log::install_log;
pub(crate) use table::{Align, Table};
pub(crate) use watch::watch;
pub(crate) use words::{age, count, finding, percent, rate, seconds, server, time};
