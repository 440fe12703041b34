//! Forks: new services with the database as it was at a moment. The source is not touched.

use backup_core::port::{Done, Handle, Progress, TemporaryCopy};
use backup_core::{Error, ErrorKind, ErrorStatus, OwnedName, Result};
use backup_http::Fate;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::RailwayPlatform;
use super::wait::{Outcome, for_workflow};
use crate::client::{Service, Volume};
use crate::documents;

impl RailwayPlatform {
    async fn service_named(&self, name: &str) -> Result<Option<Service>> {
        let environment = &self.find().await?.environment;
        let services = self.client.services(environment).await?;
        Ok(services.into_iter().find(|one| one.service_name == name))
    }

    /// Lists forks of ours, and volumes of ours whose service is gone: they are billed like those that
    /// hang on one.
    pub(super) async fn list_copies(&self, prefix: &str) -> Result<Vec<TemporaryCopy>> {
        let environment = &self.find().await?.environment;
        let services = self.client.services(environment).await?;
        let volumes = self.client.volumes(environment).await?;
        let left = volumes
            .into_iter()
            .filter(|one| !one.is_going() && is_orphan(one, &services))
            .map(|one| (one.volume_id, one.volume.name))
            .collect::<Vec<_>>();
        let forks = services.into_iter().map(|one| (one.service_id, one.service_name));
        let ours = forks.chain(left).filter(|(_, name)| name.starts_with(prefix));
        Ok(ours
            .filter_map(|(id, name)| {
                let created_at = OwnedName::parse(&name)?.at();
                Some(TemporaryCopy { id, name, created_at, expires_at: None, costs: true })
            })
            .collect())
    }

    pub(super) async fn begin_copy(
        &self,
        handle: Handle,
        name: &str,
        at: Timestamp,
    ) -> Result<Handle> {
        if let Some(there) = self.service_named(name).await? {
            return Ok(handle.begun(Vec::new(), Some(there.service_id)));
        }
        let volume = self.find().await?.volume()?;
        let variables = json!({ "volume": volume, "at": at, "name": name });
        let field = "volumeInstancePITRRestore";
        match self.client.start("fork database", documents::FORK, field, variables).await {
            Ok(workflow) => Ok(handle.begun(for_workflow(workflow), None)),
            Err(failure) if failure.fate == Fate::Unknown => Ok(handle.begun(Vec::new(), None)),
            Err(failure) => Err(failure.error.hint(
                "A fork needs PITR on the service, and a moment after its first base backup. \
                 docs/providers/railway.md says how to switch it on.",
            )),
        }
    }

    pub(super) async fn poll_copy(&self, handle: &Handle, name: &str) -> Result<Progress> {
        match self.workflow(handle).await? {
            Outcome::Running(progress) => return Ok(progress),
            Outcome::Failed(reason) => return Ok(Progress::Failed { reason }),
            Outcome::Complete | Outcome::Unknown => {}
        }
        let Some(service) = self.service_named(name).await? else {
            return Ok(if self.may_appear(handle) {
                self.running(handle, "not listed yet")
            } else {
                Progress::Failed { reason: "no service of that name appeared".to_owned() }
            });
        };
        let status = service.latest_deployment.as_ref().map(|deployment| deployment.status.clone());
        Ok(match status.as_deref() {
            // It answers once it has replayed its log, which only it knows.
            Some("SUCCESS") => {
                let mut notes = vec![
                    "The fork is one server without replicas; it costs money until it is dropped."
                        .to_owned(),
                ];
                notes.extend(self.name_volumes(&service).await?);
                Progress::Done(Done { id: Some(service.service_id), notes })
            }
            Some("FAILED" | "CRASHED" | "REMOVED" | "SKIPPED") => Progress::Failed {
                reason: format!("the fork's deployment is {}", status.unwrap_or_default()),
            },
            Some(other) => self.running(handle, other),
            None => self.running(handle, "no deployment yet"),
        })
    }

