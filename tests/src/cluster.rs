//! A node that others reach, and machines that joined it and hold nothing themselves: on this machine over loopback, or on
//! hosts of a [`Lan`](crate::Lan).

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{Outcome, run};
use crate::lan::Host;
use crate::node::{Node, Plan};
use crate::ports::free_port;
use crate::programs::program;
use crate::scratch::Scratch;

/// As people leave it.
const ON_THE_NETWORK: &str = "[node]\nid = \"alpha\"\n";

/// See the module.
pub struct Cluster {
    node: Node,
    elsewhere: Scratch,
}

impl Cluster {
    /// The node on this machine.
    pub fn start() -> Cluster {
        // Where nobody else reaches or hears it, and where it is again when it was started anew.
        let (meta, chunkd) = (free_port(), free_port());
        let text = format!(
            "[node]\nid = \"alpha\"\nbind = \"127.0.0.1:{meta}\"\nchunk_bind = \"127.0.0.1:{chunkd}\"\n\
             [cluster]\ndiscovery = \"none\"\n"
        );
        Cluster::with(&text, Vec::new())
    }

    /// The node on a host.
    pub fn start_on(host: &Host) -> Cluster {
        let bind = match host.address() {
            IpAddr::V4(_) => "",
            IpAddr::V6(_) => "bind = \"[::]:9500\"\n",
        };
        Cluster::with(&format!("{ON_THE_NETWORK}{bind}"), host.prefix())
    }

    fn with(config: &str, prefix: Vec<OsString>) -> Cluster {
        let elsewhere = Scratch::new();
        let file = elsewhere.path().join("config.toml");
        std::fs::write(&file, config).expect("written");
        // On purpose, whoever else is heard.
        let data = elsewhere.path().join("data");
        let mut found = Command::new(program("wolfdiskctl"));
        let founded = run(found
            .args(["init", "--config"])
            .arg(&file)
            .arg("--data-dir")
            .arg(&data));
        assert_eq!(founded.code, Some(0), "{founded:?}");
        let node = Node::start_as(Plan {
            data: Some(data),
            arguments: vec!["--config".into(), file.into()],
            prefix,
            ..Plan::default()
        });
        Cluster { node, elsewhere }
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The same, to stop and start it.
    pub fn node_mut(&mut self) -> &mut Node {
        &mut self.node
    }

    /// Where the data directories of others are.
    pub fn elsewhere(&self) -> &Path {
        self.elsewhere.path()
    }

    /// Runs `wolfdiskctl` on the node.
    pub fn ask(&self, arguments: &[&str]) -> Outcome {
        self.node.control(arguments)
    }

    /// A new token.
    pub fn token(&self, options: &[&str]) -> String {
        let outcome = self.ask(&[&["join-token"], options].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let token = outcome.stdout.trim().to_owned();
        assert!(token.starts_with("wdj1_") && !token.contains(char::is_whitespace));
        token
    }

    /// The data directory of a machine that joined over loopback.
    pub fn joined(&self, name: &str, options: &[&str]) -> PathBuf {
        self.joined_by(Command::new(program("wolfdiskctl")), name, options)
    }

    /// The same of a host.
    pub fn joined_on(&self, host: &Host, name: &str, options: &[&str]) -> PathBuf {
        self.joined_by(host.command(&program("wolfdiskctl")), name, options)
    }

    fn joined_by(&self, mut control: Command, name: &str, options: &[&str]) -> PathBuf {
        let (token, data) = (self.token(options), self.elsewhere.path().join(name));
        let join = ["init", "--join", &token, "--id", name, "--data-dir"];
        let outcome = run(control.args(join).arg(&data));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        data
    }

    /// Mounts what joined.
    pub fn up(&self, data: PathBuf) -> Node {
        Node::start_as(Plan {
            data: Some(data),
            ..Plan::default()
        })
    }

    /// The same on a host.
    pub fn up_on(&self, host: &Host, data: PathBuf) -> Node {
        Node::start_as(Plan {
            data: Some(data),
            prefix: host.prefix(),
            ..Plan::default()
        })
    }

    /// The same as people leave it, which listens; not started yet.
    pub fn listening_on(&self, host: &Host, data: PathBuf) -> Node {
        let config = self.elsewhere.path().join("empty.toml");
        std::fs::write(&config, "").expect("written");
        Node::prepare(Plan {
            data: Some(data),
            arguments: vec!["--config".into(), config.into()],
            prefix: host.prefix(),
            ..Plan::default()
        })
    }
}

/// What joined forgets where nodes were seen.
pub fn forget_nodes(data: &Path) {
    match std::fs::remove_file(data.join("nodes.seen")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    }
}

/// Runs `wolfdiskctl` on a data directory.
pub fn ctl(data: &Path, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(program("wolfdiskctl"));
    run(command.args(arguments).arg("--data-dir").arg(data))
}
