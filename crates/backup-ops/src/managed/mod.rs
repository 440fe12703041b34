//! Databases at a vendor's: copies that are dumped and dropped, provider snapshots and their
//! retention, operations that outlive this process, leftovers.
//!
//! Everything here stands on [`backup_core::port::Platform`] alone: one vendor is like another.

mod conductor;
mod drill;
#[cfg(test)]
mod frozen_tests;
mod lease;
mod leftovers;
mod provider;
mod renewal;
mod retention;
mod snapshots;
mod standing;
#[cfg(test)]
mod tests;

pub use conductor::{Conductor, Patience};
pub use drill::CopyDrill;
pub use leftovers::{LEFT_BEHIND, LEFTOVER_AGE, leftovers};
pub use provider::{BackupToRead, ManagedProvider, Strategy};
pub use retention::{NativeKept, NativePlan, plan_native};
pub use snapshots::{
    NativeReceipt, is_ours, newest_native, retain_snapshots, take_or_adopt, take_snapshot,
};
pub use standing::{NativeStanding, count_in, look};
