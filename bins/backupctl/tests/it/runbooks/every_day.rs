//! Ordinary days.

use super::world::World;
use crate::program::fingerprint;

#[test]
fn a_source_is_set_up_and_restored_once() {
    let Some(world) = World::before_the_first_backup() else { return };
    world.follow("set-up");
    assert_eq!(fingerprint(&world.cluster, "scratch"), fingerprint(&world.cluster, "shop"));
}

#[test]
fn days_weeks_and_months() {
    let Some(world) = World::with_history() else { return };
    world.follow("every-day");
    world.follow("every-week");
    world.follow("every-month");
    assert_eq!(world.ctl.json(&["status"])["sources"][0]["state"], "protected");
}

#[test]
fn drills_are_held_and_remembered() {
    let Some(world) = World::with_history() else { return };
    let said = world.follow("drills");
    assert!(said.contains("DISASTER DRILL PASSED") && said.contains("2 of 2 passed"), "{said}");
    let left = "select count(*) from pg_database where datname like 'backup_drill_%'";
    assert_eq!(world.cluster.sql("postgres", left).trim(), "0");
}

#[test]
fn people_come_and_go() {
    let Some(mut world) = World::with_history() else { return };
    world.follow("keys");
    world.ctl.run(&["snapshots"]).fails(6);
    world.ctl.set("BACKUP_PASSPHRASE_FILE", "new-passphrase");
    world.ctl.ok(&["snapshots"]);
    let role = "select rolcanlogin from pg_roles where rolname = 'backup_reader'";
    assert_eq!(world.cluster.sql("postgres", role).trim(), "t");
}
