//! The use cases: backup, restore, verify, prune, status.
