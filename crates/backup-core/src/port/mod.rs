//! The ports: traits at which the inside meets the outside.
//!
//! Each states its contract; the conformance suites in `backup-testkit` hold adapters to it.
//! All are object-safe. A failure returns [`crate::Error`], whose status alone says whether a
//! retry can help.

mod bucket;
mod catalog;
mod clock;
mod data_plane;
mod drill;
mod handles;
mod ledger;
mod notify;
mod observe;
mod parts;
mod platform;
mod provider;
mod recovery;
mod store;
mod survey;

pub use bucket::{Bucket, ListedObject, ObjectAbout, ObjectUpload, ReadObject};
pub use catalog::{Catalog, RunFilter};
pub use clock::Clock;
pub use data_plane::DataPlane;
pub use drill::{
    ColumnSink, DrillOptions, DrillTarget, Holdings, IndexCheck, Restored, RestoredCluster,
    RestoredTree, Scratch, SmokeTest,
};
pub use handles::{HandleBook, Wanted};
pub use ledger::{
    AlertBook, AlertLedger, DeliveryState, LedgerChange, OpenProblem, QueuedAlert, Told,
};
pub use notify::{Alert, Notifier, Phase};
pub use observe::{NoObserver, Observer};
pub use parts::{BaseSnapshot, PartSink, PartSource, SegmentInfo, SegmentSink};
pub use platform::{
    Ability, CopyFrom, Done, Endpoint, EndpointKind, Handle, Intent, NativeSchedule,
    NativeSnapshot, NativeState, Placement, Platform, PlatformFacts, Progress, RateFacts,
    TemporaryCopy, Window,
};
pub use provider::{
    Capability, Discovery, FileOptions, PhysicalAccess, PhysicalOptions, Provider, RestoreOptions,
    RestorePlan, RestoreReport, RestoreStep, Source, SourceFacts, SourceOptions, Target,
};
pub use recovery::{
    RecoveryAction, RecoverySettings, RecoverySignal, RecoveryTarget, RecoveryTimeline, Replay,
    WalFiles,
};
pub use store::{Object, RequestCounts, Store, StoreCapabilities};
pub use survey::{DatabaseContent, Survey};
