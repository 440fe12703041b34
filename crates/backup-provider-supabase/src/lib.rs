//! The provider for databases that Supabase hosts.
//!
//! **What it is.** [`SupabaseProvider`] backs up and restores a project's database through its
//! own role: one consistent copy, by the rules ([`SUPABASE`]) of what is Supabase's in it and
//! what is the customer's. [`Address`] tells which way to the database is fit for that; [`SupabasePlatform`] looks at
//! Supabase's own backups and drives its point-in-time recovery.
//!
//! **What it is not.** It copies no files of Storage and no secrets of Vault, and says so with
//! numbers; it never writes to what is Supabase's own.
//!
//! ```
//! use backup_provider_supabase::{Address, Way};
//!
//! let url = "postgres://postgres.abcdefghijklmnopqrst:secret@aws-0-eu-central-1.pooler.supabase.com:6543/postgres?pgbouncer=true";
//! let address = Address::parse(url)?;
//! assert_eq!((address.way, address.connect.port()), (Way::SessionPooler, 5432));
//! assert!(!format!("{address:?}").contains("secret"));
//! # Ok::<(), backup_core::Error>(())
//! ```

mod address;
mod client;
mod config;
mod coverage;
mod platform;
mod provider;
mod rules;

pub use address::{Address, Way, is_supabase_host};
pub use client::API;
pub use config::SupabaseConfig;
pub use platform::{Restarts, ServerClock, SupabaseDirect, SupabasePlatform};
pub use provider::SupabaseProvider;
pub use rules::SUPABASE;
