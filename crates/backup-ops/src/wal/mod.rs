//! Write-ahead log: archive it, give it back, say how far it reaches.

mod fetch;
mod history;
mod inventory;
mod plan;
mod push;
mod recover;
mod retain;
mod retention;
mod status;
mod verify;

pub use backup_repository::{WalEntry, WalLog, WalObject, WalPut};
pub use fetch::{choose_log, fetch};
pub use history::Branch;
pub use inventory::{Inventory, Run, TimelineWal, read_heads, take_inventory};
pub(crate) use plan::fell_short;
pub use plan::{
    RecoveryBase, RecoveryGoal, RecoveryPlan, descends_from, newest_descendant, newest_written,
    plan_recovery,
};
pub use push::{WalPush, admit, push};
pub use recover::{TimelineChoice, find_recovery, segments_on_the_way};
pub use retain::{plan_retention, retain};
pub use retention::{
    WalBase, WalRetention, WalRetentionFacts, WalRetentionPlan, plan_wal_retention,
};
pub use status::{WalStatus, Window, assess, bases_of, status};
pub use verify::{WalVerdict, demand_wal, verify_wal};

use recover::first_needed;
