//! How a repository is used in this run; nothing here is part of the format.

use std::num::NonZeroUsize;

use crate::base::DeltaPolicy;

/// Settings of one run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether changed chunks are stored as differences.
    pub delta: DeltaMode,
    /// Which base to take, and when a difference is worth keeping.
    pub delta_policy: DeltaPolicy,
    /// Chunks compressed at the same time. Each holds up to 24 MiB.
    pub workers: NonZeroUsize,
    /// zstd level of whole chunks.
    pub level: i32,
    /// Bytes at which a pack is closed.
    pub pack_bytes: usize,
    /// Packs on their way to the store at the same time; each is in memory. A near store gets one.
    pub uploads: NonZeroUsize,
    /// Label of the writer key made at `init`.
    pub writer_label: String,
}

impl Default for Settings {
    fn default() -> Self {
        let one = NonZeroUsize::MIN;
        Self {
            delta: DeltaMode::Auto,
            delta_policy: DeltaPolicy::default(),
            workers: std::thread::available_parallelism()
                .map_or(one, |cores| cores.min(one.saturating_add(3))),
            level: 2,
            pack_bytes: 32 << 20,
            uploads: one.saturating_add(1),
            writer_label: "owner".to_owned(),
        }
    }
}

/// Whether changed chunks are stored as differences to what stood at the same address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeltaMode {
    /// While bases can be read fast enough: on near stores, and on others as long as the
    /// measured rate of base reads stays above 25 MB/s.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never: each changed chunk is stored whole.
    Off,
}
