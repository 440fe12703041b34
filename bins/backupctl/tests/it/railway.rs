//! Railway, end to end: a real server behind the fake API. (That the fake keeps Railway's schema is
//! the business of the provider's own tests.)

use std::sync::Arc;
use std::time::Duration;

use backup_testkit::postgres::Cluster;
use backup_testkit::vendor::railway::{FakeRailway, SERVICE, TOKEN};
use backup_testkit::vendor::{Estate, FakeVendor};

use crate::program::{Program, fingerprint, shop};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_backed_up_here_and_there_and_restored() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 2_000);
    let railway = FakeRailway::new(backup::system_clock(), Duration::from_millis(200), None);
    let vendor = FakeVendor::start(Arc::new(railway.clone()), None).await;
    let mut ctl = Program::of(&cluster, "shop");
    ctl.unset("DATABASE_URL");
    let url = |database: &str| {
        format!(
            "postgres://postgres@monorail.proxy.rlwy.net:{}/{database}?hostaddr=127.0.0.1&sslmode=disable",
            cluster.port()
        )
    };
    ctl.set("RAILWAY_DATABASE_URL", url("shop"));
    ctl.set("RAILWAY_TOKEN", TOKEN);
    ctl.set("RAILWAY_API_URL", format!("{}/graphql/v2", vendor.url()));
    ctl.ok(&["init"]);
    let theirs = railway.add_backup("Manual", backup::system_clock().now(), false);

    // Its WAL archive, from which the service let a segment go.
    let archive = ctl.path("wal/cluster-1/archive/main/17-1/0000000100000000");
    std::fs::create_dir_all(&archive).unwrap();
    for segment in [1, 2, 4] {
        let name = format!("0000000100000000{segment:08X}-{}.zst", "0f".repeat(20));
        std::fs::write(archive.join(name), b"x").unwrap();
    }
    ctl.set("RAILWAY_WAL_ARCHIVE", ctl.path("wal").display().to_string());
    let checked = ctl.json(&["doctor"]).to_string();
    assert!(checked.contains("a gap of 1 segments from 000000010000000000000003"), "{checked}");
    assert!(checked.contains("Railway keeps 1 backups of the volume"), "{checked}");
    ctl.ok(&["backup", "shop", "--verify", "read"]);
    let taken = ctl.json(&["backup", "shop", "--native"]);
    assert_eq!(taken["placement"], "on_provider");
    let listed = ctl.json(&["snapshots", "shop", "--native"]).to_string();
    assert!(listed.contains("\"Manual\"") && listed.contains("\"ours\":true"), "{listed}");
    let status = ctl.json(&["status"]);
    assert_eq!(status["sources"][0]["native"]["provider"], "railway", "{status:#}");
    assert_eq!(status["sources"][0]["native"]["ours"], 1, "{status:#}");

    ctl.ok(&["restore", "shop@latest", "--to", &url("copy")]);
    assert_eq!(fingerprint(&cluster, "copy"), fingerprint(&cluster, "shop"));

    // A lock there is for ever.
    ctl.run(&["pin", "--native", "shop@latest"]).fails(2);
    ctl.ok(&["pin", "--native", "shop@latest", "--yes"]);
    ctl.run(&["unpin", "--native", "shop@latest"]).fails(2);
    // Railway does not tell it; that it was pinned here is known here.
    let pinned = ctl.json(&["snapshots", "shop", "--native"]).to_string();
    assert!(pinned.contains("\"protected\":true"), "{pinned}");
    let listed = ctl.run(&["snapshots", "--native"]).expect(0);
    assert!(
        listed.stderr.contains("takes snapshots by itself: daily, kept 6 d"),
        "{}",
        listed.stderr
    );

    // In place: said what it does, refused while somebody's change waits.
    let newest = ["restore", "shop@latest", "--to", "in-place", "--preview"];
    let told = ctl.ok(&newest);
    assert!(told.contains("service Postgres is deployed again"), "{told}");
    railway.stage_beside();
    let refused = ctl.run(&newest).fails(8);
    assert!(refused.stderr.contains("would be applied too"), "{}", refused.stderr);
    assert!(railway.is_staged() && railway.backups().contains(&"Manual".to_owned()));
    let shown = format!("{}{theirs}", ctl.ok(&["-v", "status"]));
    assert!(!shown.contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_at_railway_fills_a_fork_of_its_history_and_drops_it() {
    let Some(major) = Cluster::majors().last().copied() else { return };
    let Some(estate) = Estate::start(major, SERVICE) else { return };
    let estate = Arc::new(estate);
    let main = estate.server(SERVICE).unwrap();
    shop(&main, "railway", 500);
    let pace = Duration::from_millis(200);
    let railway = FakeRailway::new(backup::system_clock(), pace, Some(estate.clone()));
    let vendor = FakeVendor::start(Arc::new(railway.clone()), None).await;
    let mut ctl = Program::of(&main, "railway");
    ctl.set("DATABASE_URL", railway.url(SERVICE));
    ctl.set("RAILWAY_TOKEN", TOKEN);
    ctl.set("RAILWAY_API_URL", format!("{}/graphql/v2", vendor.url()));
    ctl.ok(&["init"]);
    ctl.ok(&["backup", "--verify", "read"]);
    let services = railway.services();
    let receipt = ctl.json(&["drill", "railway", "--to", "provider"]);
    assert_eq!(receipt["verdict"], "passed", "{receipt:#}");
    assert!(
        receipt["target"].as_str().unwrap().contains("backupctl-railway-drill-"),
        "{receipt:#}"
    );
    assert_eq!((railway.services(), railway.volumes()), (services, 1), "the fork is gone");
    assert_eq!(estate.names(), [SERVICE]);
}
