//! Neon: branches, snapshots, point-in-time restore.
//!
//! **What it is.** [`NeonPlatform`] puts Neon's control plane behind
//! [`backup_core::port::Platform`]: frozen copies are branches with an expiry and a compute of
//! their own, provider snapshots expire, restores go to a new branch unless a person wants them in
//! place. [`direct_url`] turns a pooled address into the direct one.
//!
//! **What it is not.** It speaks no SQL and moves no data: `backup-postgres` does, at the endpoint
//! that is handed out here. It was tested against Neon's published schema, not against Neon.
//!
//! ```
//! use backup_provider_neon::direct_url;
//!
//! let url = "postgres://app:pw@ep-cool-sun-123-pooler.eu-central-1.aws.neon.tech/shop";
//! let (direct, rewritten) = direct_url(url);
//! assert!(rewritten);
//! assert_eq!(direct, "postgres://app:pw@ep-cool-sun-123.eu-central-1.aws.neon.tech/shop");
//! ```

mod answers;
mod begin;
mod client;
mod config;
mod direct;
mod platform;
mod poll;

pub use answers::ScheduleItem;
pub use config::{NeonConfig, direct_url};
pub use direct::NeonDirect;
pub use platform::NeonPlatform;
