//! Getting in: each login method, each refusal and what to do about it.

use std::net::TcpListener;

use backup_core::{Error, ErrorKind, ErrorStatus, Secret};
use backup_postgres::{Client, ConnectOptions, sqlstate};
use backup_testkit::postgres::Cluster;

use crate::support::{connect, majors, one, options, url, value};

const HBA: &str = "\
host all unwelcome 127.0.0.1/32 reject
host all plain 127.0.0.1/32 password
host all old 127.0.0.1/32 md5
host all modern,few 127.0.0.1/32 scram-sha-256
host postgres postgres 127.0.0.1/32 trust";

const ROLES: &str = "\
set password_encryption = 'md5';
create role old login password 'p@ss:w/rd ü';
create role plain login password 'p@ss:w/rd ü';
set password_encryption = 'scram-sha-256';
create role modern login password 'p@ss:w/rd ü';
create role few login password 'p@ss:w/rd ü' connection limit 1;
create role unwelcome login;
create database closed;
revoke connect on database closed from public;";

const PASSWORD: &str = "p%40ss%3Aw%2Frd%20%C3%BC";

fn clusters(majors: Vec<u32>) -> impl Iterator<Item = Cluster> {
    majors.into_iter().filter_map(|major| {
        let cluster = Cluster::builder(major).hba(HBA).start()?;
        cluster.sql("postgres", ROLES);
        Some(cluster)
    })
}

async fn refusal(url: &str) -> Error {
    let error = connect(url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable, "{error:?}");
    assert!(error.remedy().is_some(), "{error:?}");
    error
}

#[tokio::test]
async fn every_method_lets_the_right_password_in() {
    for cluster in clusters(majors()) {
        for role in ["plain", "old", "modern"] {
            let url = url(&cluster, &format!("{role}:{PASSWORD}"), "postgres", "");
            let mut client = connect(&url).await.unwrap();
            assert_eq!(value(&mut client, "select current_user").await, role);
            client.close().await;
        }
        for url in [cluster.url("postgres"), cluster.socket_url("postgres")] {
            let mut client = connect(&url).await.unwrap();
            assert_eq!(value(&mut client, "select session_user").await, "postgres");
        }
    }
}

#[tokio::test]
async fn refusals_name_the_remedy_and_hide_the_password() {
    for cluster in clusters(majors()) {
        for role in ["plain", "old", "modern"] {
            let error = refusal(&url(&cluster, &format!("{role}:hunter2"), "postgres", "")).await;
            assert_eq!(sqlstate(&error), Some("28P01"), "{error:?}");
            assert!(error.remedy().unwrap().contains("password"), "{error:?}");
            assert_eq!(error.status(), ErrorStatus::Permanent);
            assert!(!format!("{error:?}").contains("hunter2"));
            let error = refusal(&url(&cluster, role, "postgres", "")).await;
            assert!(error.to_string().contains("none is given"), "{error:?}");
        }
        let error = refusal(&format!("{}?dbname=nowhere", cluster.socket_url(""))).await;
        assert_eq!(sqlstate(&error), Some("3D000"));
        assert!(error.remedy().unwrap().contains("nowhere"), "{error:?}");
        let error = refusal(&url(&cluster, &format!("modern:{PASSWORD}"), "closed", "")).await;
        assert_eq!(sqlstate(&error), Some("42501"));
        assert!(error.remedy().unwrap().contains("Grant CONNECT"), "{error:?}");
        for (role, word) in [("unwelcome", "pg_hba.conf"), ("stranger", "pg_hba.conf")] {
            let error = refusal(&url(&cluster, role, "postgres", "")).await;
            assert_eq!(sqlstate(&error), Some("28000"), "{error:?}");
            assert!(error.remedy().unwrap().contains(word), "{error:?}");
        }
        let socket = cluster.socket_url("postgres").replace("postgres@", "stranger@");
        let error = refusal(&socket).await;
        assert_eq!(sqlstate(&error), Some("28000"));
        assert!(error.remedy().unwrap().contains("stranger exists"), "{error:?}");

        let few = url(&cluster, &format!("few:{PASSWORD}"), "postgres", "");
        let first = connect(&few).await.unwrap();
        let error = refusal(&few).await;
        assert_eq!((sqlstate(&error), error.status()), (Some("53300"), ErrorStatus::Temporary));
        first.close().await;
    }
}

#[tokio::test]
async fn servers_that_are_not_there_are_explained() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = refusal(&format!("postgres://u@127.0.0.1:{port}/d")).await;
    assert_eq!(error.status(), ErrorStatus::Temporary);
    assert!(error.remedy().unwrap().contains("Check host and port"), "{error:?}");
    let folder = tempfile::tempdir().unwrap();
    let error = refusal(&format!("postgres://u@/d?host={}", folder.path().display())).await;
    assert!(error.remedy().unwrap().contains("socket"), "{error:?}");

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let error = refusal(&format!("postgres://u@127.0.0.1:{port}/d?connect_timeout=1")).await;
    assert!(error.remedy().unwrap().contains("connect_timeout"), "{error:?}");

    let error = connect("postgres://localhost/d").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
}

#[tokio::test]
async fn start_up_parameters_reach_the_server() {
    for cluster in clusters(one(10)) {
        let parameters = "options=-c%20work_mem%3D1MB&application_name=my%20backup";
        let options = options(&url(&cluster, "postgres", "postgres", parameters))
            .with_startup_parameter("lock_timeout", "1234");
        let mut client = Client::connect(&options).await.unwrap();
        assert_eq!(value(&mut client, "show work_mem").await, "1MB");
        assert_eq!(value(&mut client, "show lock_timeout").await, "1234ms");
        assert_eq!(value(&mut client, "show client_encoding").await, "UTF8");
        let name = "select application_name from pg_stat_activity where pid = pg_backend_pid()";
        assert_eq!(value(&mut client, name).await, "my backup");
    }
}

#[tokio::test]
async fn an_ordinary_session_may_replicate_later() {
    for cluster in clusters(one(11)) {
        let options = options(&cluster.socket_url("postgres"))
            .with_startup_parameter("replication", "database");
        let mut client = Client::connect(&options).await.unwrap();
        let rows = client.query("IDENTIFY_SYSTEM").await.unwrap();
        assert_eq!(rows[0].by_name("dbname"), Some("postgres"));
        // CopyBoth is known and, asked for in the wrong place, refused.
        let error = client.query("START_REPLICATION PHYSICAL 0/0 TIMELINE 1").await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::SourceUnavailable | ErrorKind::Failed));
    }
}

#[tokio::test]
async fn libpq_programs_connect_the_same_way() {
    for cluster in clusters(one(12)) {
        let options = options(&url(&cluster, "modern", "postgres", "application_name=child"))
            .with_password(Secret::new("p@ss:w/rd ü"));
        let mut psql = cluster.command("psql");
        psql.env("PGHOST", "nowhere.invalid").env("PGOPTIONS", "-c no=such");
        for name in ConnectOptions::libpq_env_removed() {
            psql.env_remove(name);
        }
        psql.envs(options.libpq_env(cluster.major()));
        psql.args(["-XAtwc", "select current_user, current_setting('application_name')"]);
        let output = psql.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "modern|child", "{errors}");
    }
}
