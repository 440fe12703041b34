//! Who the cluster is, its slots, its timelines, and what a refused login says.

use backup_core::{ErrorKind, Lsn};
use backup_postgres::replication::{Replication, parse_history, slot};
use backup_postgres::{Client, ConnectOptions};
use backup_testkit::postgres::Cluster;

use crate::support::{majors, replicate, standby};

#[tokio::test]
async fn a_cluster_says_who_it_is() {
    for major in majors() {
        let Some(cluster) = Cluster::start(major) else { continue };
        let mut session = replicate(&cluster.url("postgres")).await;
        let identity = session.identify().await.unwrap();
        let system = cluster.sql("postgres", "select system_identifier from pg_control_system()");
        assert_eq!(identity.system, system.trim());
        assert_eq!(identity.timeline, 1);
        assert!(identity.position > Lsn(0));
        assert_eq!(session.wal_segment_size().await.unwrap(), 16 << 20);
        let error = session.show("no_such_setting").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert_eq!(session.identify().await.unwrap().system, system.trim(), "still in step");
        session.close().await;
    }
}

#[tokio::test]
async fn slots_keep_wal_from_the_moment_they_exist() {
    for major in majors() {
        let Some(cluster) = Cluster::start(major) else { continue };
        let mut session = replicate(&cluster.url("postgres")).await;
        let mut sql = Client::connect(&ConnectOptions::parse(&cluster.url("postgres")).unwrap())
            .await
            .unwrap();
        assert_eq!(slot(&mut sql, "keep").await.unwrap(), None);
        session.create_slot("keep", false).await.unwrap();
        let seen = slot(&mut sql, "keep").await.unwrap().unwrap();
        assert!(seen.restart.is_some(), "without a restart position nothing is kept");
        assert_eq!(seen.wal_status.as_deref(), Some("reserved"));
        assert!(!seen.active);
        if major >= 15 {
            let read = session.read_slot("keep").await.unwrap().unwrap();
            assert_eq!((read.restart, read.timeline), (seen.restart, Some(1)));
            assert_eq!(session.read_slot("other").await.unwrap(), None);
        } else {
            let error = session.read_slot("keep").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
        }
        let error = session.create_slot("keep", false).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
        session.drop_slot("keep", false).await.unwrap();
        let error = session.drop_slot("keep", false).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
        assert_eq!(session.create_slot("Bad", true).await.unwrap_err().kind(), ErrorKind::Usage);
        session.create_slot("brief", true).await.unwrap();
        assert!(slot(&mut sql, "brief").await.unwrap().is_some());
    }
}

#[tokio::test]
async fn timelines_have_histories() {
    for major in majors() {
        let Some(primary) = Cluster::start(major) else { continue };
        let copy = standby(&primary);
        copy.sql("postgres", "select pg_promote()");
        let mut session = replicate(&copy.url("postgres")).await;
        assert_eq!(session.identify().await.unwrap().timeline, 2);
        let file = session.timeline_history(2).await.unwrap();
        assert_eq!(file.name, "00000002.history");
        let on_disk = std::fs::read(copy.data_directory().join("pg_wal/00000002.history")).unwrap();
        assert_eq!(file.content, on_disk);
        let switches = parse_history(&file.content).unwrap();
        assert_eq!(switches.len(), 1);
        assert_eq!(switches[0].timeline, 1);
        assert_eq!(session.timeline_history(1).await.unwrap_err().kind(), ErrorKind::Usage);
        assert!(session.timeline_history(7).await.is_err());
    }
}

#[tokio::test]
async fn a_refused_login_says_what_to_run() {
    let Some(cluster) = Cluster::builder(majors()[0])
        .hba("host all all 127.0.0.1/32 trust\nhost replication plain 127.0.0.1/32 trust")
        .start()
    else {
        return;
    };
    cluster.sql("postgres", "create role plain login; create role other login replication");
    for (role, remedy) in [("plain", "ALTER ROLE \"plain\" REPLICATION"), ("other", "pg_hba.conf")]
    {
        let url = format!("postgres://{role}@127.0.0.1:{}/postgres", cluster.port());
        let options = ConnectOptions::parse(&url).unwrap();
        let error = Replication::connect(&options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SourceUnavailable, "{error:?}");
        assert!(error.remedy().unwrap().contains(remedy), "{error:?}");
    }
}
