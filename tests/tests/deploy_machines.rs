//! Three machines that are set up as their administrators do it: a node by the package, a client and an S3 host by a token,
//! each booted by systemd, on one network.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use wolfdisk_tests::{
    DEADLINE, Host, Lan, Scratch, System, Wires, joined, program, repository, run_within, sh,
    wait_until,
};

/// Appends a line every 10 ms to a file that it keeps open, and ends with an error at the first that is not taken.
const WRITER: &str = "exec >>/mnt/wolfdisk/shared/written; n=0; while [ ! -e /run/enough ]; do n=$((n+1)); echo $n; sleep 0.01; done";
const MOUNTED: &str = "grep -q ' /mnt/wolfdisk fuse' /proc/self/mounts";
/// The daemons that run.
const DAEMONS: &str = "cat /proc/[0-9]*/comm 2>/dev/null | grep wolfdisk | sort -u || true";
/// Of the token that is not used in time.
const SHORT: Duration = Duration::from_secs(1);

struct Office {
    // They end before their network.
    node: System,
    desk: System,
    gate: System,
    lan: Lan,
    scratch: Scratch,
}

/// One test for all, since each of the three takes a while to boot.
#[test]
fn a_client_and_an_s3_host_are_let_in_by_tokens_and_are_there_again_after_whatever_ends() {
    let mut office = Office::open();
    office.set_up_the_node();
    let used = office.set_up_the_client();
    office.files_go_both_ways();
    let expired = (office.token("--ttl 1s"), Instant::now());
    office.the_client_stops_and_starts();
    office.a_restart_of_the_node_is_a_pause();
    office.a_token_that_is_no_good_is_refused(&used, "another machine has used this token");
    wait_until("the token is old", || expired.1.elapsed() > 2 * SHORT);
    office.a_token_that_is_no_good_is_refused(&expired.0, "this token has expired");
    office.set_up_the_s3_host();
    let key = office.key();
    office.objects_are_files(&key);
    office.the_s3_host_stops_and_starts(&key);
    office.both_come_back_from_a_reboot(&key);
    office.the_s3_host_keeps_no_secret(&key);
}

/// An access key of the cluster.
struct Key {
    id: String,
    secret: String,
}

