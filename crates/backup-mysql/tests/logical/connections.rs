//! Sessions: TLS, accounts, sockets.

use backup_core::{ErrorKind, Result};
use backup_mysql::{Client, ConnectOptions};
use backup_testkit::mariadb::MariaDb;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

async fn ask(url: &str) -> Result<String> {
    let mut client = Client::connect(&ConnectOptions::parse(url)?).await?;
    let row = client.first("SHOW STATUS LIKE 'Ssl_version'").await?;
    client.close().await;
    Ok(row.map(|row| row.text(1)).unwrap_or_default())
}

#[tokio::test]
async fn each_ssl_mode_accepts_what_it_says() {
    // A server's certificate for localhost, from an authority of its own.
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let own_key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own = own.signed_by(&own_key, &issuer).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    open_to_all(folder.path());
    let ca = file("ca.pem", authority.pem());
    let settings = [
        format!("--ssl-cert={}", file("server.pem", own.pem())),
        format!("--ssl-key={}", file("server.key", own_key.serialize_pem())),
    ];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let Some(server) = MariaDb::start(&settings) else { return };
    let url = |host: &str, parameters: &str| {
        format!("mysql://root@{host}:{}/mysql?{parameters}", server.port())
    };
    assert_eq!(ask(&url("127.0.0.1", "ssl-mode=disabled")).await.unwrap(), "");
    for (host, parameters) in [
        ("127.0.0.1", "ssl-mode=required".to_owned()),
        ("127.0.0.1", format!("ssl-name=localhost&ssl-ca={ca}")),
        ("localhost", format!("ssl-mode=verify-identity&ssl-ca={ca}")),
        // Whoever names an authority wants it asked.
        ("localhost", format!("ssl-ca={ca}")),
    ] {
        let version = ask(&url(host, &parameters)).await.unwrap();
        assert!(version.starts_with("TLS"), "{parameters}: {version}");
    }
    for (host, parameters) in [
        ("127.0.0.1", format!("ssl-mode=verify-identity&ssl-ca={ca}")),
        ("localhost", "ssl-mode=verify-identity".to_owned()),
    ] {
        let error = ask(&url(host, &parameters)).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::SourceUnavailable, "{parameters}: {error}");
        assert!(error.remedy().unwrap().contains("ssl-ca"), "{error:?}");
    }
}

#[tokio::test]
async fn sockets_and_accounts_of_every_kind_are_spoken_to() {
    let Some(server) = MariaDb::start(&["--plugin-load-add=auth_ed25519", "--skip-ssl"]) else {
        return;
    };
    server.sql(
        "",
        "CREATE USER modern@localhost IDENTIFIED VIA ed25519 USING PASSWORD('p:w');
         CREATE USER plain@localhost IDENTIFIED BY 'p:w'; CREATE USER empty@localhost;",
    );
    for user in ["modern:p%3Aw", "plain:p%3Aw", "empty"] {
        assert_eq!(ask(&server.url_of(user, "information_schema")).await.unwrap(), "", "{user}");
    }
    let socket = format!("mysql://root@/mysql?socket={}", server.socket().display());
    ask(&socket).await.unwrap();
    let error = ask(&server.url_of("plain:wrong", "mysql")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable);
    assert!(!format!("{error:?}").contains("wrong"), "{error:?}");
    let error = ask(&server.url("nowhere")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable);
    // TLS that is asked for is never done without.
    let plain = format!("{}?ssl-mode=required", server.url("mysql"));
    assert!(ask(&plain).await.err().unwrap().remedy().unwrap().contains("offers no TLS"));
}

fn open_to_all(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
}
