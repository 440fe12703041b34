//! When things run.
//!
//! **What it is.** [`Cron`] expressions evaluated in a time zone, daylight saving included;
//! [`jitter`] that spreads jobs without chance; [`Blackouts`], windows in which nothing starts;
//! and the [`Scheduler`], which says what to start now, what waits and why, and when to look
//! again. All of it is pure: the same facts give the same answer.
//!
//! **What it is not.** It reads no clock, starts nothing and remembers nothing beyond what it is
//! told: whoever drives it stores [`JobState`]s and waits.
//!
//! ```
//! use backup_schedule::Cron;
//! use jiff::tz::TimeZone;
//!
//! let nightly: Cron = "30 2 * * *".parse()?;
//! let berlin = TimeZone::get("Europe/Berlin").unwrap();
//! // On 29 March 2026 the clock jumps from 2:00 to 3:00: the run is at 3:30, not never.
//! let next = nightly.next("2026-03-28T12:00:00Z".parse().unwrap(), &berlin).unwrap();
//! assert_eq!(next.to_string(), "2026-03-29T01:30:00Z");
//! # Ok::<(), backup_core::Error>(())
//! ```

mod blackout;
mod cron;
mod jitter;
mod job;
mod retry;
mod scheduler;

pub use blackout::{Blackout, Blackouts};
pub use cron::Cron;
pub use jitter::jitter;
pub use job::{Job, JobState, Timetable};
pub use retry::Retry;
pub use scheduler::{Ending, Plan, Request, Scheduler, Start, Waiting, Why};
