//! A gateway on a host of its own, which holds nothing and mounts nothing.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::cluster::Cluster;
use crate::command::{Outcome, run};
use crate::lan::Host;
use crate::processes::{end_of, kill_hard, signal};
use crate::programs::{client, program};
use crate::wait::{DEADLINE, wait_until};

/// It is alone on its host.
const PORT: u16 = 9878;

/// See the module. Ended when dropped.
pub struct GatewayHost {
    child: Child,
    address: String,
    data: PathBuf,
    out: PathBuf,
    log: PathBuf,
}

impl GatewayHost {
    /// Joins and starts one that answers on its host's address.
    pub fn start(cluster: &Cluster, host: &Host, name: &str) -> GatewayHost {
        let data = cluster.joined_on(host, name, &["--role", "gateway"]);
        let mut gateway = GatewayHost::launch(cluster, host, data);
        wait_until("the gateway gets ready", || gateway.is_ready());
        gateway
    }

    /// Starts one that joined, and waits for nothing.
    pub fn launch(cluster: &Cluster, host: &Host, data: PathBuf) -> GatewayHost {
        let name = data.file_name().expect("a name").to_string_lossy();
        let file = |end: &str| cluster.elsewhere().join(format!("{name}.{end}"));
        let (config, out, log) = (file("toml"), file("out"), file("log"));
        let address = SocketAddr::new(host.address(), PORT).to_string();
        // Whoever answers other machines must have a key of its own; it opens nothing here that the cluster's keys do not.
        let text = format!(
            "[s3]\nenabled = true\nbind = \"{address}\"\naccess_key = \"of-{name}\"\nsecret_key = \"nobody-asks-with-it\"\n"
        );
        std::fs::write(&config, text).expect("a file");
        let child = host
            .command(&program("wolfdiskctl"))
            .arg("up")
            .arg("--config")
            .arg(&config)
            .arg("--data-dir")
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(File::create(&out).expect("a file"))
            .stderr(File::create(&log).expect("a file"))
            .spawn();
        GatewayHost {
            child: child.expect("wolfdiskctl can be started"),
            address,
            data,
            out,
            log,
        }
    }

    /// Whether it said that it is ready; it must run.
    pub fn is_ready(&mut self) -> bool {
        let ended = self.child.try_wait().expect("a child");
        assert!(ended.is_none(), "the gateway ended: {}", self.log());
        let said = std::fs::read_to_string(&self.out).expect("its output");
        assert!(!said.contains("mount="), "it mounts: {said}");
        said.lines().any(|line| line.starts_with("ready s3="))
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that it keeps.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Runs a script of Python that has boto3 on a host, as whoever has this access key.
pub fn boto3_on(host: &Host, key: &(String, String), script: &str, arguments: &[&str]) -> Outcome {
    run(host
        .command(&client("python/bin/python3"))
        .args(["-c", script])
        .args(arguments)
        .env("AWS_ACCESS_KEY_ID", &key.0)
        .env("AWS_SECRET_ACCESS_KEY", &key.1)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env_remove("AWS_CA_BUNDLE"))
}

/// A new access key of the cluster, and its secret.
pub fn cluster_key(cluster: &Cluster) -> (String, String) {
    let made = cluster.ask(&["s3", "key", "create"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let word = |name: &str| {
        let mut words = made.stdout.split_whitespace();
        let word = words.find_map(|word| word.strip_prefix(name));
        word.unwrap_or_else(|| panic!("no {name} in {made:?}"))
            .to_owned()
    };
    (word("AWS_ACCESS_KEY_ID="), word("AWS_SECRET_ACCESS_KEY="))
}

/// Whether any file below `folder` holds `text`.
pub fn holds(folder: &Path, text: &str) -> bool {
    let found = run(Command::new("grep")
        .args(["-rqaF", "--devices=skip", "--", text])
        .arg(folder));
    match found.code {
        Some(0) => true,
        Some(1) => false,
        _ => panic!("{found:?}"),
    }
}

impl Drop for GatewayHost {
    fn drop(&mut self) {
        let below = crate::processes::descendants(self.child.id());
        signal(self.child.id(), Signal::SIGTERM);
        if end_of(&mut self.child, DEADLINE).is_none() {
            eprintln!("the gateway does not stop: killed");
            kill_hard(self.child.id());
            below.iter().for_each(|(pid, _)| kill_hard(*pid));
        }
        if std::thread::panicking() {
            eprintln!("--- the gateway's log\n{}", self.log());
        }
    }
}
