//! A daemon, composed: jobs from settings, work on the repository, what is remembered, who is told.
//!
//! [`Daemon::open`] opens everything ([`Daemon::prepare`] all but the repository, which may be away
//! for long), [`Daemon::run`] runs until it is asked to stop. Programs ask
//! a running one through its control socket, with [`Client`].

mod alerts;
mod control;
mod drill;
mod evidence;
mod group;
mod guard;
mod hand_over;
mod hook;
mod jobs;
mod ledger;
mod look;
mod native;
mod natives;
mod opening;
mod place;
mod pushes;
mod remembered;
mod scene;
mod seen;
mod serve;
mod start;
mod state;
mod steps;
mod stream;
#[cfg(feature = "otlp")]
mod traces;
mod unable;
mod work;

pub use control::{Answer, Client, Question, Status, WalOrder};
pub use drill::HeldDrill;
pub use evidence::{AUDIT, audit_facts, recorded_runs};
pub use guard::panicked;
pub use hand_over::hand_over;
pub use look::Measured;
pub use opening::{Opening, Unopened, Waiting};
pub use remembered::{hear_runs, remember_size, remembered, sizes};
pub use seen::FileSeen;
pub use serve::Life;
pub use start::{Daemon, Options};
pub use state::state_directory;
pub use stream::{Link, StreamStanding};
pub use unable::tell_unable;
pub use work::{Feed, Loaded};
