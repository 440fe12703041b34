//! Finding the service and its volume.

use backup_core::{Error, ErrorKind, OwnedName, Result};

use super::RailwayPlatform;
use crate::address::Address;
use crate::client::{Service, Volume};

/// The service that is meant.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) project: String,
    pub(super) environment: String,
    pub(super) service: Service,
    pub(super) volume: Option<Volume>,
}

impl Found {
    /// Returns the id by which a volume's backups go: the volume's in this environment, not the
    /// volume's own.
    pub(super) fn volume(&self) -> Result<&str> {
        self.volume.as_ref().map(|volume| volume.id.as_str()).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "find volume")
                .with("provider", "railway")
                .with("service", &self.service.service_name)
                .hint("The service has no volume: Railway has nothing to back up.")
        })
    }
}

impl RailwayPlatform {
    /// Finds the service once; changes nothing.
    pub(super) async fn find(&self) -> Result<&Found> {
        self.found.get_or_try_init(|| self.search()).await
    }

    async fn search(&self) -> Result<Found> {
        let (project, environment) = match (&self.place.project, &self.place.environment) {
            (Some(project), Some(environment)) => (project.clone(), environment.clone()),
            _ if self.by_project_token => self.client.token_scope().await?,
            _ => {
                return Err(Error::new(ErrorKind::ConfigInvalid, "find project")
                    .with("provider", "railway")
                    .because("an account's token tells no project")
                    .hint(
                        "Set RAILWAY_PROJECT_ID and RAILWAY_ENVIRONMENT_ID, or use a project token \
                         (RAILWAY_TOKEN), which tells them by itself.",
                    ));
            }
        };
        let services = self.client.services(&environment).await?;
        let service = choose(&services, self.place.service.as_deref())?.clone();
        let volumes = self.client.volumes(&environment).await?;
        let volume =
            volumes.into_iter().find(|one| one.service_id.as_deref() == Some(&*service.service_id));
        Ok(Found { project, environment, service, volume })
    }

    /// Returns the way to a service's database by its variables.
    pub(super) async fn address_of(&self, service: &str) -> Result<Address> {
        let found = self.find().await?;
        let variables = self.client.variables(&found.project, &found.environment, service).await?;
        let url = |name: &str| {
            variables.get(name).map(backup_core::Secret::expose).filter(|url| !url.is_empty())
        };
        Address::choose(url("DATABASE_URL"), url("DATABASE_PUBLIC_URL"), self.place.inside)
    }
}

fn choose<'a>(services: &'a [Service], wanted: Option<&str>) -> Result<&'a Service> {
    let candidates: Vec<&Service> = services
        .iter()
        .filter(|one| match wanted {
            Some(wanted) => one.service_id == wanted || one.service_name == wanted,
            // A fork of ours is a copy of the one that is meant.
            None => runs_postgres(one) && OwnedName::parse(&one.service_name).is_none(),
        })
        .collect();
    if let [only] = candidates.as_slice() {
        return Ok(only);
    }
    let names: Vec<&str> = services.iter().map(|one| one.service_name.as_str()).collect();
    let error = match (wanted, candidates.is_empty()) {
        (Some(wanted), true) => {
            Error::new(ErrorKind::NotFound, "find service").with("service", wanted.escape_debug())
        }
        (None, true) => Error::new(ErrorKind::NotFound, "find service")
            .because("no service runs an image of PostgreSQL"),
        _ => Error::new(ErrorKind::ConfigInvalid, "find service")
            .because("several services could be meant"),
    };
    Err(error.with("provider", "railway").hint(format!(
        "Set railway.service (RAILWAY_BACKUP_SERVICE) to one of: {}.",
        names.join(", ")
    )))
}

fn runs_postgres(service: &Service) -> bool {
    let image = service.source.as_ref().and_then(|source| source.image.as_deref());
    image.is_some_and(|image| {
        let image = image.to_ascii_lowercase();
        ["postgres", "timescale", "postgis", "pgvector"].iter().any(|name| image.contains(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(id: &str, name: &str, image: Option<&str>) -> Service {
        serde_json::from_value(serde_json::json!({
            "serviceId": id, "serviceName": name, "startCommand": null, "numReplicas": 1,
            "source": { "image": image }, "latestDeployment": null,
        }))
        .unwrap()
    }

    #[test]
    fn the_one_that_runs_postgres_is_meant_unless_somebody_names_one() {
        let image = "ghcr.io/railwayapp-templates/postgres-ssl:17";
        let all = [
            service("a", "web", None),
            service("b", "Postgres", Some(image)),
            service("c", "x", None),
        ];
        assert_eq!(choose(&all, None).unwrap().service_id, "b");
        assert_eq!(choose(&all, Some("web")).unwrap().service_id, "a");
        assert_eq!(choose(&all, Some("c")).unwrap().service_name, "x");
        let error = choose(&all, Some("db")).unwrap_err();
        assert!(error.remedy().unwrap().contains("web, Postgres, x"));
        let fork = "backupctl-shop-drill-20260302t120000-00000001";
        assert!(choose(&[all[1].clone(), service("f", fork, Some(image))], None).is_ok());
        let two = [all[1].clone(), service("d", "Copy", Some(image))];
        assert_eq!(choose(&two, None).unwrap_err().kind(), ErrorKind::ConfigInvalid);
    }
}
