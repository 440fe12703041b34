//! The words in which a daemon answers: plain values, sent as JSON as they are.
//!
//! Times are RFC 3339 in UTC, sizes bytes, durations seconds. Everything was measured; what is
//! not known is absent, never zero. None of it may hold a secret.

mod fleet;
mod group;
mod live;
mod plan;
mod run;
mod source;
mod storage;

pub use fleet::{Alert, AlertSeverity, Delivery, Fleet, Program, RunTotal};
pub use group::Group;
pub use live::{LiveEvent, LiveKind};
pub use plan::{Plan, PrunePreview, RestorePreview};
pub use run::{LogLevel, LogLine, Phase, Run, RunCause, RunDetail, RunState};
pub use source::{
    Day, DayState, Drill, Gap, History as SourceHistory, LastRun, Native, Next, SizePoint, Source,
    State, SuccessRate, Wal, Window,
};
pub use storage::{Forecast, Growth, Repository};
