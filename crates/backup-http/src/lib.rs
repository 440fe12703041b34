//! One way to call a vendor's API.
//!
//! **What it is.** An [`Api`] is a vendor's address with a token: JSON in and out, over TLS,
//! with time limits, pauses and repetitions that follow one rule: *what may have happened is
//! never done twice*. A read is repeated; a change only where the vendor did not execute it (429,
//! 423, a connection that was refused), or where [`create_or_adopt`] can look for what a lost
//! response left behind. Errors name vendor, operation, status and request id, and say what to do.
//!
//! **What it is not.** It knows no vendor and no schema, follows no redirect, logs no token, and
//! shows none in `Debug` or errors.
//!
//! ```no_run
//! use backup_http::{Api, Auth, Rules};
//! # async fn example(clock: std::sync::Arc<dyn backup_core::port::Clock>) -> backup_core::Result<()> {
//! let token = Auth::Bearer(backup_core::Secret::new("…"));
//! let api = Api::new(Rules::new("example"), "https://api.example.com/v1", token, clock)?;
//! let found: serde_json::Value =
//!     api.get("list branches", &["projects", "p-1", "branches"]).query("limit", 100).send().await?;
//! # drop(found);
//! # Ok(())
//! # }
//! ```

mod adopt;
mod api;
mod call;
mod error;
mod message;
mod rate;
mod rules;
mod scrub;
pub mod tls;

pub use adopt::create_or_adopt;
pub use api::{Api, Auth};
pub use call::Call;
pub use error::{ApiError, Fate};
pub use reqwest::Method;
pub use rules::{Patience, Rules};
pub use scrub::{scrub, without};
