//! The runbooks, executed as printed: every `sh` block of `docs/OPERATIONS.md` and
//! `docs/DISASTER_RECOVERY.md` belongs to a scenario here, so that no command there can rot.

mod blocks;
mod disaster;
mod every_day;
mod world;
