//! Encrypted.

use std::sync::Arc;

use backup_api::{Server, TlsFiles};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::port::{NAMES, now};
use crate::serve::{Served, loopback, ports};
use crate::world::{World, picture};

#[tokio::test]
async fn with_a_certificate_it_speaks_tls_and_nothing_else() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
    };
    let mut settings = loopback();
    settings.tls = Some(files.clone());
    let world = World::new(picture(now(), NAMES));
    assert!(Server::bind(settings.clone(), ports(&world)).await.is_err(), "no files yet");
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let served = Served::of(world, settings).await;

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(served.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream =
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut heard = String::new();
    let _ = stream.read_to_string(&mut heard).await;
    assert!(heard.starts_with("HTTP/1.1 200"), "{heard}");
    assert!(heard.contains("strict-transport-security"), "{heard}");
    assert_eq!(served.get("/health").await.status, 0, "plain text is not answered");
    served.stop().await;
}

#[tokio::test]
async fn the_socket_is_its_owners_and_trusted() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backupd.sock");
    let world = World::new(picture(now(), NAMES));
    let bind = || async { Server::bind(loopback(), ports(&world)).await.unwrap() };
    let served = Served::start(world.clone(), bind().await.also_socket(&path).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(bind().await.also_socket(&path).is_err(), "somebody listens there");
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let ask = b"GET /api/v1/tokens HTTP/1.1\r\nHost: backupd\r\nConnection: close\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.unwrap();
    assert!(heard.starts_with("HTTP/1.1 200"), "{heard}");
    served.stop().await;
    assert!(bind().await.also_socket(&path).is_ok(), "what was left behind is replaced");
    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert!(bind().await.also_socket(&file).is_err(), "another file is left alone");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
}
