//! Drill: restore a snapshot somewhere disposable, question it, throw it away, keep the receipt.

mod answer;
mod assertion;
mod history;
mod point;
mod record;
mod rehearse;
mod standing;

pub(crate) use answer::of_comparison;
pub use answer::{Outcome, Verdict, demand};
pub use assertion::Assertion;
pub use history::{history, newest, trends};
pub use point::DrillPoint;
pub use record::drill;
pub(crate) use record::drill_member;
pub use rehearse::{DrillRequest, Rehearsal, rehearse};
pub(crate) use standing::broken;
pub use standing::{DrillPromise, DrillStanding, forecast};

pub use crate::document::DrillDocument as DrillReceipt;
