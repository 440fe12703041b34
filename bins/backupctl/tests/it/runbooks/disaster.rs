//! From alarm to recovered, by the page alone.

use super::world::World;
use crate::program::fingerprint;
use crate::wal::archived;

#[test]
fn a_dropped_table_comes_back() {
    let Some(world) = World::with_history() else { return };
    let before = fingerprint(&world.cluster, "shop");
    world.cluster.sql("shop", "drop table people");
    world.follow("table-lost");
    assert_eq!(fingerprint(&world.cluster, "shop"), before);
}

#[test]
fn a_wrong_update_found_later_is_undone_and_nothing_else() {
    let Some(mut world) = World::with_history() else { return };
    let good = world.newest();
    let totals = "select sum(total), count(*) from orders where id <= 2000";
    let before = world.cluster.sql("shop", totals);
    world.cluster.sql("shop", "update orders set total = -1; delete from orders where id < 10");
    world.ctl.ok(&["backup"]);
    world.cluster.sql("shop", "insert into orders values (9001, 'written since', 5)");
    world.cluster.sql("shop", "update orders set note = 'written since' where id = 77");
    world.tell("GOOD_SNAPSHOT", &good);
    let said = world.follow("wrong-rows");
    assert!(said.contains("1991"), "what differs is shown first: {said}");
    assert_eq!(world.cluster.sql("shop", totals), before);
    let kept = "select count(*) from orders where note = 'written since'";
    assert_eq!(world.cluster.sql("shop", kept).trim(), "2");
}

#[test]
fn with_archived_wal_nothing_written_before_the_wrong_update_is_lost() {
    let Some(mut world) = World::with_archive() else { return };
    world.cluster.sql("shop", "insert into orders values (9001, 'since the backup', 5)");
    let totals = "select sum(total), count(*) from orders where id <> 9002";
    let before = world.cluster.sql("shop", totals);
    let now = "select pg_sleep(0.05); select to_char(clock_timestamp() at time zone 'utc', \
               'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let moment = world.cluster.sql("shop", now).trim().to_owned();
    world.cluster.sql("shop", "select pg_sleep(0.05); update orders set total = -1");
    // Found two hours later, while work went on.
    world.cluster.sql("shop", "insert into orders values (9002, 'written since', 7)");
    archived(&world.cluster);
    world.tell("BEFORE", &moment);
    let said = world.follow("wrong-rows-wal");
    assert!(said.contains("DRILL PASSED"), "{said}");
    assert_eq!(world.cluster.sql("shop", totals), before);
    let kept = "select total from orders where id = 9002";
    assert_eq!(world.cluster.sql("shop", kept).trim(), "7");
    assert!(!world.ctl.path("before").exists());
}

#[test]
fn the_last_good_state_is_found_and_kept() {
    let Some(mut world) = World::with_history() else { return };
    let good = world.newest();
    world.cluster.sql("shop", "update orders set total = -1 where id % 7 = 0");
    world.ctl.ok(&["backup"]);
    let bad = world.newest();
    world.tell("CANDIDATES", &format!("{good} {bad}"));
    world.tell("GOOD_SNAPSHOT", &good);
    let said = world.follow("last-good");
    assert!(said.contains(&format!("{good} wrong rows: 0")), "{said}");
    assert!(said.contains(&format!("{bad} wrong rows: 285")), "{said}");
    let listed = world.ctl.json(&["snapshots"]);
    assert_eq!(listed["snapshots"][1]["pinned"], true);
}

#[test]
fn a_lost_database_is_restored_and_backed_up_again() {
    let Some(world) = World::with_history() else { return };
    let before = fingerprint(&world.cluster, "shop");
    world.cluster.sql("postgres", "drop database shop");
    world.follow("database-gone");
    assert_eq!(fingerprint(&world.cluster, "new"), before);
    let status = world.ctl.json(&["status"]);
    assert_eq!(status["sources"][0]["state"], "protected", "{status}");
    assert_eq!(status["sources"].as_array().unwrap().len(), 1, "one history");
}

