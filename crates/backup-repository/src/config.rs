//! The repository's own description: the `config` object.

use backup_core::RepositoryId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cut::StreamCut;

pub(crate) const CONFIG_DOMAIN: &str = "repository config";

/// Written once at `init`, root-signed, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) repository: RepositoryId,
    pub(crate) created_at: Timestamp,
    /// The Ed25519 root key, hexadecimal; a key record that opens must name the same.
    pub(crate) root: String,
    pub(crate) stream_cut: StreamCut,
}
