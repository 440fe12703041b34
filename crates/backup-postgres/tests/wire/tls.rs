//! TLS: what each `sslmode` accepts and refuses, and channel binding.

use std::path::{Path, PathBuf};
use std::process::Command;

use backup_core::{Error, ErrorKind};
use backup_postgres::{Client, ConnectOptions};
use backup_testkit::postgres::Cluster;
use rcgen::KeyPair;
use tempfile::TempDir;

use crate::support::{Authority, connect, majors, one, options, params, url, value};

const HBA: &str = "\
hostssl all certified 127.0.0.1/32 cert
hostssl all old 127.0.0.1/32 md5
hostssl all app 127.0.0.1/32 scram-sha-256
hostssl all postgres 127.0.0.1/32 trust
hostnossl all insecure 127.0.0.1/32 trust";

const ROLES: &str = "\
create role certified login; create role insecure login;
create role app login password 'secret';
set password_encryption = 'md5'; create role old login password 'secret';";

/// A server with TLS, an authority, and their files.
struct Secured {
    cluster: Cluster,
    authority: Authority,
    folder: TempDir,
}

impl Secured {
    fn start(major: u32, names: &[&str], expired: bool) -> Option<Self> {
        let authority = Authority::new("test authority");
        let key = KeyPair::generate().unwrap();
        let certificate = authority.server(names, &key, expired);
        let folder = tempfile::tempdir().unwrap();
        let cluster = start(major, &certificate, &key.serialize_pem(), &authority.pem)?;
        std::fs::write(folder.path().join("ca.pem"), &authority.pem).unwrap();
        std::fs::write(folder.path().join("server.pem"), &certificate).unwrap();
        Some(Self { cluster, authority, folder })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self, login: &str, host: &str, parameters: &str) -> String {
        let port = self.cluster.port();
        format!("postgres://{login}@{host}:{port}/postgres?hostaddr=127.0.0.1&{parameters}")
    }

    fn with_root(&self, login: &str, host: &str, parameters: &str) -> String {
        self.url(
            login,
            host,
            &format!("sslrootcert={}&{parameters}", self.file("ca.pem").display()),
        )
    }
}

fn start(major: u32, certificate: &str, key: &str, authority: &str) -> Option<Cluster> {
    let roots = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(roots.path(), authority).unwrap();
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(roots.path(), readable).unwrap();
    let cluster = Cluster::builder(major)
        .hba(HBA)
        .tls(certificate, key)
        .setting("ssl_ca_file", &roots.path().display().to_string())
        .start()?;
    cluster.sql("postgres", ROLES);
    Some(cluster)
}

async fn refusal(url: &str, word: &str) -> Error {
    let error = connect(url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable, "{error:?}");
    let text = format!("{error} {}", error.remedy().unwrap_or_default());
    assert!(text.contains(word), "{url}: {text}");
    error
}

const ENCRYPTED: &str = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";

#[tokio::test]
async fn each_mode_accepts_what_it_should() {
    for major in majors() {
        let names = ["db.test", "127.0.0.1"];
        let Some(server) = Secured::start(major, &names, false) else { continue };
        for url in [
            server.with_root("postgres", "db.test", ""),
            server.with_root("postgres", "db.test", "sslmode=verify-full"),
            server.with_root("postgres", "127.0.0.1", "sslmode=verify-full"),
            server.with_root("postgres", "other.test", "sslmode=verify-ca"),
            server.with_root("postgres", "other.test", "sslmode=require"),
            server.url("postgres", "other.test", "sslmode=require"),
            server.url("postgres", "other.test", "sslmode=prefer"),
            server.url("postgres", "localhost", ""),
            server.url("postgres", "not%20a%20name", "sslmode=require"),
        ] {
            let mut client = connect(&url).await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
            assert_eq!(value(&mut client, ENCRYPTED).await, "t", "{url}");
            client.close().await;
        }
        let mut plain =
            connect(&server.url("insecure", "db.test", "sslmode=disable")).await.unwrap();
        assert_eq!(value(&mut plain, ENCRYPTED).await, "f");
    }
}

