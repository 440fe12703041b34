//! Errors as JSON.

use backup_core::{Error, ErrorKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a failed command prints on standard error with `--json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ErrorDocument {
    /// `backupctl.error.v1`.
    #[schemars(extend("const" = "backupctl.error.v1"))]
    pub schema: String,
    /// The sort of failure, one word.
    pub kind: String,
    /// The exit code that goes with it.
    pub exit_code: u8,
    /// What failed, where and why, on one line.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Whether the very same command may be run again now, and may then succeed.
    pub retry_safe: bool,
}

impl ErrorDocument {
    /// Returns the document of an error.
    #[must_use]
    pub fn new(error: &Error) -> Self {
        Self {
            schema: "backupctl.error.v1".into(),
            kind: error.kind().as_str().into(),
            exit_code: error.kind().exit_code(),
            message: error.to_string(),
            hint: error.remedy().map(str::to_owned),
            retry_safe: retry_safe(error.kind()),
        }
    }
}

/// Returns whether the same command may be run again without looking first, and may then
/// succeed. Nothing is ever made worse by running again; for the others it is only in vain,
/// or somebody should look before.
#[must_use]
pub fn retry_safe(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Failed
            | ErrorKind::SourceUnavailable
            | ErrorKind::StoreUnavailable
            | ErrorKind::Interrupted
            | ErrorKind::Terminated
    )
}
