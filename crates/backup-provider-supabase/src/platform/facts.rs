//! What is known of a project, for `doctor` and `status`.

use std::time::Duration;

use backup_core::port::PlatformFacts;
use backup_core::{Finding, Result};
use backup_http::ApiError;
use jiff::Timestamp;

use super::window;
use crate::address::{Address, Way};
use crate::client::{Backups, Client, Pooler};

/// A daily backup, with two hours to spare.
const DAILY: Duration = Duration::from_secs(26 * 3600);
/// A point-in-time window that ends earlier says that nothing is archived any more, or that
/// nothing is written.
const QUIET: Duration = Duration::from_secs(3600);

/// Looks at everything; only the project itself must be readable.
pub(super) async fn read(client: &Client, address: &Address) -> Result<PlatformFacts> {
    let project = client.project().await?;
    let mut findings = address.findings.clone();
    if project.status != "ACTIVE_HEALTHY" {
        findings.push(Finding::suspect(format!(
            "the project's status is {}; nothing can be copied until it is active and healthy",
            project.status
        )));
    }
    let plan = readable(
        client.organization(&project.organization_slug).await,
        "the organization's plan",
        &mut findings,
    );
    let plan = plan.and_then(|organization| organization.plan);
    let addons = readable(client.addons().await, "add-ons", &mut findings).unwrap_or_default();
    let backups = readable(client.backups().await, "backups", &mut findings);
    let now = client.now();
    if let Some(backups) = &backups {
        findings.extend(of_backups(backups, plan.as_deref(), now));
    }
    if address.way == Way::Direct && !addons.iter().any(|addon| addon == "ipv4_default") {
        let poolers = readable(client.poolers().await, "the pooler", &mut findings);
        findings.push(only_ipv6(&poolers.unwrap_or_default()));
    }
    findings.push(Finding::note(
        "Supabase's API takes no snapshot on demand and makes no copy to restore into: the \
         copies of ours are what can be restored elsewhere",
    ));
    Ok(PlatformFacts {
        location: format!(
            "project {} ({}, {})",
            client.project_ref(),
            project.name,
            project.region
        ),
        // As the database's own URL says it, so that it is the same with and without a token.
        system: address.project.clone().unwrap_or_default(),
        plan,
        server_major: project.database.version.split('.').next().and_then(|text| text.parse().ok()),
        window: backups.as_ref().and_then(window),
        findings,
    })
}

/// What a token may not see is a finding, not the end.
fn readable<T>(answer: Result<T, ApiError>, what: &str, findings: &mut Vec<Finding>) -> Option<T> {
    answer
        .map_err(|error| {
            findings.push(Finding::warning(format!("{what} could not be read: {error}")));
        })
        .ok()
}

fn of_backups(found: &Backups, plan: Option<&str>, now: Timestamp) -> Vec<Finding> {
    let age = |at: Timestamp| Duration::try_from(now.duration_since(at)).unwrap_or_default();
    let mut findings = Vec::new();
    if found.pitr_enabled {
        findings.push(match window(found) {
            None => Finding::warning(
                "PITR is switched on and no moment can be restored yet: its first physical \
                 backup has not finished",
            ),
            Some(window) => {
                let latest = window.latest.unwrap_or(now);
                let told = format!(
                    "Supabase can put the project back to any moment from {} to {latest}, in its \
                     place",
                    window.earliest
                );
                if age(latest) > QUIET {
                    Finding::warning(format!(
                        "{told}; the last hour is not among them: either nothing is written, or \
                         its archiving has stopped"
                    ))
                } else {
                    Finding::note(told)
                }
            }
        });
        return findings;
    }
    let completed = found.backups.iter().filter(|backup| backup.status == "COMPLETED");
    let newest = completed.filter_map(|backup| backup.inserted_at.parse::<Timestamp>().ok()).max();
    findings.push(match newest {
        None => {
            let plan = plan.map_or_else(String::new, |plan| format!(" (plan: {plan})"));
            Finding::warning(format!(
                "Supabase keeps no backup of this project that could be restored{plan}; only \
                 copies of ours protect it"
            ))
        }
        Some(newest) if age(newest) > DAILY => Finding::warning(format!(
            "Supabase's newest daily backup is of {newest}: more than 26 hours old"
        )),
        Some(newest) => Finding::note(format!(
            "Supabase keeps daily backups, the newest of {newest}; they end with the project and \
             lack passwords of roles"
        )),
    });
    findings
}

fn only_ipv6(poolers: &[Pooler]) -> Finding {
    let way = poolers.iter().find(|pooler| pooler.database_type == "PRIMARY").map_or_else(
        || "the session pooler (dashboard, Connect)".to_owned(),
        |pooler| format!("{} at {}:5432", pooler.db_user, pooler.db_host),
    );
    Finding::note(format!(
        "the URL's host answers over IPv6 only; where there is only IPv4, connect as {way}"
    ))
}

#[cfg(test)]
mod tests {
    use backup_core::FindingKind;

    use super::*;

    fn judged(json: &str) -> (FindingKind, String) {
        let found: Backups = serde_json::from_str(json).unwrap();
        let now = "2026-03-02T12:00:00Z".parse().unwrap();
        let finding = of_backups(&found, Some("free"), now).remove(0);
        (finding.kind, finding.message)
    }

    #[test]
    fn the_vendors_backups_are_judged_by_their_age() {
        let none = r#"{"pitr_enabled":false,"backups":[],"physical_backup_data":{}}"#;
        let (kind, text) = judged(none);
        assert_eq!(kind, FindingKind::Warning);
        assert!(text.contains("plan: free"), "{text}");
        let backup = |status: &str, day: &str| {
            format!(
                r#"{{"pitr_enabled":false,"physical_backup_data":{{}},"backups":[
                   {{"id":1,"is_physical_backup":true,"status":"{status}",
                     "inserted_at":"2026-03-{day}T04:00:00Z"}}]}}"#
            )
        };
        assert_eq!(judged(&backup("COMPLETED", "02")).0, FindingKind::Note);
        assert!(judged(&backup("COMPLETED", "01")).1.contains("26 hours"));
        assert!(judged(&backup("FAILED", "02")).1.contains("no backup"));
    }

    #[test]
    fn a_window_that_stands_still_is_told() {
        let pitr = |latest: i64| {
            format!(
                r#"{{"pitr_enabled":true,"backups":[],"physical_backup_data":{{
                   "earliest_physical_backup_date_unix":1771848000,
                   "latest_physical_backup_date_unix":{latest}}}}}"#
            )
        };
        let noon = 1_772_452_800;
        assert_eq!(judged(&pitr(noon - 120)).0, FindingKind::Note);
        assert!(judged(&pitr(noon - 7200)).1.contains("archiving has stopped"));
        let (kind, text) =
            judged(r#"{"pitr_enabled":true,"backups":[],"physical_backup_data":{}}"#);
        assert!(kind == FindingKind::Warning && text.contains("first physical"), "{text}");
    }
}
