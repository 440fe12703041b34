//! Directory trees and buckets as sources of snapshots, and as places to restore into.
//!
//! **What it is.** [`TreeProvider`] puts trees behind the port [`backup_core::port::Provider`]. A
//! snapshot of a tree has two parts: `list`, its entries with all that is known of them, in order,
//! and `data`, the contents of its files: small ones side by side in bundles, large ones in pieces
//! of a MiB. What did not change since the snapshot before, by inode, length and both times, is
//! taken over unread.
//!
//! [`BucketProvider`] does the same for the objects of a bucket behind the port
//! [`backup_core::port::Bucket`]: their keys stand for paths, their versions for times.
//!
//! **What it is not.** It knows no repository, and looks at nothing outside the root it was given:
//! no link is followed, neither in reading nor in writing.

#[cfg(unix)]
mod attributes;
#[cfg(unix)]
pub mod backup;
#[cfg(unix)]
mod beneath;
#[cfg(unix)]
pub mod bucket;
pub mod contents;
#[cfg(unix)]
mod crew;
pub mod difference;
pub mod entry;
mod holdings;
pub mod list;
#[cfg(unix)]
mod pace;
#[cfg(unix)]
mod provider;
#[cfg(unix)]
pub mod restore;
#[cfg(unix)]
mod segments;
pub mod select;

#[cfg(unix)]
pub use backup::{Tolerance, TreeOptions};
#[cfg(unix)]
pub use bucket::{BucketOptions, BucketPlace, BucketProvider};
pub use entry::Entry;
pub use holdings::StoredFiles;
#[cfg(unix)]
pub use provider::{TreePlace, TreeProvider};
pub use select::{Pattern, Selection, Wanted};
