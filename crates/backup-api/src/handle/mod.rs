//! The answers to programs.

pub(crate) mod audit;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod me;
pub(crate) mod runs;
pub(crate) mod snapshots;
pub(crate) mod sources;
pub(crate) mod status;
pub(crate) mod storage;
pub(crate) mod tokens;
