//! Base backups as they come over the wire, in both forms.

use backup_postgres::replication::{BackupPiece, BaseBackup, BaseBackupOptions};
use backup_testkit::postgres::Cluster;

use crate::support::{majors, replicate};

/// One archive, or the manifest, in whole.
struct Received {
    piece: BackupPiece,
    bytes: Vec<u8>,
}

async fn read_all(backup: &mut BaseBackup<'_>) -> Vec<Received> {
    let mut received: Vec<Received> = Vec::new();
    let mut buf = Vec::new();
    loop {
        match backup.read(&mut buf).await.unwrap() {
            BackupPiece::Data => received.last_mut().unwrap().bytes.append(&mut buf),
            BackupPiece::End => return received,
            piece => received.push(Received { piece, bytes: Vec::new() }),
        }
    }
}

/// The names of a tar archive's members, by its headers.
fn names(tar: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while let Some(header) = tar.get(at..at + 512).filter(|header| header[0] != 0) {
        let text = |field: &[u8]| {
            String::from_utf8(field.iter().copied().take_while(|b| *b != 0).collect()).unwrap()
        };
        names.push(text(&header[..100]));
        let size = usize::from_str_radix(text(&header[124..136]).trim(), 8).unwrap();
        at += 512 + size.next_multiple_of(512);
    }
    names
}

#[tokio::test]
async fn every_archive_and_the_manifest_arrive() {
    for major in majors() {
        let Some(cluster) = Cluster::start(major) else { continue };
        let place = cluster.socket_folder().join("space");
        let owner = cluster.data_directory();
        std::fs::create_dir(&place).unwrap();
        let owned = std::process::Command::new("chown")
            .arg("--reference")
            .arg(&owner)
            .arg(&place)
            .status()
            .unwrap();
        assert!(owned.success());
        cluster.sql("postgres", &format!("create tablespace ts location '{}'", place.display()));
        cluster.sql("postgres", "create table t tablespace ts as select 1");
        let mut session = replicate(&cluster.url("postgres")).await;
        let options = BaseBackupOptions::new("it's a test");
        let mut backup = session.base_backup(&options).await.unwrap();
        let (start, timeline) = backup.start();
        assert_eq!(timeline, 1);
        assert_eq!(backup.tablespaces().len(), 2);
        assert_eq!(backup.tablespaces()[0].location, place.display().to_string());
        assert_eq!(backup.tablespaces()[1].oid, None);
        let received = read_all(&mut backup).await;
        assert_eq!(backup.read(&mut Vec::new()).await.unwrap(), BackupPiece::End);
        let (stop, _) = backup.stop().unwrap();
        assert!(stop > start, "{stop} {start}");
        let pieces: Vec<BackupPiece> = received.iter().map(|r| r.piece).collect();
        let expected = [BackupPiece::Archive(0), BackupPiece::Archive(1), BackupPiece::Manifest];
        assert_eq!(pieces, expected);
        let space = names(&received[0].bytes);
        assert!(space.iter().any(|name| name.starts_with("PG_")), "{space:?}");
        let base = names(&received[1].bytes);
        assert_eq!(base[0], "backup_label");
        assert_eq!(base[1], "tablespace_map");
        let control = base.iter().position(|name| name == "global/pg_control").unwrap();
        assert!(base[control + 1..].iter().all(|name| name.starts_with("pg_wal/")), "{base:?}");
        assert!(control + 1 < base.len(), "its own WAL comes with it");
        let manifest = String::from_utf8(received[2].bytes.clone()).unwrap();
        assert!(manifest.contains("Manifest-Checksum"));
        drop(backup);
        assert!(session.identify().await.is_ok(), "in step again");
    }
}

#[tokio::test]
async fn a_refused_backup_leaves_the_session_usable() {
    for major in majors() {
        let Some(cluster) = Cluster::start(major) else { continue };
        let mut session = replicate(&cluster.url("postgres")).await;
        let mut options = BaseBackupOptions::new("x".repeat(5000));
        let error = session.base_backup(&options).await.unwrap_err();
        assert!(error.to_string().contains("label"), "{error}");
        options.label = "short".to_owned();
        if major >= 17 {
            options.incremental = true;
            assert!(session.base_backup(&options).await.is_err(), "no manifest was uploaded");
            assert!(session.upload_manifest(b"no manifest").await.is_err());
            options.incremental = false;
        } else {
            assert!(session.upload_manifest(b"no manifest").await.is_err());
        }
        let mut backup = session.base_backup(&options).await.unwrap();
        assert!(!read_all(&mut backup).await.is_empty());
    }
}

#[tokio::test]
async fn a_server_killed_on_the_way_is_never_a_success() {
    let Some(mut cluster) = Cluster::start(majors()[0]) else { return };
    let mut session = replicate(&cluster.url("postgres")).await;
    let mut options = BaseBackupOptions::new("killed");
    options.max_rate_kib = Some(1024);
    let mut backup = session.base_backup(&options).await.unwrap();
    let mut buf = Vec::new();
    while backup.read(&mut buf).await.unwrap() != BackupPiece::Data {}
    cluster.kill9();
    let error = loop {
        match backup.read(&mut buf).await {
            Ok(piece) => assert_ne!(piece, BackupPiece::End),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), backup_core::ErrorKind::SourceUnavailable, "{error:?}");
    assert!(backup.read(&mut buf).await.is_err());
    assert_eq!(backup.stop(), None);
}
