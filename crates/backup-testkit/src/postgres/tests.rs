//! The fixture itself, on every major of this machine.

use std::path::Path;
use std::process::Command;

use super::Cluster;

#[test]
fn every_major_found_starts_answers_and_leaves_nothing_behind() {
    let majors = Cluster::majors();
    if majors.is_empty() {
        crate::tools::skip("PostgreSQL");
        return;
    }
    for major in majors {
        let Some(cluster) = Cluster::start(major) else { return };
        let version = cluster.sql("postgres", "show server_version_num");
        assert_eq!(version.trim().parse::<u32>().unwrap() / 10_000, major);
        assert_eq!(cluster.sql("postgres", "select 1, 'x'").trim(), "1|x");
        assert!(cluster.try_sql("postgres", "select 1/0").is_err());
        let (folder, pid) = (cluster.socket_folder().to_path_buf(), cluster.process_id().unwrap());
        drop(cluster);
        assert!(!folder.exists(), "{} is still there", folder.display());
        assert!(!Path::new("/proc").join(pid.to_string()).exists());
    }
}

#[test]
fn stops_of_every_kind_are_survived_by_a_restart() {
    let Some(mut cluster) = Cluster::start_newest() else { return };
    cluster.sql("postgres", "create table t as select 1 as a; checkpoint");
    cluster.restart();
    cluster.stop_immediate();
    assert!(cluster.try_sql("postgres", "select 1").is_err());
    cluster.restart();
    cluster.kill9();
    assert_eq!(cluster.process_id(), None);
    cluster.restart();
    assert_eq!(cluster.sql("postgres", "select count(*) from t").trim(), "1");
}

#[test]
fn settings_passwords_and_tls_are_in_force() {
    let Some(major) = Cluster::majors().last().copied() else {
        crate::tools::skip("PostgreSQL");
        return;
    };
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let cluster = Cluster::builder(major)
        .setting("wal_level", "logical")
        .setting("application_name", "it's quoted")
        .hba("hostssl all all 127.0.0.1/32 scram-sha-256")
        .tls(&made.cert.pem(), &made.signing_key.serialize_pem())
        .start()
        .unwrap();
    assert_eq!(cluster.sql("postgres", "show wal_level").trim(), "logical");
    cluster.sql("postgres", "create role app login password 'secret of the test'");
    let ask = |password: &str, mode: &str| {
        let mut psql: Command = cluster.command("psql");
        psql.env("PGHOST", "127.0.0.1").env("PGUSER", "app").env("PGDATABASE", "postgres");
        psql.env("PGPASSWORD", password).env("PGSSLMODE", mode).args(["-XAtc", "select 1"]);
        psql.output().unwrap().status.success()
    };
    assert!(ask("secret of the test", "require"));
    assert!(!ask("another", "require"));
    assert!(!ask("secret of the test", "disable"));
}

#[test]
fn a_server_that_cannot_start_is_an_error_with_its_log() {
    let Some(major) = Cluster::majors().last().copied() else {
        crate::tools::skip("PostgreSQL");
        return;
    };
    let error = Cluster::builder(major).setting("no_such_setting", "1").try_start().unwrap_err();
    assert!(error.to_string().contains("no_such_setting"), "{error}");
    let missing = Cluster::builder(2).try_start().unwrap_err();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
}
