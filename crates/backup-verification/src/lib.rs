//! Proves what a manifest promises.
