//! What a running daemon shows and takes over HTTP: health, status, metrics, commands, a
//! dashboard.
//!
//! **What it is.** [`port`] says what a daemon must answer, [`view`] in which words; [`Server`]
//! serves it: an API described by [`openapi`], [`metrics`], pages for people, and a record of
//! who asked for what ([`audit`]).
//!
//! **What it is not.** It schedules nothing, remembers nothing and sees no adapter: every fact
//! shown comes through the port, measured by whoever implements it.
//!
//! ```
//! use backup_api::audit::{Act, Chain, Outcome};
//!
//! let mut chain = Chain::empty();
//! let at = "2026-01-01T00:00:00Z".parse().unwrap();
//! let entry = chain.append(Act {
//!     at,
//!     actor: "token nightly".into(),
//!     remote: "127.0.0.1".into(),
//!     action: "trigger".into(),
//!     object: "shop/backup".into(),
//!     outcome: Outcome::Allowed,
//! });
//! assert_eq!(entry.sequence, 1);
//! assert!(backup_api::audit::verify(None, &[entry]).is_ok());
//! ```

mod guard;
mod handle;
mod http;
pub mod metrics;
pub mod openapi;
mod page;
pub mod port;
mod record;
mod server;
mod settings;
pub mod view;

pub use backup_ops::audit;
pub use guard::token::make as make_token;
pub use record::Recorder;
pub use server::{Ports, Server};
pub use settings::{Limits, Settings, TlsFiles};
