//! Groups: a database and its files as one recovery set.
//!
//! The members are taken one after the other, databases first. A row's file was there before the
//! row, so files that are read after the database's instant hold every file that it refers to,
//! but for those that were deleted in between: those a drill finds.

mod drill;
mod keys;
mod pick;
mod restore;
mod set;
mod status;

pub use drill::{KeysAsked, MemberDrill, SET_KIND, SetDrill, SetRehearsal, drill_set, whole};
pub(crate) use keys::KeyCheck;
pub use keys::{KeyAnswer, KeyQuestion};
pub use pick::{demand_complete, pick};
pub use restore::{MemberTarget, plan_set, restore_set};
pub use set::{
    RecoverySet, SetMember, SetState, kept_together, mates, newest, newest_alike, newest_of, sets,
};
pub use status::{GroupPromise, GroupStatus, assess_groups, count_members, doubt_groups};