    /// Gives the volumes of a fork its name: by that they are known again should the service go first.
    /// Says so where that may not be done.
    async fn name_volumes(&self, service: &Service) -> Result<Option<String>> {
        let volumes = self.client.volumes(&self.find().await?.environment).await?;
        let name = service.service_name.as_str();
        for volume in &volumes {
            if !volume.is_of(&service.service_id) || volume.volume.name == name {
                continue;
            }
            let variables = json!({ "volume": volume.volume_id, "name": name });
            let named: Result<Value, _> = self
                .client
                .ask("name volume of fork", documents::NAME_VOLUME, "volumeUpdate", variables)
                .await;
            match named.map_err(Error::from) {
                Ok(_) => {}
                Err(error) if error.status() == ErrorStatus::Permanent => {
                    return Ok(Some(format!(
                        "The fork's volume {} could not be named after it: {error}",
                        volume.volume_id
                    )));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Notes what a fork of ours, or what is left of one, consists of. Nothing is deleted before that
    /// is written down: a volume whose service is gone shows no more whose it was.
    pub(super) async fn begin_drop(&self, handle: Handle, id: &str) -> Result<Handle> {
        let environment = &self.find().await?.environment;
        let services = self.client.services(environment).await?;
        let volumes = self.client.volumes(environment).await?;
        if let Some(service) = services.iter().find(|one| one.service_id == id) {
            must_be_ours("service", &service.service_name)?;
        }
        if let Some(volume) = volumes.iter().find(|one| one.volume_id == id) {
            must_be_ours("volume", &volume.volume.name)?;
        }
        let its = volumes.iter().filter(|one| one.is_of(id) || one.volume_id == id);
        let waits = its.map(|one| format!("{VOLUME}{}", one.volume_id)).collect();
        Ok(handle.begun(waits, Some(id.to_owned())))
    }

    /// Deletes what was noted: the service, then the volumes that hung on it. What is gone is done; a
    /// volume that hangs on another service by now is that one's.
    pub(super) async fn poll_drop(&self, handle: &Handle, id: &str) -> Result<Progress> {
        let environment = &self.find().await?.environment;
        let services = self.client.services(environment).await?;
        let volumes = self.client.volumes(environment).await?;
        if let Some(service) = services.iter().find(|one| one.service_id == id) {
            must_be_ours("service", &service.service_name)?;
            let variables = json!({ "service": id, "environment": environment });
            let _: bool = self
                .client
                .ask("drop fork", documents::DELETE_SERVICE, "serviceDelete", variables)
                .await
                .map_err(Error::from)?;
        }
        let noted = |volume: &Volume| {
            let waits = handle.waits.iter();
            let mut ids = waits.filter_map(|wait| wait.strip_prefix(VOLUME));
            ids.any(|id| id == volume.volume_id) && is_orphan(volume, &services)
        };
        for volume in volumes.iter().filter(|one| !one.is_going() && (one.is_of(id) || noted(one)))
        {
            let variables = json!({ "volume": volume.volume_id });
            let _: bool = self
                .client
                .ask("drop volume of fork", documents::DELETE_VOLUME, "volumeDelete", variables)
                .await
                .map_err(Error::from)?;
        }
        Ok(Progress::Done(Done { id: Some(id.to_owned()), notes: Vec::new() }))
    }
}

/// What the ids of a fork's volumes are kept under.
const VOLUME: &str = "volume ";

/// Whether a volume hangs on nothing.
fn is_orphan(volume: &Volume, services: &[Service]) -> bool {
    !services.iter().any(|service| volume.is_of(&service.service_id))
}

fn must_be_ours(what: &'static str, name: &str) -> Result<()> {
    if OwnedName::parse(name).is_some() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Conflict, "drop fork")
        .with("provider", "railway")
        .with(what, name)
        .hint(format!("That {what} is none of ours: nothing was deleted.")))
}