#[tokio::test]
async fn each_mode_refuses_what_it_should() {
    for major in one(18) {
        let Some(server) = Secured::start(major, &["db.test"], false) else { continue };
        let stranger = Authority::new("stranger");
        std::fs::write(server.file("stranger.pem"), &stranger.pem).unwrap();
        let strange = format!("sslrootcert={}", server.file("stranger.pem").display());
        let full = server.with_root("postgres", "other.test", "");
        refusal(&full, "verify-ca").await;
        refusal(&server.with_root("postgres", "127.0.0.1", "sslmode=verify-full"), "name").await;
        for mode in ["verify-full", "verify-ca", "require"] {
            let parameters = format!("{strange}&sslmode={mode}");
            refusal(&server.url("postgres", "db.test", &parameters), "sslrootcert").await;
        }
        // The system trusts no authority of ours.
        refusal(&server.url("postgres", "db.test", "sslmode=verify-full"), "sslrootcert").await;
        refusal(&server.url("postgres", "db.test", "sslrootcert=system"), "sslrootcert").await;
        refusal(&server.url("postgres", "db.test", "sslmode=disable"), "pg_hba.conf").await;
        let missing = server.url("postgres", "db.test", "sslrootcert=/nowhere/ca.pem");
        let error = connect(&missing).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
        std::fs::write(server.file("empty.pem"), "no certificate").unwrap();
        let empty = format!("sslrootcert={}", server.file("empty.pem").display());
        let error = connect(&server.url("postgres", "db.test", &empty)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    }
}

#[tokio::test]
async fn expired_certificates_are_refused() {
    let major = majors()[0];
    let Some(server) = Secured::start(major, &["db.test"], true) else { return };
    refusal(&server.with_root("postgres", "db.test", ""), "Renew").await;
    connect(&server.url("postgres", "db.test", "sslmode=require")).await.unwrap();
}

#[tokio::test]
async fn a_self_signed_certificate_can_be_trusted_by_itself() {
    for major in one(19) {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&["db.test"]);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).unwrap().pem();
        let Some(cluster) = start(major, &own, &key.serialize_pem(), &own) else { continue };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.pem");
        std::fs::write(&file, &own).unwrap();
        let at = |host: &str, parameters: &str| {
            format!(
                "postgres://postgres@{host}:{}/postgres?hostaddr=127.0.0.1&sslrootcert={}&{parameters}",
                cluster.port(),
                file.display()
            )
        };
        connect(&at("db.test", "sslmode=verify-full")).await.unwrap();
        connect(&at("other.test", "sslmode=verify-ca")).await.unwrap();
        refusal(&at("other.test", "sslmode=verify-full"), "name").await;
    }
}

#[tokio::test]
async fn clients_can_show_a_certificate() {
    for major in one(20) {
        let Some(server) = Secured::start(major, &["db.test"], false) else { continue };
        let key = KeyPair::generate().unwrap();
        // The server reads its authorities once, at its start; they are gone by now.
        std::fs::write(server.file("c.pem"), server.authority.client("certified", &key)).unwrap();
        std::fs::write(server.file("c.key"), key.serialize_pem()).unwrap();
        let pair = format!(
            "sslcert={}&sslkey={}",
            server.file("c.pem").display(),
            server.file("c.key").display()
        );
        let mut client = connect(&server.with_root("certified", "db.test", &pair)).await.unwrap();
        assert_eq!(value(&mut client, "select current_user").await, "certified");
        refusal(&server.with_root("certified", "db.test", ""), "certificate").await;
    }
}

#[tokio::test]
async fn the_login_is_bound_to_the_channel_where_that_is_possible() {
    for major in majors() {
        let Some(server) = Secured::start(major, &["db.test"], false) else { continue };
        let login = "app:secret";
        // The server computes the same hash of its certificate, or refuses the login.
        for binding in ["require", "prefer", "disable"] {
            let parameters = format!("channel_binding={binding}");
            connect(&server.with_root(login, "db.test", &parameters)).await.unwrap();
        }
        let parameters = "channel_binding=require&sslmode=require";
        connect(&server.url(login, "db.test", parameters)).await.unwrap();
        // A wrong password stays a wrong password.
        let error = refusal(&server.url("app:wrong", "db.test", parameters), "password").await;
        assert_eq!(backup_postgres::sqlstate(&error), Some("28P01"));
        for role in ["old:secret", "postgres"] {
            refusal(&server.url(role, "db.test", parameters), "channel_binding").await;
        }
        let clear = "channel_binding=require&sslmode=disable";
        refusal(&server.url("insecure", "db.test", clear), "channel_binding").await;
    }
}

