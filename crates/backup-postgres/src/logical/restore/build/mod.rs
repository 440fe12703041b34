//! Indexes, constraints and statistics of the tables that were loaded: one queue for all
//! sessions, most work first, so that no session waits for the last big index alone.
//!
//! The statements are pg_dump's own. Only what needs nothing but tables and one another is taken
//! out of the archive; pg_restore creates the rest afterwards.

mod plan;
mod run;

pub(super) use plan::plan;
pub(super) use run::run;
