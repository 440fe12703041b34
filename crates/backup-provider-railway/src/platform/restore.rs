//! Putting a backup back in the volume's place, in two steps: Railway *stages* the exchange, and
//! applying it applies everything that is staged in the environment. So nothing else may be, and
//! what is about to be applied is told one look before.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

use backup_core::port::{Done, Handle, Progress};
use backup_core::{Error, ErrorKind, Result};
use backup_http::Fate;
use serde_json::json;

use super::RailwayPlatform;
use super::place::Found;
use super::staged::StagedChanges;
use super::wait::{DEPLOYMENT, Outcome, for_workflow, kept};
use crate::documents;

/// How long after telling what is staged it is applied.
const READ_IT: Duration = Duration::from_secs(10);

impl RailwayPlatform {
    /// Says what a restore of a backup in place would do, a sentence each; fails where it would be
    /// refused. Changes nothing.
    pub(super) async fn preview_restore(&self, backup: &str) -> Result<Vec<String>> {
        let found = self.find().await?;
        self.check_restore(found).await?;
        let there = self.list_snapshots().await?;
        let Some(wanted) = there.iter().find(|one| one.id == backup) else {
            return Err(Error::new(ErrorKind::NotFound, "restore volume in place")
                .with("provider", "railway")
                .with("backup", backup)
                .hint("List the provider's snapshots for those there are."));
        };
        let newer = there.iter().filter(|one| one.created_at > wanted.created_at).count();
        let service = &found.service.service_name;
        let mut told = vec![
            format!("service {service} gets the volume as it was at {}", wanted.created_at),
            format!("service {service} is deployed again: the database is away meanwhile"),
            "everything written since is lost, unless a copy of ours has it".to_owned(),
        ];
        if newer > 0 {
            told.push(format!("Railway deletes the {newer} backups of the volume that are newer"));
        }
        Ok(told)
    }

    /// Fails where a restore in place would do more than that.
    async fn check_restore(&self, found: &Found) -> Result<()> {
        let refused = |why: String, hint: &str| {
            Err(Error::new(ErrorKind::Conflict, "restore volume in place")
                .with("provider", "railway")
                .with("service", &found.service.service_name)
                .hint(hint)
                .because(why))
        };
        if found.service.num_replicas.is_some_and(|count| count > 1) {
            let why = "the service has replicas, which would diverge".to_owned();
            return refused(why, "Fork to a new service instead.");
        }
        let staged = self.staged_changes().await?;
        if staged.is_empty() {
            return Ok(());
        }
        let what = staged.describe(|id| self.name_of(found, id));
        refused(
            format!("changes wait in the environment and would be applied too: {what}"),
            "Apply or discard them in the dashboard first. Nothing was changed.",
        )
    }

    pub(super) async fn begin_restore(&self, handle: Handle, backup: &str) -> Result<Handle> {
        self.preview_restore(backup).await?;
        let found = self.find().await?;
        let volume = found.volume()?;
        // Asked again: what was found may be hours old.
        let before = self.deployment(found).await?.map(|(id, _)| format!("{DEPLOYMENT}{id}"));
        let variables = json!({ "volume": volume, "backup": backup });
        let field = "volumeInstanceBackupRestore";
        let started = self
            .client
            .start("stage restore of volume", documents::STAGE_RESTORE, field, variables)
            .await;
        let workflow = match started {
            Ok(workflow) => workflow,
            // What it staged, if it did, is seen by the next look.
            Err(failure) if failure.fate == Fate::Unknown => None,
            Err(failure) => return Err(failure.error),
        };
        let waits = for_workflow(workflow).into_iter().chain(before).collect();
        Ok(handle.begun(waits, None))
    }

    /// Returns id and status of the service's newest deployment.
    async fn deployment(&self, found: &Found) -> Result<Option<(String, String)>> {
        let services = self.client.services(&found.environment).await?;
        let service = services.into_iter().find(|one| one.service_id == found.service.service_id);
        let newest = service.and_then(|service| service.latest_deployment);
        Ok(newest.map(|deployment| (deployment.id, deployment.status)))
    }

    pub(super) async fn poll_restore(&self, handle: &Handle) -> Result<Progress> {
        match self.workflow(handle).await? {
            Outcome::Running(progress) => return Ok(progress),
            Outcome::Failed(reason) => return Ok(Progress::Failed { reason }),
            Outcome::Complete | Outcome::Unknown => {}
        }
        let found = self.find().await?;
        let staged = self.staged_changes().await?;
        if !staged.is_empty() {
            return self.apply(found, staged).await;
        }
        let before = kept(handle, DEPLOYMENT).unwrap_or_default();
        Ok(match self.deployment(found).await? {
            Some((id, status)) if id != before => match status.as_str() {
                "SUCCESS" => Progress::Done(Done {
                    id: Some(found.service.service_id.clone()),
                    notes: vec![
                        "Backups of the volume that were newer are gone; take a new one."
                            .to_owned(),
                    ],
                }),
                "FAILED" | "CRASHED" | "REMOVED" | "SKIPPED" => Progress::Failed {
                    reason: format!("the deployment with the old volume is {status}"),
                },
                other => self.running(handle, other),
            },
            _ if self.may_appear(handle) => self.running(handle, "nothing staged yet"),
            _ => Progress::Failed {
                reason: "Railway staged nothing and deployed nothing: the volume is as it was"
                    .to_owned(),
            },
        })
    }

    /// Applies what is staged, if it is the exchange of the volume alone, and somebody was told.
    async fn apply(&self, found: &Found, staged: StagedChanges) -> Result<Progress> {
        let volumes = self.client.volumes(&found.environment).await?;
        let service = found.service.service_id.as_str();
        // Of a volume that is new nobody knows yet whose it is; of another service's everybody.
        let foreign: BTreeSet<&str> = volumes
            .iter()
            .filter(|one| one.service_id.as_deref().is_some_and(|id| id != service))
            .flat_map(|one| [one.id.as_str(), one.volume_id.as_str()])
            .collect();
        let own = staged.volumes.iter().filter(|id| !foreign.contains(id.as_str())).cloned();
        let beside = staged.beside(service, &own.collect());
        let names = |id: &str| self.name_of(found, id);
        if !beside.is_empty() {
            return Ok(Progress::Failed {
                reason: format!(
                    "changes of somebody else were staged meanwhile ({}) and would be applied \
                     too; nothing was applied. Look at the staged changes in the dashboard: apply \
                     what is wanted, or discard it and restore again",
                    beside.describe(names)
                ),
            });
        }
        let what = staged.describe(names);
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).replace(staged.clone());
        if told.as_ref() != Some(&staged) {
            return Ok(Progress::Running {
                state: format!("staged, about to be applied: {what}"),
                look_again: READ_IT,
            });
        }
        let variables = json!({
            "environment": found.environment,
            "message": "restore of the database's volume from a backup",
        });
        let field = "environmentPatchCommitStaged";
        let applied: Result<String, _> =
            self.client.ask("apply staged restore", documents::COMMIT, field, variables).await;
        match applied {
            Err(failure) if failure.fate == Fate::NotDone => Err(failure.error),
            // Whether a lost answer was a yes, the next look tells.
            _ => Ok(Progress::Running {
                state: format!("applied: {what}"),
                look_again: Duration::from_secs(15),
            }),
        }
    }
}
