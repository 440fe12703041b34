//! Decides which snapshots to keep, and says why.