/// Certificates signed in other ways, made by the openssl program.
#[tokio::test]
async fn channel_binding_knows_every_usual_signature() {
    let major = majors().last().copied().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, arguments, bindable) in [
        ("rsa-sha1", "-newkey rsa:2048 -sha1", true),
        ("rsa-sha256", "-newkey rsa:2048 -sha256", true),
        ("rsa-sha384", "-newkey rsa:2048 -sha384", true),
        ("rsa-sha512", "-newkey rsa:2048 -sha512", true),
        ("rsa-pss", "-newkey rsa:2048 -sha384 -sigopt rsa_padding_mode:pss", true),
        ("ecdsa-sha384", "-newkey ec -pkeyopt ec_paramgen_curve:P-384 -sha384", true),
        ("ecdsa-sha512", "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha512", true),
        ("ed25519", "-newkey ed25519", false),
    ] {
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        if !openssl(arguments, &certificate, &key) {
            eprintln!("skipped: openssl cannot make {name}");
            continue;
        }
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let Some(cluster) = start(major, &read(&certificate), &read(&key), &read(&certificate))
        else {
            return;
        };
        let at = |binding| {
            let parameters = format!("sslmode=require&channel_binding={binding}");
            url(&cluster, "app:secret", "postgres", &parameters)
        };
        if bindable {
            connect(&at("require")).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        } else {
            refusal(&at("require"), "channel_binding").await;
        }
    }
}

fn openssl(arguments: &str, certificate: &Path, key: &Path) -> bool {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-nodes", "-subj", "/CN=db.test", "-days", "2"]);
    command.args(arguments.split(' ')).arg("-out").arg(certificate).arg("-keyout").arg(key);
    command.output().is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn tls_may_begin_without_a_question() {
    for major in majors().into_iter().filter(|major| *major >= 17) {
        let Some(server) = Secured::start(major, &["db.test"], false) else { continue };
        let url = server.with_root("app:secret", "db.test", "sslnegotiation=direct");
        let mut client = connect(&url).await.unwrap();
        assert_eq!(value(&mut client, ENCRYPTED).await, "t");
        let token = client.cancel_token();
        let asleep = tokio::spawn(async move { client.query("select pg_sleep(60)").await.err() });
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        token.cancel().await.unwrap();
        let error = asleep.await.unwrap().unwrap();
        assert_eq!(backup_postgres::sqlstate(&error), Some("57014"));
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_unless_that_was_allowed() {
    let Some(cluster) = Cluster::start(majors()[0]) else { return };
    let at = |mode| options(&url(&cluster, "postgres", "postgres", &format!("sslmode={mode}")));
    for mode in ["require", "verify-ca", "verify-full"] {
        let error = Client::connect(&at(mode)).await.unwrap_err();
        assert!(error.remedy().unwrap().contains("ssl = on"), "{error:?}");
    }
    for mode in ["prefer", "allow", "disable"] {
        Client::connect(&at(mode)).await.unwrap();
    }
}

#[tokio::test]
async fn libpq_programs_verify_the_same_way() {
    for major in one(21) {
        let Some(server) = Secured::start(major, &["db.test"], false) else { continue };
        for (host, works) in [("db.test", true), ("other.test", false)] {
            let options = options(&server.with_root("app:secret", host, "channel_binding=require"));
            let mut psql = server.cluster.command("psql");
            for name in ConnectOptions::libpq_env_removed() {
                psql.env_remove(name);
            }
            psql.envs(options.libpq_env(major)).args(["-XAtwc", ENCRYPTED]);
            let output = psql.output().unwrap();
            assert_eq!(output.status.success(), works, "{host}: {output:?}");
        }
    }
}
