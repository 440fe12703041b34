//! From settings to jobs.

use backup_config::Settings;
use backup_core::{JobKey, JobKind};
use backup_schedule::{Blackouts, Job, Timetable};

use crate::settings::timetable;

/// Returns every job that can run: those with a schedule, and those that run by request alone.
pub(super) fn jobs(settings: &Settings) -> Vec<Job> {
    let mut jobs = Vec::new();
    for source in &settings.sources {
        let schedule = &source.schedule;
        for (kind, cron) in [
            (JobKind::Backup, &schedule.backup),
            (JobKind::Verify, &schedule.verify),
            (JobKind::Drill, &schedule.drill),
            (JobKind::PointDrill, &schedule.point_drill),
            (JobKind::DisasterDrill, &schedule.disaster_drill),
            (JobKind::Forget, &schedule.forget),
        ] {
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
