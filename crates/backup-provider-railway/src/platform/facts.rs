//! What is known of a service, for `doctor` and `status`.

use std::time::Duration;

use backup_core::port::PlatformFacts;
use backup_core::{Finding, Result};
use jiff::Timestamp;

use super::RailwayPlatform;
use super::place::Found;
use crate::archive;
use crate::client::{Backup, Schedule, Service};

/// What Railway's own images begin with.
const IMAGE: &str = "ghcr.io/railwayapp-templates/postgres-ssl:";
/// The shortest interval that Railway's schedules have, with two hours to spare.
const DAILY: Duration = Duration::from_secs(26 * 3600);

impl RailwayPlatform {
    pub(super) async fn look(&self) -> Result<PlatformFacts> {
        let found = self.find().await?;
        let mut findings: Vec<Finding> =
            self.address.iter().flat_map(|address| address.findings.clone()).collect();
        let plan = match self.client.plan(&found.project).await {
            Ok(plan) => Some(plan),
            Err(error) => {
                findings.push(Finding::warning(format!("the plan could not be read: {error}")));
                None
            }
        };
        findings.extend(of_volume(found));
        findings.extend(of_image(&found.service));
        if let Some(volume) = &found.volume {
            match self.client.backups(&volume.id).await {
                Ok(backups) => {
                    let schedules = self.client.schedules(&volume.id).await.unwrap_or_default();
                    let now = self.client.clock().now();
                    findings.push(of_backups(&backups, &schedules, now));
                }
                Err(error) => {
                    let told = format!("backups could not be listed: {error}");
                    findings.push(Finding::warning(told));
                }
            }
        }
        match self.staged_changes().await {
            Ok(staged) if staged.is_empty() => {}
            Ok(staged) => findings.push(Finding::warning(format!(
                "changes wait in the environment ({}): a restore in place would apply them too, \
                 and is refused until they are applied or discarded",
                staged.describe(|id| self.name_of(found, id))
            ))),
            Err(error) => findings
                .push(Finding::warning(format!("staged changes could not be read: {error}"))),
        }
        if let Some(archive) = &self.archive {
            match archive::look(&**archive).await {
                Ok(found) => findings.extend(found),
                Err(error) => findings
                    .push(Finding::warning(format!("the WAL archive could not be read: {error}"))),
            }
        }
        let project = plan.as_ref().map_or(found.project.as_str(), |plan| plan.name.as_str());
        Ok(PlatformFacts {
            location: format!("service {} of project {project}", found.service.service_name),
            system: found.service.service_id.clone(),
            plan: plan.as_ref().map(|plan| plan.subscription_type.clone()),
            server_major: image(&found.service).and_then(major),
            window: None,
            findings,
        })
    }

    pub(super) fn name_of(&self, found: &Found, id: &str) -> String {
        if id == found.service.service_id {
            found.service.service_name.clone()
        } else {
            id.to_owned()
        }
    }
}

fn image(service: &Service) -> Option<&str> {
    service.source.as_ref()?.image.as_deref()
}

fn major(image: &str) -> Option<u32> {
    let (_, tag) = image.rsplit_once(':')?;
    tag.split(['.', '-']).next()?.parse().ok()
}

fn of_volume(found: &Found) -> Option<Finding> {
    let Some(volume) = &found.volume else {
        return Some(Finding::warning(
            "the service has no volume: its data is gone with the next deployment, and Railway \
             has nothing to back up",
        ));
    };
    if let Some(state) = volume.state.as_deref().filter(|state| *state != "READY") {
        return Some(Finding::warning(format!("the volume's state is {state}")));
    }
    let share = volume.current_size_mb / volume.size_mb.max(1.0);
    Some(if share > 0.5 {
        Finding::warning(format!(
            "the volume is {:.0} % full: Railway limits manual backups to half of a volume's size",
            share * 100.0
        ))
    } else {
        Finding::note(format!(
            "the volume holds {:.0} of {:.0} MB",
            volume.current_size_mb, volume.size_mb
        ))
    })
}

