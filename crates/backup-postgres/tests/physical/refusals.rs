//! What a restore refuses, before it writes anything.

use backup_core::ErrorKind;
use backup_core::port::Target;
use backup_postgres::physical::DirectoryTarget;
use backup_testkit::postgres::Cluster;

use crate::support::{majors, restore, restore_options, take};

#[tokio::test]
async fn nothing_that_is_there_is_ever_overwritten() {
    let Some(mut cluster) = Cluster::start(majors()[0]) else { return };
    let taken = take(&cluster.url("postgres")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    std::fs::write(&kept, "mine").unwrap();
    let error = restore(&taken, folder.path(), restore_options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    let mut options = restore_options();
    options.delta = true;
    let error = restore(&taken, folder.path(), options.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "no data directory: {error:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read(&kept).unwrap(), b"mine");

    // Neither over a running server, nor over one that died.
    let data = cluster.data_directory();
    for _ in 0..2 {
        let error = restore(&taken, &data, options.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("postmaster.pid"), "{error}");
        cluster.kill9();
    }
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused() {
    let Some(cluster) = Cluster::start(majors()[0]) else { return };
    let taken = take(&cluster.url("postgres")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("data");
    let mut options = restore_options();
    options.tables = vec!["t".into()];
    let error = restore(&taken, &target, options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let mut options = restore_options();
    options.tablespaces = vec![("/nowhere".into(), "/else".into())];
    let error = restore(&taken, &target, options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    let mut logical = taken.snapshot.clone();
    logical.kind = backup_core::SnapshotKind::Logical;
    let error = DirectoryTarget::new(&target, restore_options()).plan(&logical).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(!target.exists());
}
