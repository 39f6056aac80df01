//! PostgreSQL in the mount, run by an ordinary user: what it has acknowledged is there after its server was
//! killed under load, its pages and indexes are sound, and daemons of the node may be killed under it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use wolfdisk_tests::{
    Background, Daemon, Node, STEP_DEADLINE, descendants, installed, is_alive, is_long_run,
    kill_hard, run, run_as, signal, wait_until,
};

/// `nobody`: the server does not run as root, and asks for the name of its user.
const USER: u32 = 65534;
const CLIENTS: usize = 4;

/// A database of its own in the mount, and its server while that runs.
struct Cluster<'a> {
    node: &'a Node,
    data: PathBuf,
    /// On the machine's disk: sockets, and what the clients write down.
    beside: PathBuf,
    server: Option<Background>,
}

impl Cluster<'_> {
    fn new(node: &Node) -> Cluster<'_> {
        let (home, beside) = (node.path("pg"), node.scratch().directory("pg"));
        std::fs::create_dir(&home).expect("a directory");
        for path in [&home, &beside] {
            std::os::unix::fs::chown(path, Some(USER), Some(USER)).expect("root gives it away");
        }
        let mut cluster = Cluster {
            node,
            data: home.join("data"),
            beside,
            server: None,
        };
        let data = cluster.data.clone();
        let how = [
            "--data-checksums",
            "--no-locale",
            "-A",
            "trust",
            "-U",
            "tester",
            "-D",
        ];
        cluster.done(
            "initdb",
            &how.map(OsStr::new)
                .into_iter()
                .chain([data.as_os_str()])
                .collect::<Vec<_>>(),
        );
        cluster.start();
        cluster
    }

    fn command(&self, program: &str, arguments: &[&OsStr]) -> Command {
        let mut command = run_as(USER, &self.beside, &installed(program), arguments);
        command.env("PGHOST", &self.beside).env("PGUSER", "tester");
        command.env("PGDATABASE", "postgres");
        command
    }

    fn done(&self, program: &str, arguments: &[&OsStr]) -> String {
        let outcome = run(&mut self.command(program, arguments));
        assert_eq!(outcome.code, Some(0), "{program}: {outcome:?}");
        outcome.stdout
    }

    fn start(&mut self) {
        let setting = OsStr::new("listen_addresses=");
        let arguments = [
            OsStr::new("-D"),
            self.data.as_os_str(),
            OsStr::new("-k"),
            self.beside.as_os_str(),
            OsStr::new("-c"),
            setting,
        ];
        let mut command = self.command("postgres", &arguments);
        let mut server = Background::start(&mut command, "postgres", self.node.scratch());
        wait_until("the server answers", || {
            assert!(
                server.ended().is_none(),
                "the server ended: {}",
                server.said()
            );
            let ask = ["-Atc", "select 1"].map(OsStr::new);
            run(&mut self.command("psql", &ask)).code == Some(0)
        });
        self.server = Some(server);
    }

    fn ask(&self, question: &str) -> String {
        self.done("psql", &["-Atc", question].map(OsStr::new))
            .trim()
            .to_owned()
    }

    /// Transactions that are in the tables.
    fn history(&self) -> usize {
        self.ask("select count(*) from pgbench_history")
            .parse()
            .expect("a number")
    }

    fn load(&self, arguments: &[&str]) -> Background {
        let clients = CLIENTS.to_string();
        let mut all = vec!["-n", "-j", "2", "-c", &clients, "--log"];
        all.extend(arguments);
        let all: Vec<&OsStr> = all.into_iter().map(OsStr::new).collect();
        Background::start(
            &mut self.command("pgbench", &all),
            "pgbench",
            self.node.scratch(),
        )
    }

    /// Transactions that the clients were told are committed, by their own records.
    fn acknowledged(&self) -> usize {
        let records = std::fs::read_dir(&self.beside)
            .expect("a directory")
            .flatten();
        let records = records.filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with("pgbench_log.")
        });
        let lines = |path: &Path| std::fs::read_to_string(path).expect("text").lines().count();
        records.map(|entry| lines(&entry.path())).sum()
    }

    /// `kill -9` of the server; the processes that it started see that and end.
    fn kill(&mut self) {
        let server = self.server.take().expect("it runs");
        let below = descendants(server.pid());
        assert!(below.len() > CLIENTS, "it serves: {below:?}");
        kill_hard(server.pid());
        wait_until("the server's processes end", || {
            below.iter().all(|(pid, _)| !is_alive(*pid))
        });
    }

    fn stop(&mut self) {
        let server = self.server.take().expect("it runs");
        signal(server.pid(), Signal::SIGINT);
        server.succeed(STEP_DEADLINE);
    }

    /// The books balance, and nothing acknowledged is missing.
    fn check_books(&self) {
        let sums = self.ask("select (select sum(bbalance) from pgbench_branches), (select sum(tbalance) from pgbench_tellers),
            (select sum(abalance) from pgbench_accounts), (select sum(delta) from pgbench_history)");
        let sums: Vec<&str> = sums.split('|').collect();
        assert!(
            sums.len() == 4 && sums.iter().all(|sum| sum == &sums[0]),
            "{sums:?}"
        );
        let (there, told) = (self.history(), self.acknowledged());
        assert!(there >= told, "{told} were acknowledged, {there} are there");
    }

    /// Every page has its checksum, every index its rows.
    fn check_pages(&mut self) {
        self.done(
            "pg_amcheck",
            &["--install-missing", "--heapallindexed"].map(OsStr::new),
        );
        self.stop();
        let said = self.done(
            "pg_checksums",
            &[
                OsStr::new("--check"),
                OsStr::new("-D"),
                self.data.as_os_str(),
            ],
        );
        assert!(said.contains("Bad checksums:  0"), "{said}");
    }
}

#[test]
fn what_was_acknowledged_survives_a_killed_server() {
    let (kills, more) = if is_long_run() { (20, 5_000) } else { (1, 200) };
    let node = Node::start();
    let mut cluster = Cluster::new(&node);
    cluster.done("pgbench", &["-i", "-q", "-s", "1"].map(OsStr::new));
    for _ in 0..kills {
        let mut load = cluster.load(&["-T", "3600"]);
        let target = cluster.history() + more;
        wait_until("transactions are made", || cluster.history() >= target);
        cluster.kill();
        wait_until("the clients end", || load.ended().is_some());
        cluster.start();
        cluster.check_books();
    }
    cluster.check_pages();
}

#[test]
fn daemons_are_killed_under_it() {
    let transactions = if is_long_run() { 20_000 } else { 250 };
    let node = Node::start();
    let mut cluster = Cluster::new(&node);
    cluster.done("pgbench", &["-i", "-q", "-s", "1"].map(OsStr::new));
    let load = cluster.load(&["-t", &transactions.to_string()]);
    for daemon in [Daemon::Meta, Daemon::Chunkd, Daemon::Meta] {
        let target = (cluster.history() + 50).min(CLIENTS * transactions);
        wait_until("transactions are made", || cluster.history() >= target);
        node.kill(daemon);
    }
    load.succeed(STEP_DEADLINE * 5);
    assert_eq!(cluster.history(), CLIENTS * transactions, "none failed");
    cluster.check_books();
    cluster.kill();
    cluster.start();
    cluster.check_books();
    cluster.check_pages();
}