#[test]
fn the_sheet_and_the_store_are_enough() {
    let Some(mut world) = World::with_history() else { return };
    let before = fingerprint(&world.cluster, "shop");
    let url = format!("file://{}", world.ctl.path("repository").display());
    for name in ["BACKUP_REPOSITORY", "BACKUP_PASSPHRASE_FILE", "DATABASE_URL"] {
        world.ctl.unset(name);
    }
    world.tell("URL_ON_THE_SHEET", &url);
    world.follow("only-the-sheet");
    assert_eq!(fingerprint(&world.cluster, "new"), before);
}

#[test]
fn another_copy_is_as_good() {
    let Some(mut world) = World::with_history() else { return };
    let before = fingerprint(&world.cluster, "shop");
    std::fs::rename(world.ctl.path("repository"), world.ctl.path("elsewhere")).unwrap();
    world.tell("URL_OF_THE_COPY", &format!("file://{}", world.ctl.path("elsewhere").display()));
    world.follow("another-copy");
    assert_eq!(fingerprint(&world.cluster, "new"), before);
}

#[test]
fn after_an_intrusion_old_keys_open_nothing_new() {
    let Some(mut world) = World::with_history() else { return };
    world.follow("hostile-hands");
    world.ctl.run(&["snapshots"]).fails(6);
    world.ctl.set("BACKUP_PASSPHRASE_FILE", "new-passphrase");
    assert_eq!(world.ctl.json(&["status"])["sources"][0]["state"], "protected");
}

#[test]
fn a_damaged_repository_is_healed_by_the_next_backup() {
    let Some(mut world) = World::with_history() else { return };
    let packs = world.ctl.objects("packs");
    let pack = packs.iter().max_by_key(|pack| pack.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(pack).unwrap();
    bytes[400] ^= 1;
    std::fs::remove_file(pack).unwrap();
    std::fs::write(pack, bytes).unwrap();
    std::fs::create_dir(world.ctl.path("quarantine")).unwrap();
    world.tell("DAMAGED_PACK", &pack.display().to_string());
    let said = world.follow("damaged-repository");
    assert!(said.contains("exit 5: the lines above"), "{said}");
    world.ctl.ok(&["verify", "shop@latest", "--read-data"]);
}

#[test]
fn wrong_key_first_then_the_right_one() {
    let Some(mut world) = World::with_history() else { return };
    std::fs::write(world.ctl.path("first-guess"), "not it\n").unwrap();
    let said = world.follow("key-trouble");
    assert!(said.contains("error: open repository"), "{said}");
    world.ctl.run(&["snapshots"]).fails(6);
    world.ctl.set("BACKUP_PASSPHRASE_FILE", "new-passphrase");
    world.ctl.ok(&["snapshots"]);
}

#[test]
fn vanished_rows_make_a_suspect_snapshot_until_somebody_vouches() {
    let Some(world) = World::with_history() else { return };
    let good = world.newest();
    world.cluster.sql("shop", "truncate orders");
    world.ctl.run(&["backup"]).expect(9);
    let shown = world.ctl.json(&["show", "shop@latest"]);
    assert_eq!(shown["snapshot"]["id"], good, "the last good one stays the latest");
    let said = world.follow("suspect");
    assert!(said.contains("exit 9: not protected"), "{said}");
}

#[test]
fn plain_files_are_the_last_net() {
    let Some(world) = World::with_history() else { return };
    let before = fingerprint(&world.cluster, "shop");
    world.cluster.sql("postgres", "create database new");
    world.follow("tool-broken");
    assert_eq!(fingerprint(&world.cluster, "new"), before);
}

#[test]
fn the_day_after() {
    let Some(world) = World::with_history() else { return };
    world.follow("afterwards");
}