impl Office {
    fn open() -> Office {
        // The last is a machine that has no part of this, but S3 clients.
        let lan = Lan::of(4, Wires::default());
        let boot = |at: usize, name: &'static str| {
            let host = lan.hosts()[at].clone();
            std::thread::spawn(move || System::boot_on(&host, name))
        };
        let booting = [boot(0, "alpha"), boot(1, "desk"), boot(2, "gate")];
        let [node, desk, gate] = booting.map(|thread| joined("a system boots", thread));
        Office {
            node,
            desk,
            gate,
            lan,
            scratch: Scratch::new(),
        }
    }

    fn set_up_the_node(&self) {
        self.node
            .put(&program("dist/wolfdisk.deb"), "/root/wolfdisk.deb");
        self.node
            .put(&repository().join("deploy/setup.sh"), "/root/setup.sh");
        self.node.run("dpkg -i /root/wolfdisk.deb");
        self.node
            .run("/root/setup.sh --yes --from installed --id alpha");
        // Root of a client is nobody.
        self.node.run("mkdir -m 1777 /mnt/wolfdisk/shared");
    }

    /// A new token.
    fn token(&self, options: &str) -> String {
        self.node.run(&format!("wolfdiskctl join-token {options}"))
    }

    /// What `setup.sh` of the tarball says on a machine to which a token was carried.
    fn set_up(&self, system: &System, token: &str, options: &str) -> Result<String, String> {
        let root = system.root().join("root");
        std::fs::write(root.join("token"), token).expect("written");
        if !system.holds("/root/wolfdisk") {
            let tarball = program("dist/wolfdisk.tar.gz");
            system.put(&tarball, "/root/wolfdisk.tar.gz");
            system.run("tar -C /root -xf /root/wolfdisk.tar.gz");
        }
        let said = system.try_run(&format!(
            "/root/wolfdisk/setup.sh --yes --role client --token-file /root/token {options}"
        ));
        system.run("rm /root/token");
        said
    }

    /// Gives the token by which it joined.
    fn set_up_the_client(&self) -> String {
        let token = self.token("");
        let said = self.set_up(&self.desk, &token, "").expect("set up");
        assert!(said.contains("the files are in /mnt/wolfdisk"), "{said}");
        self.desk.run(MOUNTED);
        assert_eq!(self.desk.run(DAEMONS), "wolfdisk-fuse\n");
        let list = self.node.run("wolfdiskctl node list");
        let row = list.lines().find(|line| line.contains("desk"));
        assert!(
            row.is_some_and(|row| row.contains("client") && row.contains("connected")),
            "{list}"
        );
        // The daemons of a machine run as several users, and share what they know.
        let owner = "stat -c %U /var/lib/wolfdisk/nodes.seen";
        wait_until("the node is on record", || {
            self.desk.holds("/var/lib/wolfdisk/nodes.seen")
        });
        assert_eq!(self.desk.run(owner), "wolfdisk\n");
        token
    }

    fn files_go_both_ways(&self) {
        self.desk
            .run("echo from the desk >/mnt/wolfdisk/shared/one");
        assert_eq!(
            self.node.run("cat /mnt/wolfdisk/shared/one"),
            "from the desk\n"
        );
        self.node
            .run("echo from the node >/mnt/wolfdisk/shared/two");
        assert_eq!(
            self.desk.run("cat /mnt/wolfdisk/shared/two"),
            "from the node\n"
        );
    }

    fn the_client_stops_and_starts(&self) {
        self.desk.run("systemctl stop wolfdisk");
        assert!(self.desk.try_run(MOUNTED).is_err());
        assert_eq!(self.desk.run(DAEMONS), "");
        self.desk.run("systemctl start wolfdisk");
        self.desk.run(MOUNTED);
        assert_eq!(
            self.desk.run("cat /mnt/wolfdisk/shared/two"),
            "from the node\n"
        );
    }

    fn a_restart_of_the_node_is_a_pause(&self) {
        let writer = self.desk.command(WRITER).stderr(Stdio::piped()).spawn();
        let writer = writer.expect("a writer");
        let written = || {
            let said = self
                .desk
                .run("cat /mnt/wolfdisk/shared/written 2>/dev/null | wc -l");
            said.trim().parse::<u64>().expect("a number")
        };
        let goes_on = || {
            let before = written();
            wait_until("the writer goes on", || written() > before);
        };
        goes_on();
        self.node.run("systemctl restart wolfdisk");
        goes_on();
        // Away for a while, not only for a moment.
        self.node.run("systemctl stop wolfdisk");
        self.node.run("systemctl start wolfdisk");
        goes_on();
        self.desk.run("touch /run/enough");
        let ended = writer.wait_with_output().expect("the writer");
        let trouble = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{trouble}");
        self.desk.run("sync /mnt/wolfdisk/shared/written");
        self.node
            .run("seq $(wc -l </mnt/wolfdisk/shared/written) | cmp - /mnt/wolfdisk/shared/written");
    }

    /// The machine is as it was, and its administrator knows what to do.
    fn a_token_that_is_no_good_is_refused(&self, token: &str, why: &str) {
        let said = self
            .set_up(&self.gate, token, "")
            .expect_err("it is refused");
        assert!(said.contains(why), "{said}");
        assert!(said.contains("wolfdiskctl join-token"), "{said}");
        for path in [
            "/var/lib/wolfdisk",
            "/etc/wolfdisk",
            "/usr/local/bin/wolfdiskctl",
            "/etc/systemd/system/wolfdisk.service",
        ] {
            assert!(!self.gate.holds(path), "{path} is left: {said}");
        }
    }

    fn set_up_the_s3_host(&self) {
        let token = self.token("--role gateway");
        let options = "--id gate --mount none --s3 0.0.0.0:9878";
        self.set_up(&self.gate, &token, options).expect("set up");
        assert_eq!(self.gate.run(DAEMONS), "wolfdisk-s3\n");
        assert!(
            self.gate
                .try_run("grep -q fuse.wolfdisk /proc/self/mounts")
                .is_err()
        );
    }

    /// Made on the node.
    fn key(&self) -> Key {
        let made = self.node.run("wolfdiskctl s3 key create");
        let word = |name: &str| {
            let mut words = made.split_whitespace();
            let word = words.find_map(|word| word.strip_prefix(name));
            word.unwrap_or_else(|| panic!("no {name} in {made}"))
                .to_owned()
        };
        Key {
            id: word("AWS_ACCESS_KEY_ID="),
            secret: word("AWS_SECRET_ACCESS_KEY="),
        }
    }

    fn host(&self, at: usize) -> &Host {
        &self.lan.hosts()[at]
    }

    /// The command of AWS on a machine that has no part of this, which asks the S3 host.
    fn aws(&self, key: &Key, arguments: &[&str]) -> String {
        let url = format!("http://{}:9878", self.host(2).address());
        // Not one of Python's package index, which comes first where others use it.
        let mut aws = self.host(3).command(Path::new("/usr/bin/aws"));
        // Before its version 2.13 no variable says where.
        aws.args(["--endpoint-url", &url])
            .args(arguments)
            .current_dir(self.scratch.path())
            .env("HOME", self.scratch.path())
            .env("AWS_ACCESS_KEY_ID", &key.id)
            .env("AWS_SECRET_ACCESS_KEY", &key.secret)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            // Of other servers of whoever runs this.
            .env_remove("AWS_CA_BUNDLE");
        let said = run_within(DEADLINE, &mut aws);
        assert_eq!(said.code, Some(0), "aws {arguments:?}: {said:?}");
        said.stdout
    }

    fn objects_are_files(&self, key: &Key) {
        // More than one part.
        let large: Vec<u8> = (0..9_000_000_u32).map(|at| ((at * 7) >> 3) as u8).collect();
        std::fs::write(self.scratch.path().join("large"), &large).expect("written");
        self.aws(key, &["s3", "mb", "s3://photos"]);
        let to = "s3://photos/2026/large";
        self.aws(key, &["s3", "cp", "--only-show-errors", "large", to]);
        let sum = |said: String| said.split_whitespace().next().map(str::to_owned);
        let stored = self.node.run("sha256sum </mnt/wolfdisk/photos/2026/large");
        let meant = sh(self.scratch.path(), "sha256sum <large");
        assert_eq!(sum(stored), sum(meant));
        self.node.run("echo a file >/mnt/wolfdisk/photos/note");
        assert_eq!(self.object(key), "a file\n");
    }

    /// What the object is that was stored as a file.
    fn object(&self, key: &Key) -> String {
        self.aws(key, &["s3", "cp", "s3://photos/note", "-"])
    }

    fn the_s3_host_stops_and_starts(&self, key: &Key) {
        self.gate.run("systemctl stop wolfdisk");
        assert_eq!(self.gate.run(DAEMONS), "");
        self.gate.run("systemctl start wolfdisk");
        assert_eq!(self.object(key), "a file\n");
    }

    fn both_come_back_from_a_reboot(&mut self, key: &Key) {
        let (desk, gate) = (&mut self.desk, &mut self.gate);
        std::thread::scope(|scope| {
            scope.spawn(|| desk.reboot());
            scope.spawn(|| gate.reboot());
        });
        self.desk.run(MOUNTED);
        assert_eq!(
            self.desk.run("cat /mnt/wolfdisk/shared/two"),
            "from the node\n"
        );
        self.desk
            .run("echo again >/mnt/wolfdisk/shared/one; sync /mnt/wolfdisk/shared/one");
        assert_eq!(self.node.run("cat /mnt/wolfdisk/shared/one"), "again\n");
        assert_eq!(self.gate.run(DAEMONS), "wolfdisk-s3\n");
        assert_eq!(self.object(key), "a file\n");
    }

    /// It has seen the secret of the key that it was asked with.
    fn the_s3_host_keeps_no_secret(&self, key: &Key) {
        for path in ["cluster.key", "meta", "chunks", "format"] {
            assert!(!self.gate.holds(&format!("/var/lib/wolfdisk/{path}")));
        }
        let cluster = self.node.root().join("var/lib/wolfdisk/cluster.key");
        let cluster = std::fs::read(cluster).expect("the key of the cluster");
        let folders = "/var/lib/wolfdisk /etc/wolfdisk /run/wolfdisk /var/log /run/log";
        let found = |system: &System, what: &str| {
            let look = format!("grep -rlaF --devices=skip -e '{what}' {folders} 2>/dev/null");
            system.try_run(&look).unwrap_or_default()
        };
        assert_eq!(found(&self.gate, &key.secret), "");
        let text = String::from_utf8_lossy(&cluster);
        let line = text.lines().last().expect("a line");
        assert_ne!(found(&self.node, line), "", "the node has it, as {line:?}");
        assert_eq!(found(&self.gate, line), "");
    }
}
