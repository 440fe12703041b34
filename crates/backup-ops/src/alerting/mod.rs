//! Alerts of a program that stays: nobody is told twice, nobody goes untold.
//!
//! [`plan`] is pure: what is remembered, what just happened and the time give the changes to
//! make, deliveries included. [`AlertDesk`] executes: it keeps the changes in an
//! [`AlertLedger`](backup_core::port::AlertLedger) before anything is sent, sends, and tries
//! again for as long as it takes, across restarts.
//!
//! The rules:
//!
//! - A problem has a name (`backup/shop`). While it is open, a channel is told once, again when
//!   it gets worse than ever told, and reminded after an interval.
//! - When it is over, those who were told of it are told so.
//! - What cannot be delivered waits and is tried again; meanwhile it is a problem of its own
//!   (`notify/CHANNEL`), told to the other channels.
//! - About one problem, a channel hears things in the order in which they happened. A problem
//!   that comes and goes while a channel is unreachable waits as one message, not as hundreds.
//! - Delivery is at least once: a crash between an answer and its record repeats the message.

mod book;
mod desk;
mod plan;
mod policy;
mod settle;

pub use desk::{AlertDesk, Undelivered};
pub use plan::plan;
pub use policy::{AlertPolicy, ChannelPolicy};
pub use settle::{due, settle, wake};
