//! S3 over HTTPS: clients that trust its certificate get what they get without, and no others do. They send and check
//! otherwise there: bodies are not signed, and their checksums come after them. A renewed certificate is taken up by a
//! gateway that runs.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::sys::signal::Signal;
use wolfdisk_tests::{Gateway, Node, Scratch, run, signal, wait_until};

fn section(name: &str) {
    let node = Node::start();
    let gateway = Gateway::with_https(&node);
    gateway.must_pass(name);
    gateway.stop();
    node.must_be_whole();
}

#[test]
fn objects_are_files() {
    section("objects");
}

#[test]
fn checksums_are_verified_and_kept() {
    section("checksums");
}

#[test]
fn uploads_in_parts_become_one_object() {
    section("multipart");
}

#[test]
fn only_who_has_a_key_is_served() {
    section("access");
}

#[test]
fn who_does_not_trust_it_or_speaks_in_the_clear_gets_nothing() {
    let node = Node::start();
    let gateway = Gateway::with_https(&node);
    let curl = |options: &[&str], address: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}"]);
        run(curl.args(options).arg(address))
    };
    let address = gateway.address();
    let stranger = curl(&[], &address);
    // "Peer certificate cannot be authenticated".
    assert_eq!(stranger.code, Some(60), "{stranger:?}");
    let plain = curl(&[], &address.replace("https:", "http:"));
    assert_ne!(plain.code, Some(0), "{plain:?}");
    // It is there all the same, and asks for a signature.
    let trusting = curl(&["--insecure"], &address);
    assert_eq!(trusting.stdout, "403", "{trusting:?}");
    gateway.stop();
    node.must_be_whole();
}

/// What is said with an `openssl s_client` that goes on.
struct Client {
    client: Child,
    said: BufReader<ChildStdout>,
}

impl Client {
    fn with(gateway: &Gateway) -> Client {
        let mut client = s_client(gateway)
            .arg("-quiet")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl runs");
        let said = BufReader::new(client.stdout.take().expect("a pipe"));
        Client { client, said }
    }

    /// Asks for what needs a signature: the connection is left open.
    fn is_answered(&mut self) -> bool {
        let ask = b"HEAD /bucket HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let input = self.client.stdin.as_mut().expect("a pipe");
        let mut line = String::new();
        if input.write_all(ask).is_err() || self.said.read_line(&mut line).is_err() {
            return false;
        }
        let status = line.clone();
        while !line.trim().is_empty() {
            line.clear();
            self.said.read_line(&mut line).expect("a header");
        }
        status.starts_with("HTTP/1.1 403")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let ended = self.client.kill().and_then(|()| self.client.wait());
        if let Err(error) = ended {
            eprintln!("a client cannot be ended: {error}");
        }
    }
}

fn s_client(gateway: &Gateway) -> Command {
    let address = gateway.address().replace("https://localhost", "127.0.0.1");
    let mut client = Command::new("openssl");
    client.args(["s_client", "-servername", "localhost", "-connect", &address]);
    client
}

/// The number of a certificate in PEM.
fn serial(pem: &str) -> String {
    let file = Scratch::new();
    let path = file.path().join("pem");
    fs::write(&path, pem).expect("written");
    let mut openssl = Command::new("openssl");
    let shown = run(openssl.args(["x509", "-noout", "-serial", "-in"]).arg(path));
    assert_eq!(shown.code, Some(0), "{shown:?}");
    shown.stdout
}

/// That of the certificate which a new client is shown.
fn shown(gateway: &Gateway) -> String {
    let said = run(&mut s_client(gateway));
    serial(&said.stdout)
}

#[test]
fn a_renewed_certificate_is_shown_at_a_word_and_one_that_is_none_changes_nothing() {
    let node = Node::start();
    let gateway = Gateway::with_https(&node);
    let (certificate, key) = gateway.certificate_and_key();
    let read = |file: &Path| fs::read_to_string(file).expect("readable");
    let mut first = Client::with(&gateway);
    assert!(first.is_answered());
    let old = serial(&read(&certificate));
    assert_eq!(shown(&gateway), old);

    let (old_certificate, old_key) = (read(&certificate), read(&key));
    gateway.renew_certificate();
    let new = serial(&read(&certificate));
    assert_ne!(new, old);
    signal(gateway.pid(), Signal::SIGHUP);
    wait_until("the new certificate is shown", || shown(&gateway) == new);
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert"]);
    let trusting = run(curl.arg(&certificate).arg(gateway.address()));
    assert_eq!(trusting.stdout, "403", "{trusting:?}");
    let mut second = Client::with(&gateway);
    assert!(first.is_answered() && second.is_answered());

    let good = (read(&certificate), read(&key));
    for (wrong_certificate, wrong_key, why) in [
        ("no certificate", &*good.1, "holds no certificate in PEM"),
        (&*good.0, "no key", "holds no private key in PEM"),
        (&*old_certificate, &*good.1, "cannot be used together"),
        (&*good.0, &*old_key, "cannot be used together"),
    ] {
        fs::write(&certificate, wrong_certificate).expect("written");
        fs::write(&key, wrong_key).expect("written");
        let before = gateway.log().matches(why).count();
        signal(gateway.pid(), Signal::SIGHUP);
        wait_until(why, || gateway.log().matches(why).count() > before);
        assert_eq!(shown(&gateway), new, "{why}");
        assert!(first.is_answered() && second.is_answered(), "{why}");
    }
    fs::write(&certificate, &old_certificate).expect("written");
    fs::write(&key, &old_key).expect("written");
    signal(gateway.pid(), Signal::SIGHUP);
    wait_until("the one before is shown again", || shown(&gateway) == old);
    assert!(first.is_answered() && second.is_answered());
    drop((first, second));
    gateway.stop();
}
