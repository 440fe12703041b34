//! Decides which snapshots to keep, and says why.
//!
//! **What it is.** A pure planner: [`plan`] takes the facts about one source's snapshots, a
//! [`Policy`] and the [`Conditions`], and returns a [`Plan`] that lists every snapshot with the
//! reasons to keep it or the reason to forget it. `docs/retention.md` explains the rules to
//! users.
//!
//! **What it promises**, whatever the policy, the clocks and the snapshots say: the newest
//! verified snapshot is kept, verified snapshots are never given up for unverified ones, nothing
//! is forgotten after a failed or suspect run, and no clock that jumps makes anything go.
//!
//! **What it is not.** It forgets nothing itself, reads no clock and no repository, and knows
//! nothing of packs: reclaiming space is `prune`.
//!
//! ```
//! use backup_core::{SnapshotId, VerifyLevel};
//! use backup_retention::{Conditions, Policy, SnapshotFacts, plan};
//! use jiff::{Timestamp, ToSpan};
//!
//! let start: Timestamp = "2026-03-01T02:00:00Z".parse()?;
//! let facts: Vec<SnapshotFacts> = (0..10u8)
//!     .map(|day| {
//!         let stored_at = start + (i64::from(day) * 24).hours();
//!         SnapshotFacts {
//!             id: SnapshotId([day; 16]),
//!             source: "shop".parse().unwrap(),
//!             sequence: day.into(),
//!             stored_at,
//!             finished_at: stored_at,
//!             level: VerifyLevel::Read,
//!             suspect: false,
//!             pinned: false,
//!         }
//!     })
//!     .collect();
//! let policy: Policy = "7 daily".parse()?;
//! let plan = plan(&facts, &policy, &Conditions::at("2026-03-10T03:00:00Z".parse()?));
//! assert_eq!((plan.keep.len(), plan.forget.len()), (7, 3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bucket;
mod crowd;
mod facts;
mod period;
mod plan;
mod policy;
mod reason;
mod select;
mod sets;
mod table;
mod trust;

pub use facts::{Conditions, LastRun, SnapshotFacts};
pub use period::Period;
pub use plan::{Forgotten, Kept, Plan, plan, plan_sources};
pub use policy::{Policy, Rule};
pub use reason::{ForgetReason, KeepReason, Refusal};
pub use sets::{SetFacts, hold, keep_together};
pub use trust::doubted;
