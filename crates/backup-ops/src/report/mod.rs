//! Evidence for auditors: what was backed up, proved and drilled in a period, from what is on
//! record, signed.
//!
//! Three steps: facts are gathered by the caller, [`assemble`] judges them (pure), [`sign`] seals
//! the text. A report maps what was found to controls of well-known frameworks and says which
//! are met by the facts; whether an organisation complies is not for a program to say.

mod acts;
mod assemble;
mod controls;
mod gather;
mod html;
mod model;
mod sealed;
mod sources;
#[cfg(test)]
mod tests;

pub use acts::AuditReader;
pub use assemble::{Facts, assemble};
pub use gather::{Request, gather};
pub use model::{
    ActLine, AuditFacts, BackupCounts, Control, DrillLine, FailureLine, KeyLine, Outcome, Period,
    Promised, ReadLine, Report, SignedReport, SnapshotLine, SourceReport, Target,
};
pub use sealed::{Checked, check, page, sign};
pub use sources::SourceFacts;

/// The document's schema.
pub const SCHEMA: &str = "backupctl.report.v1";

/// What a report's signature is for.
const DOMAIN: &str = "report";
