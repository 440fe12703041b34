//! The JSON documents: what `--json` prints and what an API serves.
//!
//! Stable: fields may be added, never renamed, removed or given another meaning. Every
//! document names its schema in `schema`. Times are RFC 3339 in UTC, sizes are bytes.

mod backup;
mod difference;
mod doctor;
mod drill;
mod error;
mod forget;
mod health;
mod keys;
mod migrate;
mod native;
mod receipt;
mod restore;
pub mod schema;
mod set;
mod snapshot;
mod status;
mod tree;
mod verify;
mod wal;

pub use backup::{BackupDocument, BackupOutcome, RequestsDocument};
pub use difference::{
    DiffDocument, DifferenceDocument, FindDocument, FoundDocument, SightDocument,
};
pub use doctor::{CheckDocument, DoctorDocument};
pub use drill::{
    DrillDocument, DrillHistoryDocument, DrillMemberDocument, QuestionDocument, ReplayDocument,
    TrendDocument,
};
pub use error::{ErrorDocument, retry_safe};
pub use forget::{DecisionDocument, ForgetDocument};
pub use health::{ConditionDocument, RepositoryHealthDocument, SizeDocument, SuccessDocument};
pub use keys::{KeyDocument, KeysDocument};
pub use migrate::{ChecklistDocument, FitDocument, MigrateDocument};
pub use native::{
    NativeDocument, NativeScheduleDocument, NativeSnapshotDocument, NativeStandingDocument,
};
pub use receipt::ReceiptDocument;
pub use restore::{
    PhaseDocument, RecoveredDocument, RestoreDocument, RestorePlanDocument, StepDocument,
};
pub use set::{
    GroupStatusDocument, SetDocument, SetMemberDocument, SetPlaceDocument, ShowSetDocument,
};
pub use snapshot::{
    FindingDocument, IdentityDocument, PartDocument, PartsDocument, ShowDocument, SnapshotDocument,
    SnapshotsDocument, TableDocument, VerifiedDocument,
};
pub use status::{DrillStandingDocument, SourceStatusDocument, StatusDocument};
pub use tree::{EntryChangeDocument, EntryDocument, EntryFacts, EntryFoundDocument};
pub use verify::{ProblemDocument, VerdictDocument, VerifyDocument, WalVerdictDocument};
pub use wal::{
    InstantDocument, RunDocument, TimelineDocument, WalLogDocument, WalStatusDocument,
    WindowDocument,
};
