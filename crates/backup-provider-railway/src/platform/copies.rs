//! Forks: new services with the database as it was at a moment. The source is not touched.

use backup_core::port::{Done, Handle, Progress, TemporaryCopy};
use backup_core::{Error, ErrorKind, OwnedName, Result};
use backup_http::Fate;
use jiff::Timestamp;
use serde_json::json;

use super::RailwayPlatform;
use super::wait::{Outcome, for_workflow};
use crate::client::Service;
use crate::documents;

impl RailwayPlatform {
    async fn service_named(&self, name: &str) -> Result<Option<Service>> {
        let environment = &self.find().await?.environment;
        let services = self.client.services(environment).await?;
        Ok(services.into_iter().find(|one| one.service_name == name))
    }

    pub(super) async fn list_copies(&self, prefix: &str) -> Result<Vec<TemporaryCopy>> {
        let environment = &self.find().await?.environment;
        let services = self.client.services(environment).await?;
        let ours = services.into_iter().filter(|one| one.service_name.starts_with(prefix));
        Ok(ours
            .filter_map(|one| {
                let name = OwnedName::parse(&one.service_name)?;
                Some(TemporaryCopy {
                    id: one.service_id,
                    name: one.service_name,
                    created_at: name.at(),
                    expires_at: None,
                    costs: true,
                })
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
        let status = service.latest_deployment.map(|deployment| deployment.status);
        Ok(match status.as_deref() {
            // It answers once it has replayed its log, which only it knows.
            Some("SUCCESS") => Progress::Done(Done {
                id: Some(service.service_id),
                notes: vec![
                    "The fork is one server without replicas; it costs money until it is dropped."
                        .to_owned(),
                ],
            }),
            Some("FAILED" | "CRASHED" | "REMOVED" | "SKIPPED") => Progress::Failed {
                reason: format!("the fork's deployment is {}", status.unwrap_or_default()),
            },
            Some(other) => self.running(handle, other),
            None => self.running(handle, "no deployment yet"),
        })
    }

    /// Drops a fork of ours: the service, and the volumes that hung on it. What is gone is done.
    pub(super) async fn drop_copy(&self, handle: Handle, id: &str) -> Result<Handle> {
        let found = self.find().await?;
        let services = self.client.services(&found.environment).await?;
        let service = services.iter().find(|one| one.service_id == id);
        if let Some(service) = service
            && OwnedName::parse(&service.service_name).is_none()
        {
            return Err(Error::new(ErrorKind::Conflict, "drop fork")
                .with("provider", "railway")
                .with("service", &service.service_name)
                .hint("That service is none of ours: nothing was deleted."));
        }
        let volumes = self.client.volumes(&found.environment).await?;
        if service.is_some() {
            let variables = json!({ "service": id, "environment": found.environment });
            let _: bool = self
                .client
                .ask("drop fork", documents::DELETE_SERVICE, "serviceDelete", variables)
                .await
                .map_err(Error::from)?;
        }
        for volume in volumes.iter().filter(|one| one.service_id.as_deref() == Some(id)) {
            let variables = json!({ "volume": volume.volume_id });
            let _: bool = self
                .client
                .ask("drop volume of fork", documents::DELETE_VOLUME, "volumeDelete", variables)
                .await
                .map_err(Error::from)?;
        }
        Ok(handle.begun(Vec::new(), Some(id.to_owned())))
    }
}
