//! From settings to jobs.

use backup_config::Settings;
use backup_core::{JobKey, JobKind};
use backup_schedule::{Blackouts, Job, Timetable};

use crate::settings::{shifted, timetable};

/// Returns every job that can run: those with a schedule, and those that run by request alone.
pub(super) fn jobs(settings: &Settings) -> Vec<Job> {
    let mut jobs = Vec::new();
    for source in &settings.sources {
        let schedule = &source.schedule;
        for (kind, cron) in [
            (JobKind::Backup, &schedule.backup),
            (JobKind::Native, &source.native.schedule),
            (JobKind::Verify, &schedule.verify),
            (JobKind::Drill, &schedule.drill),
            (JobKind::PointDrill, &schedule.point_drill),
            (JobKind::DisasterDrill, &schedule.disaster_drill),
            (JobKind::Forget, &schedule.forget),
        ] {
            if kind == JobKind::Native && !source.provider.takes_snapshots() {
                continue;
            }
            let key = JobKey::of(kind, &source.name);
            jobs.push(Job {
                timetable: cron.as_ref().map(|cron| timetable(&key, cron, source, settings)),
                key,
                blackouts: schedule.blackouts.clone(),
                zone: settings.zone.clone(),
                catch_up: !schedule.no_catch_up,
                retry: settings.daemon.retry,
            });
        }
    }
    for group in &settings.groups {
        let schedule = &group.schedule;
        for (kind, cron) in [(JobKind::Backup, &schedule.backup), (JobKind::Drill, &schedule.drill)]
        {
            let key = JobKey::of(kind, &group.name);
            jobs.push(Job {
                timetable: cron.as_ref().map(|cron| shifted(&key, cron, schedule, settings)),
                key,
                blackouts: schedule.blackouts.clone(),
                zone: settings.zone.clone(),
                catch_up: !schedule.no_catch_up,
                retry: settings.daemon.retry,
            });
        }
    }
    jobs.push(Job {
        key: JobKey::whole(JobKind::Prune),
        timetable: settings.prune.schedule.as_ref().map(|cron| Timetable {
            cron: cron.clone(),
            zone: settings.zone.clone(),
            shift: std::time::Duration::ZERO,
        }),
        blackouts: Blackouts::default(),
        zone: settings.zone.clone(),
        catch_up: true,
        retry: settings.daemon.retry,
    });
    jobs
}

#[cfg(test)]
mod tests {
    use backup_config::{Environment, Overrides};

    use super::*;

    #[test]
    fn a_group_runs_for_its_members() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backup.toml");
        let text = "[schedule]\nbackup = \"0 2 * * *\"\ndrill = \"0 4 * * sun\"\n\
                    [[source]]\nname = \"shop\"\nurl = \"env:A\"\n\
                    [[source]]\nname = \"uploads\"\npath = \"/srv/uploads\"\n\
                    schedule.backup = \"30 * * * *\"\n\
                    [[group]]\nname = \"all\"\nsources = [\"shop\", \"uploads\"]\n";
        std::fs::write(&file, text).unwrap();
        let environment = Environment::default();
        let settings = crate::load_settings(Some(&file), &environment, &Overrides::default());
        let settings = settings.unwrap();
        let planned: Vec<_> = jobs(&settings)
            .iter()
            .filter(|job| job.timetable.is_some())
            .map(|job| job.key.to_string())
            .collect();
        assert_eq!(planned, ["backup uploads", "backup all", "drill all"]);
        // A member that only its group backs up is expected when the group runs.
        let promises = crate::promises(&settings);
        assert!(promises.values().all(|promise| promise.backups.is_some()));
    }

    #[test]
    fn what_has_a_schedule_is_due_by_it_and_everything_runs_by_request() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backup.toml");
        let text = "[schedule]\nbackup = \"0 2 * * *\"\npoint_drill = \"0 7 * * sat\"\n\
                    disaster_drill = \"0 9 1 */3 *\"\n[drill]\nsheet = \"file:sheet\"\n\
                    [[source]]\nname = \"ledger\"\nurl = \"env:A\"\nbackup.mode = \"physical\"\n\
                    [[source]]\nname = \"shop\"\nurl = \"env:B\"\nprovider = \"neon\"\n\
                    native.schedule = \"0 * * * *\"\n";
        std::fs::write(&file, text).unwrap();
        let environment = Environment::default();
        let settings = crate::load_settings(Some(&file), &environment, &Overrides::default());
        let jobs = jobs(&settings.unwrap());
        let planned: Vec<_> = jobs
            .iter()
            .filter(|job| job.timetable.is_some())
            .map(|job| job.key.to_string())
            .collect();
        assert_eq!(
            planned,
            [
                "backup ledger",
                "point_drill ledger",
                "disaster_drill ledger",
                "backup shop",
                "native shop",
                "disaster_drill shop",
            ],
            "rows have no points in time"
        );
        let of_sources = JobKind::ALL.len() - 1;
        assert_eq!(
            jobs.len(),
            2 * of_sources - 1 + 1,
            "each by request, and prune; a plain server has no provider"
        );
    }
}
