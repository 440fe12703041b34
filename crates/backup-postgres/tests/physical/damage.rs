//! A damaged page in the source is noticed, named, and makes the snapshot suspect.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use backup_core::port::{NoObserver, PartSource};
use backup_postgres::physical::{Access, check_cluster};
use backup_testkit::parts::{Wrong, WrongParts};
use backup_testkit::postgres::Cluster;

use crate::support::{majors, take, take_by};

#[tokio::test]
async fn a_damaged_page_makes_the_snapshot_suspect() {
    for major in majors() {
        let Some(mut cluster) = Cluster::start(major) else { continue };
        if cluster.sql("postgres", "show data_checksums").trim() != "on" {
            cluster.stop_in_order();
            let data = cluster.data_directory().display().to_string();
            crate::support::program(&cluster, "pg_checksums", &["--enable", "-D", &data]);
            cluster.restart();
        }
        cluster.sql(
            "postgres",
            "create table t as select n, md5(n::text) from generate_series(1, 50000) n",
        );
        cluster.sql("postgres", "checkpoint");
        let path = cluster.sql("postgres", "select pg_relation_filepath('t')").trim().to_owned();
        let whole = take(&cluster.url("postgres")).await.unwrap();
        assert!(!whole.snapshot.is_suspect(), "{:?}", whole.snapshot.evidence.findings);

        let file = std::fs::File::options()
            .write(true)
            .open(cluster.data_directory().join(&path))
            .unwrap();
        file.write_all_at(b"damage", 300 * 8192 + 4000).unwrap();
        file.write_all_at(b"damage", 17 * 8192 + 4000).unwrap();
        for access in [Access::Remote, Access::Local] {
            let taken = take_by(&cluster.url("postgres"), access).await.unwrap();
            assert!(taken.snapshot.is_suspect());
            let said: Vec<&str> =
                taken.snapshot.evidence.findings.iter().map(|f| f.message.as_str()).collect();
            for block in ["block 17", "block 300"] {
                let named = said.iter().any(|text| text.contains(&path) && text.contains(block));
                assert!(named, "{block}: {said:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_stored_cluster_is_compared_with_its_manifest() {
    let Some(cluster) = Cluster::start(crate::support::one()) else { return };
    cluster.sql(
        "postgres",
        "create table t as select n, md5(n::text) from generate_series(1, 50000) n",
    );
    let path = cluster.sql("postgres", "select pg_relation_filepath('t')").trim().to_owned();
    let taken = take(&cluster.url("postgres")).await.unwrap();
    let check = async |parts: Arc<dyn PartSource>, contents: bool| {
        check_cluster(&taken.snapshot, &parts, contents, &NoObserver).await.unwrap()
    };
    let sound = check(taken.parts.clone(), true).await;
    assert!(sound.problems.is_empty(), "{:?}", sound.problems);
    assert!(sound.files > 500 && sound.bytes > 5 << 20, "{} {}", sound.files, sound.bytes);
    assert_eq!(check(taken.parts.clone(), false).await.bytes, 0);
    let database =
        cluster.sql("postgres", "select oid from pg_database where datname = 'postgres'");
    let (list, data) =
        (format!("files/1663/{}", database.trim()), format!("data/1663/{}", database.trim()));
    let last = taken.snapshot.part(&data).unwrap().bytes - 1;
    let segments = usize::try_from(taken.snapshot.part(&data).unwrap().segments).unwrap();
    let replaced = |part: &str, from: &str, to: &str| Wrong::Replaced {
        part: part.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    };
    let file = format!("\"path\":\"{path}\"");
    for (wrong, contents, told) in [
        (Wrong::Bit { part: data.clone(), at: last, bit: 3 }, true, "checksum is another"),
        (Wrong::Bit { part: data.clone(), at: 3, bit: 3 }, true, "checksum is another"),
        (Wrong::DroppedSegment { part: list.clone(), position: 0 }, false, "is not stored"),
        (Wrong::MissingLines { part: list.clone(), first: 3, count: 1 }, false, "is not stored"),
        (replaced(&list, &file, "\"path\":\"base/5/stray\""), false, "files that are stored"),
        (replaced("files/wal", "pg_wal/0000", "pg_wal/1111"), false, "WAL segment"),
        (replaced("manifest", &path, "base/5/9"), false, "its checksum is wrong"),
        (Wrong::Swapped { one: data.clone(), other: "data/other".into() }, false, "missing"),
    ] {
        let parts = Arc::new(WrongParts::new(taken.parts.clone(), wrong.clone()));
        let found = check(parts, contents).await;
        let said = format!("{:?}", found.problems);
        assert!(said.contains(told), "{wrong:?}: {said}");
        assert!(found.problems.len() <= 21);
    }
    assert!(segments > 1);
}
