//! A Prometheus that reads daemons as the example says, every second.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use wolfdisk_tests::{free_port, installed, kill_hard, run, told, wait_until};

use crate::deployed;

/// See the module. Ended when dropped.
pub struct Prometheus {
    child: Child,
    url: String,
    log: PathBuf,
}

impl Prometheus {
    /// Starts one in `folder` and waits until it answers. `daemons` are ports of the example, and where those daemons are.
    pub fn start(folder: &Path, daemons: &[(&str, String)]) -> Prometheus {
        let (port, config) = (free_port(), folder.join("prometheus.yml"));
        let rules = deployed("prometheus/wolfdisk.rules.yml");
        fs::write(folder.join("wolfdisk.rules.yml"), rules).expect("a file");
        fs::write(&config, configuration(daemons)).expect("a file");
        let log = folder.join("prometheus.log");
        let mut command = Command::new(installed("prometheus"));
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!(
            "--storage.tsdb.path={}",
            folder.join("series").display()
        ));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a file"))
            .spawn();
        let mut prometheus = Prometheus {
            child: child.expect("prometheus can be started"),
            url: format!("http://127.0.0.1:{port}"),
            log,
        };
        wait_until("prometheus gets ready", || {
            let ended = prometheus.child.try_wait().expect("a child");
            assert!(ended.is_none(), "prometheus ended: {}", prometheus.log());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
                && told(&prometheus.url, "-/ready").1 == "200"
        });
        prometheus
    }

    /// The series that an expression gives just now.
    pub fn ask(&self, expression: &str) -> Vec<Value> {
        let said = run(Command::new(installed("promtool"))
            .args(["query", "--format=json", "instant", &self.url])
            .arg(expression));
        assert_eq!(said.code, Some(0), "{expression}: {}", said.stderr);
        serde_json::from_str(&said.stdout).expect("a list")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// The example with other places, read every second.
fn configuration(daemons: &[(&str, String)]) -> String {
    let example = deployed("prometheus/scrape.yml").replace("interval: 15s", "interval: 1s");
    let mut text = String::new();
    for line in example.lines() {
        let of = daemons.iter().find(|(port, _)| line.contains(port));
        match (line.split_once("targets: "), of) {
            (Some((before, _)), Some((_, url))) => {
                let place = url.strip_prefix("http://").expect("a plain address");
                text += &format!("{before}targets: [\"{place}\"]\n");
            }
            (Some(_), None) => panic!("nobody is at {line}"),
            (None, _) => text += &format!("{line}\n"),
        }
    }
    text
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        kill_hard(self.child.id());
        if let Err(error) = self.child.wait() {
            eprintln!("prometheus cannot be waited for: {error}");
        }
    }
}
