//! WAL that was lost or damaged in the repository is found by `verify`, with what it costs.

use backup_testkit::postgres::Cluster;

use crate::wal::{Archive, archived};

#[test]
fn a_segment_that_is_gone_or_damaged_is_named_with_the_points_in_time_it_costs() {
    let Some(major) = Cluster::majors().last().copied() else { return };
    let mut archive = Archive::new("shop");
    let Some(cluster) = archive.archiving(Cluster::builder(major)).start() else { return };
    archive.program.set("DATABASE_URL", cluster.url("postgres"));
    let ctl = &archive.program;
    cluster.sql("postgres", "create table t (n int)");
    ctl.ok(&["backup", "--mode", "physical"]);
    let mut names = Vec::new();
    for n in 0..5 {
        let sql = format!("insert into t values ({n}); select pg_walfile_name(pg_switch_wal())");
        names.push(cluster.sql("postgres", &sql).trim().to_lowercase());
    }
    archived(&cluster);
    let object = |name: &str| {
        let found = ctl.objects("wal").into_iter();
        let mut found = found.filter(|path| {
            path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
        });
        found.next().unwrap()
    };
    let sound = ctl.json(&["verify", "--all", "--read-data"]);
    assert_eq!(sound["ok"], true, "{sound:#}");
    let read = sound["wal"][0]["segments_read"].as_u64().unwrap();
    assert!(read >= 5 && sound["wal"][0]["segments"].as_u64() == Some(read), "{sound:#}");

    // One byte of one segment: only reading finds that.
    let damaged = object(&names[3]);
    let good = std::fs::read(&damaged).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&damaged, &bad).unwrap();
    ctl.ok(&["verify", "--all"]);
    let done = ctl.run(&["verify", "--all", "--read-data"]).fails(5);
    let said = format!("segment {} is damaged", names[3].to_uppercase());
    assert!(done.stdout.contains(&said), "{}", done.stdout);
    assert!(done.stderr.contains("new physical snapshot"), "{}", done.stderr);
    std::fs::write(&damaged, good).unwrap();

    // A segment that is gone: every verification finds that, and says from when to when.
    let gone = object(&names[1]);
    let kept = std::fs::read(&gone).unwrap();
    std::fs::remove_file(&gone).unwrap();
    let done = ctl.run(&["verify", "--all"]).fails(5);
    assert!(done.stdout.contains("WAL of shop (cluster "), "{}", done.stdout);
    let said = format!("segment {} is missing; points in time after 20", names[1].to_uppercase());
    assert!(done.stdout.contains(&said), "{}", done.stdout);
    assert!(done.stdout.contains("until a new physical snapshot is taken"), "{}", done.stdout);
    ctl.ok(&["backup", "--mode", "physical"]);
    let done = ctl.run(&["verify", "--all"]).fails(5);
    assert!(done.stdout.contains("and before the snapshot of 20"), "{}", done.stdout);
    std::fs::write(&gone, kept).unwrap();
    ctl.ok(&["verify", "--all", "--read-data"]);
}