/// What Railway's point-in-time recovery asks for.
fn of_image(service: &Service) -> Vec<Finding> {
    let mut findings = Vec::new();
    let image = image(service).unwrap_or_default();
    let tag = image.strip_prefix(IMAGE);
    if tag.is_none_or(|tag| tag.parse::<u32>().is_err()) {
        findings.push(Finding::note(format!(
            "Railway's point-in-time recovery needs its own image with a major version as tag \
             ({IMAGE}17); this service runs {}",
            if image.is_empty() { "no image" } else { image }
        )));
    }
    if service.start_command.as_deref().is_some_and(|command| !command.trim().is_empty()) {
        findings.push(Finding::note(
            "the service has a start command of its own: Railway's point-in-time recovery does \
             not work with one",
        ));
    }
    if service.num_replicas.is_some_and(|count| count > 1) {
        findings.push(Finding::warning(
            "the service has replicas: a restore in place would let them diverge; fork instead",
        ));
    }
    findings
}

fn of_backups(backups: &[Backup], schedules: &[Schedule], now: Timestamp) -> Finding {
    let kinds: Vec<String> = schedules.iter().map(|one| one.kind.to_ascii_lowercase()).collect();
    let schedule = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
    let Some(newest) = backups.iter().map(|one| one.created_at).max() else {
        return Finding::warning(format!(
            "Railway keeps no backup of the volume (schedule: {schedule})"
        ));
    };
    let told = format!(
        "Railway keeps {} backups of the volume, the newest of {newest} (schedule: {schedule}); \
         they are deleted with the volume, and by a restore in place of an older one",
        backups.len()
    );
    let age = Duration::try_from(now.duration_since(newest)).unwrap_or_default();
    if age > DAILY && kinds.iter().any(|kind| kind == "daily") {
        return Finding::warning(format!("{told}; it should be less than 26 hours old"));
    }
    Finding::note(told)
}

#[cfg(test)]
mod tests {
    use backup_core::FindingKind;
    use serde_json::json;

    use super::*;

    fn service(image: &str, command: Option<&str>, replicas: u32) -> Service {
        serde_json::from_value(json!({
            "serviceId": "s", "serviceName": "Postgres", "startCommand": command,
            "numReplicas": replicas, "source": {"image": image}, "latestDeployment": null,
        }))
        .unwrap()
    }

    #[test]
    fn what_stands_in_the_way_of_recovery_is_named() {
        assert!(of_image(&service(&format!("{IMAGE}17"), None, 1)).is_empty());
        for other in ["postgres:17", &format!("{IMAGE}17.2"), &format!("{IMAGE}latest")] {
            assert_eq!(of_image(&service(other, None, 1)).len(), 1, "{other}");
        }
        assert_eq!(of_image(&service("postgres:17", Some("run"), 3)).len(), 3);
        assert_eq!(major("ghcr.io/x/postgres-ssl:16"), Some(16));
        assert_eq!(major("postgres:17.2-bookworm"), Some(17));
    }

    #[test]
    fn old_backups_are_told_by_their_schedule() {
        let now: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
        let backup = |day: u32| -> Backup {
            serde_json::from_value(json!({
                "id": "b", "name": null, "createdAt": format!("2026-03-0{day}T08:00:00.123Z"),
                "expiresAt": null, "usedMB": 5, "referencedMB": 5, "scheduleId": null,
            }))
            .unwrap()
        };
        let daily = [Schedule { kind: "DAILY".into(), retention_seconds: None }];
        assert_eq!(of_backups(&[], &daily, now).kind, FindingKind::Warning);
        assert_eq!(of_backups(&[backup(2)], &daily, now).kind, FindingKind::Note);
        assert_eq!(of_backups(&[backup(1)], &daily, now).kind, FindingKind::Warning);
        assert_eq!(of_backups(&[backup(1)], &[], now).kind, FindingKind::Note);
    }
}
