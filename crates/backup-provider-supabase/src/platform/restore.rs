//! Putting a project back to a moment, in its place.
//!
//! The API gives no handle: its answer is empty, and the project's status is all there is to look
//! at. At first it may still be the old one. So a restore counts as done only when the project
//! is well *and* its server was started since (or, where the server could not be asked before,
//! the project has been seen away).

use std::time::Duration;

use backup_core::port::{CopyFrom, Done, Handle, Intent, Platform, Progress};
use backup_core::{Error, ErrorKind, Result};
use backup_http::Fate;
use jiff::Timestamp;

use super::{SupabasePlatform, window};

/// How often it is worth looking: the limit is 120 requests in a minute, for everything.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
/// And soon after it was asked for.
const LOOK_SOON: Duration = Duration::from_secs(3);
/// How often the project is looked at after an answer was lost.
const LOOKS: u32 = 4;
/// What the start of the server is kept under.
const STARTED: &str = "server started ";

const WELL: &str = "ACTIVE_HEALTHY";
const RESTORING: &str = "RESTORING";

impl SupabasePlatform {
    pub(super) async fn begin_restore(&self, intent: &Intent, from: &CopyFrom) -> Result<Handle> {
        let CopyFrom::At(at) = from else {
            return Err(self.unsupported("restore a provider snapshot in place").hint(
                "Supabase's API puts a project back to a moment only, with the PITR add-on. \
                 Daily backups are restored in the dashboard.",
            ));
        };
        let now = self.client.now();
        let handle = Handle::intended(self.name(), intent.clone(), now);
        let project = self.client.project().await?;
        if project.status == RESTORING {
            // An earlier attempt, whose answer was lost: nothing is put back twice.
            self.set_saw_restore(true);
            return Ok(handle.begun(Vec::new(), None));
        }
        self.check(*at, now).await?;
        if project.status != WELL {
            return Err(Error::new(ErrorKind::Conflict, "restore project in place")
                .with("project", self.client.project_ref())
                .with("status", &project.status)
                .hint("Wait until the project is active and healthy, then try again."));
        }
        let started = self.server.started().await.ok();
        let waits: Vec<String> =
            started.into_iter().map(|started| format!("{STARTED}{started}")).collect();
        self.set_saw_restore(false);
        match self.client.restore_at(*at).await {
            Ok(()) => Ok(handle.begun(waits, None)),
            Err(error) if error.fate() == Fate::Unknown => {
                if self.has_left().await? {
                    return Ok(handle.begun(waits, None));
                }
                Err(Error::from(error).hint(
                    "Whether the restore began is not known. Look at the project's page: while \
                     it says \"restoring\" the same command waits for its end; if it does not, \
                     run it again.",
                ))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Fails before anything is asked for where the moment cannot be restored.
    async fn check(&self, at: Timestamp, now: Timestamp) -> Result<()> {
        let found = self.client.backups().await?;
        let refused =
            |error: Error| error.with("project", self.client.project_ref()).with("at", at);
        if !found.pitr_enabled {
            return Err(refused(
                Error::new(ErrorKind::Unsupported, "restore project in place")
                    .because("the project has no PITR add-on")
                    .hint("Restore a snapshot of ours into a new project instead."),
            ));
        }
        let Some(window) = window(&found) else {
            return Err(refused(
                Error::new(ErrorKind::Conflict, "restore project in place")
                    .because("Supabase names no moment that can be restored yet")
                    .hint("The first physical backup after switching PITR on must finish first."),
            ));
        };
        if window.holds(at, now) {
            return Ok(());
        }
        let latest = window.latest.unwrap_or(now);
        Err(refused(
            Error::new(ErrorKind::NotFound, "restore project in place")
                .with("earliest", window.earliest)
                .with("latest", latest)
                .hint(
                    "Name a moment between these. While nothing is written to the database the \
                     latest stays behind the clock.",
                ),
        ))
    }

    async fn has_left(&self) -> Result<bool> {
        for look in 0..LOOKS {
            if look > 0 {
                self.client.clock().sleep(LOOK_AGAIN).await;
            }
            if self.client.project().await.is_ok_and(|project| project.status != WELL) {
                self.set_saw_restore(true);
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) async fn poll_restore(&self, handle: &Handle) -> Result<Progress> {
        let status = self.client.project().await?.status;
        let age = self.client.now().duration_since(handle.begun_at).as_secs();
        let running = |state: &str| Progress::Running {
            state: state.to_ascii_lowercase(),
            look_again: if age < 60 { LOOK_SOON } else { LOOK_AGAIN },
        };
        match status.as_str() {
            "RESTORE_FAILED" | "INIT_FAILED" | "REMOVED" => {
                return Ok(Progress::Failed {
                    reason: format!("the project's status is {status}"),
                });
            }
            WELL => {}
            other => {
                self.set_saw_restore(true);
                return Ok(running(other));
            }
        }
        let before = handle.waits.iter().find_map(|wait| wait.strip_prefix(STARTED));
        let happened = match before {
            Some(before) => self.server.started().await.is_ok_and(|now| now != before),
            None => self.saw_restore(),
        };
        if !happened {
            return Ok(running("not seen to have begun"));
        }
        let database = self.client.database_health().await?;
        if database != WELL {
            return Ok(running(&format!("database {database}")));
        }
        Ok(Progress::Done(Done {
            id: Some(self.client.project_ref().to_owned()),
            notes: vec![
                "Files of Storage were not put back with the database; objects uploaded or \
                 deleted since then no longer match it."
                    .to_owned(),
            ],
        }))
    }
}
