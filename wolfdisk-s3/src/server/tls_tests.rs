//! HTTPS with certificates that `openssl` makes.

use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;
use crate::server::metrics::Connections;

/// Makes a certificate for `localhost` and its key.
fn make(directory: &Path, name: &str) -> (PathBuf, PathBuf) {
    let file = |ending| directory.join(format!("{name}.{ending}"));
    let (certificate, key) = (file("crt"), file("key"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{made:?}");
    allow(&key, 0o600);
    (certificate, key)
}

fn allow(file: &Path, mode: u32) {
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(file, mode).expect("a mode");
}

fn connector(certificate: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let bytes = std::fs::read(certificate).expect("a file");
    let certificate = CertificateDer::from_pem_slice(&bytes).expect("a certificate");
    roots.add(certificate).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocols")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// A connection, and how it is accepted.
async fn pair(
    tls: &Tls,
    deadline: Duration,
) -> (
    TcpStream,
    impl Future<Output = io::Result<TlsStream<PacedStream>>>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let client = TcpStream::connect(address).await.expect("a connection");
    let (server, _) = listener.accept().await.expect("a connection");
    let tls = tls.clone();
    let accepting = async move {
        let stream = PacedStream::new(server, Connections::default());
        tls.accept_within(stream, deadline).await
    };
    (client, accepting)
}

/// Whether a client that trusts just this certificate is served.
async fn is_served(tls: &Tls, certificate: &Path) -> bool {
    let (client, accepting) = pair(tls, TLS_HANDSHAKE_DEADLINE).await;
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = connector(certificate);
    let (client, server) = tokio::join!(connector.connect(name, client), accepting);
    let (Ok(mut client), Ok(mut server)) = (client, server) else {
        return false;
    };
    server.write_all(b"hello").await.expect("written");
    server.flush().await.expect("sent");
    let mut got = [0; 5];
    client.read_exact(&mut got).await.expect("read");
    got == *b"hello"
}

#[tokio::test]
async fn clients_speak_with_the_certificate_that_is_in_the_file_now() {
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key) = make(directory.path(), "first");
    let tls = Tls::load(&certificate, &key).expect("it is good");
    let (other, other_key) = make(directory.path(), "second");
    assert!(is_served(&tls, &certificate).await);
    assert!(!is_served(&tls, &other).await);
    let before = tls.changed();
    let first = directory.path().join("kept.crt");
    std::fs::copy(&certificate, &first).expect("copied");
    std::fs::rename(&other, &certificate).expect("renamed");
    // The key is not there yet: what was goes on.
    assert!(matches!(tls.reload(), Err(TlsError::Unusable { .. })));
    assert!(is_served(&tls, &first).await);
    std::fs::rename(&other_key, &key).expect("renamed");
    assert_ne!(tls.changed(), before);
    tls.reload().expect("it is good");
    assert!(is_served(&tls, &certificate).await);
    assert!(!is_served(&tls, &first).await);
}

#[tokio::test]
async fn who_does_not_speak_it_is_turned_away() {
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key) = make(directory.path(), "it");
    let tls = Tls::load(&certificate, &key).expect("it is good");
    let (mut client, accepting) = pair(&tls, TLS_HANDSHAKE_DEADLINE).await;
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .expect("written");
    assert!(accepting.await.is_err());
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), client.read_to_end(&mut rest));
    // An alert, or nothing, and the end.
    let _ = ended.await.expect("it ends");
    assert!(!rest.starts_with(b"HTTP"));
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key) = make(directory.path(), "it");
    let tls = Tls::load(&certificate, &key).expect("it is good");
    let (_client, accepting) = pair(&tls, Duration::from_millis(50)).await;
    let error = accepting.await.expect_err("it takes too long");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn what_is_wrong_is_named_with_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key) = make(directory.path(), "it");
    let (_, other_key) = make(directory.path(), "other");
    let error = |certificate: &Path, key: &Path| {
        Tls::load(certificate, key)
            .expect_err("it is no good")
            .to_string()
    };
    let missing = directory.path().join("missing");
    assert!(error(&missing, &key).contains("missing, which s3.tls_cert names"));
    assert!(error(&certificate, &missing).contains("missing, which s3.tls_key names"));
    assert!(error(&key, &key).contains("holds no certificate in PEM"));
    allow(&certificate, 0o600);
    assert!(error(&certificate, &certificate).contains("holds no private key"));
    assert!(error(&certificate, &other_key).contains("cannot be used together"));
    allow(&key, 0o640);
    assert!(error(&certificate, &key).ends_with(&format!("run: chmod 600 {}", key.display())));
}
