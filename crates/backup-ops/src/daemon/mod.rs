//! Running jobs for ever: the engine of a daemon, on ports only.
//!
//! A [`Supervisor`] asks the [`Scheduler`](backup_schedule::Scheduler) what to start, hands each
//! job to a [`Worker`], remembers in the [`Catalog`](backup_core::port::Catalog) what began and how
//! it ended, and listens to requests through its [`Handle`]. What is remembered is written before
//! a run begins: after a kill, [`recover`] finds every run that never ended, says so, and has it
//! run again.

mod board;
mod handle;
mod ids;
mod memory;
mod rebuild;
mod recover;
mod supervisor;
mod worker;

pub use board::Board;
pub use handle::{Commands, Handle, handle};
pub use ids::RunIds;
pub use memory::Memory;
pub use rebuild::{rebuild, states_of};
pub use recover::{Recovered, recover};
pub use supervisor::{Setup, Supervisor};
pub use worker::{Order, Report, Verdict, Watcher, Worker};
