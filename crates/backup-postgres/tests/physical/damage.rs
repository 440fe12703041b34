//! A damaged page in the source is noticed, named, and makes the snapshot suspect.

use std::os::unix::fs::FileExt;

use backup_postgres::physical::Access;
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
