//! A `wolfdisk-s3` beside a running node, on ports of its own, and boto3 that asks it.

use std::fs::{File, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::command::{Outcome, run};
use crate::node::Node;
use crate::ports::{free_port, s3_admin_at};
use crate::processes::{kill_hard, signal};
use crate::programs::{client, https_program, program};
use crate::wait::wait_until;

/// The key that it serves.
const ACCESS_KEY: &str = "test-access-key";
/// A text that is found in no log unless it was logged.
const SECRET_KEY: &str = "test-secret-that-no-log-may-hold";
/// What boto3 asks, section by section.
const BASICS: &str = include_str!("s3_basics.py");
/// What it is asked and must refuse.
const BAD_INPUT: &str = include_str!("s3_bad_input.py");

/// See the module. Ended when dropped.
pub struct Gateway {
    child: Child,
    port: u16,
    admin: u16,
    mount: PathBuf,
    log: PathBuf,
    /// Of one that speaks HTTPS: whom its clients trust.
    certificate: Option<PathBuf>,
}

impl Gateway {
    /// Starts one for `node` and waits until it answers. `settings` are further lines of `[s3]`.
    pub fn start(node: &Node, settings: &str) -> Gateway {
        Gateway::start_bound(node, settings, Ipv4Addr::LOCALHOST)
    }

    /// The same on another address than loopback's, which only its command line says.
    pub fn start_bound(node: &Node, settings: &str, to: Ipv4Addr) -> Gateway {
        Gateway::start_program(node, settings, to, &program("wolfdisk-s3"))
    }

    fn start_program(node: &Node, settings: &str, to: Ipv4Addr, program: &Path) -> Gateway {
        let (port, admin) = (free_port(), free_port());
        let config = node.scratch().path().join(format!("s3-{port}.toml"));
        let text = format!(
            "[s3]\nbind = \"127.0.0.1:{port}\"\n{settings}\n{}",
            s3_admin_at(admin)
        );
        std::fs::write(&config, text).expect("a file");
        let log = node.scratch().path().join(format!("s3-{port}.log"));
        let child = Command::new(program)
            .arg("--config")
            .arg(&config)
            .arg("--data-dir")
            .arg(node.data())
            .arg("--bind")
            .arg(format!("{to}:{port}"))
            .stdin(Stdio::null())
            .stderr(File::create(&log).expect("a file"))
            .spawn();
        let mut gateway = Gateway {
            child: child.expect("wolfdisk-s3 can be started"),
            port,
            admin,
            mount: node.mount().to_owned(),
            log,
            certificate: None,
        };
        wait_until("the gateway gets ready", || {
            let ended = gateway.child.try_wait().expect("a child");
            assert!(ended.is_none(), "wolfdisk-s3 ended: {}", gateway.log());
            gateway.log().contains("wolfdisk-s3 is ready")
        });
        gateway
    }

    /// One that serves signed requests only.
    pub fn with_key(node: &Node) -> Gateway {
        Gateway::with_key_and(node, "")
    }

    /// The same with further lines of `[s3]`.
    pub fn with_key_and(node: &Node, settings: &str) -> Gateway {
        let keys = format!("access_key = \"{ACCESS_KEY}\"\nsecret_key = \"{SECRET_KEY}\"");
        Gateway::start(node, &format!("{keys}\n{settings}"))
    }

    /// The same over HTTPS, with a certificate that it signed itself.
    pub fn with_https(node: &Node) -> Gateway {
        let certificate = node.scratch().path().join("s3.crt");
        let key = key_of(&certificate);
        make_certificate(&certificate);
        let settings = format!(
            "access_key = \"{ACCESS_KEY}\"\nsecret_key = \"{SECRET_KEY}\"\n\
             tls_cert = \"{}\"\ntls_key = \"{}\"",
            certificate.display(),
            key.display()
        );
        let mut gateway =
            Gateway::start_program(node, &settings, Ipv4Addr::LOCALHOST, &https_program());
        gateway.certificate = Some(certificate);
        gateway
    }

    /// Where it answers.
    pub fn address(&self) -> String {
        match self.certificate {
            None => format!("http://127.0.0.1:{}", self.port),
            // The name that its certificate is for.
            Some(_) => format!("https://localhost:{}", self.port),
        }
    }

    /// The files of its certificate and of the key, of one that speaks HTTPS.
    pub fn certificate_and_key(&self) -> (PathBuf, PathBuf) {
        let certificate = self.certificate.clone().expect("it speaks HTTPS");
        let key = key_of(&certificate);
        (certificate, key)
    }

    /// Writes another certificate and another key into these files. Nobody tells it.
    pub fn renew_certificate(&self) {
        make_certificate(&self.certificate_and_key().0);
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it says how it is.
    pub fn admin(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin)
    }

    /// Has boto3 ask what a section of `s3_basics.py` asks; all of it must hold.
    pub fn must_pass(&self, section: &str) {
        self.must_hold(BASICS, &[section]);
    }

    /// The same with a section of `s3_bad_input.py`.
    pub fn must_refuse(&self, section: &str) {
        self.must_hold(BAD_INPUT, &[section]);
    }

    /// The same with what the section takes.
    pub fn must_refuse_with(&self, section: &str, what: &[&str]) {
        self.must_hold(BAD_INPUT, &[&[section], what].concat());
    }

    fn must_hold(&self, script: &str, arguments: &[&str]) {
        let outcome = self.boto3(script, arguments);
        let section = arguments.join(" ");
        assert_eq!(
            outcome.code,
            Some(0),
            "{section}\n{}\n{}\n--- the gateway's log\n{}",
            outcome.stdout,
            outcome.stderr,
            self.log()
        );
    }

    fn boto3(&self, script: &str, arguments: &[&str]) -> Outcome {
        run(Command::new(client("python/bin/python3"))
            .args(["-c", script])
            .arg(self.address())
            .arg(&self.mount)
            .args(arguments)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env_remove("AWS_CA_BUNDLE")
            .envs(self.certificate.iter().flat_map(|certificate| {
                // For boto3, and for the rest of Python.
                ["AWS_CA_BUNDLE", "SSL_CERT_FILE"].map(|name| (name, certificate))
            })))
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `kill -9`.
    pub fn kill(self) {
        kill_hard(self.child.id());
    }

    /// Stops it in order. Panics unless it ends with code 0 and kept its secret to itself.
    pub fn stop(mut self) {
        signal(self.child.id(), Signal::SIGTERM);
        let mut status = None;
        wait_until("the gateway stops", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        let code = status.and_then(|status| status.code());
        assert_eq!(code, Some(0), "{}", self.log());
        assert!(!self.log().contains(SECRET_KEY), "a secret was logged");
    }
}

/// Where the key of a certificate is.
fn key_of(certificate: &Path) -> PathBuf {
    certificate.with_extension("key")
}

/// Makes a certificate for `localhost`, and its key.
fn make_certificate(certificate: &Path) {
    let key = key_of(certificate);
    let made = run(Command::new("openssl")
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
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(certificate));
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("its mode");
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            kill_hard(self.child.id());
        }
        if let Err(error) = self.child.wait() {
            eprintln!("wolfdisk-s3 cannot be waited for: {error}");
        }
    }
}
