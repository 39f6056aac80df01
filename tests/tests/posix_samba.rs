//! Samba exporting the mount, used through its own client: files, names, attributes, streams and access
//! lists, also while daemons of the node are killed.

use std::path::Path;

use wolfdisk_tests::{Background, Cell, Daemon, Node, STEP_DEADLINE, sh, wait_until};

/// All that Samba keeps lies in the directory `$PWD`, which is on the machine's disk.
const SERVE: &str = r#"
for part in private lock state cache pid; do mkdir -p $part; done
cat > smb.conf <<END
[global]
  private dir = $PWD/private
  lock directory = $PWD/lock
  state directory = $PWD/state
  cache directory = $PWD/cache
  pid directory = $PWD/pid
  ncalrpc dir = $PWD/pid/ncalrpc
  log file = $PWD/log
  server role = standalone server
  map to guest = bad user
  disable spoolss = yes
  load printers = no
  ea support = yes
  store dos attributes = yes
  map acl inherit = yes
  vfs objects = acl_xattr streams_xattr
  read only = no
  guest ok = yes
[root]
  path = $SHARE
  force user = root
[nobody]
  path = $SHARE
  force user = nobody
END
exec smbd --foreground --no-process-group --configfile=smb.conf --debug-stdout
"#;

struct Samba {
    cell: Cell,
    directory: std::path::PathBuf,
}

impl Samba {
    fn start(node: &Node) -> Samba {
        let directory = node.scratch().directory("samba");
        sh(node.mount(), "mkdir share; chmod 777 share");
        let script = format!("SHARE='{}'\n{SERVE}", node.path("share").display());
        let mut cell = Cell::start(&script, &directory, "smbd", node.scratch());
        cell.wait_until("Samba answers", &directory, &client("root", "ls"));
        Samba { cell, directory }
    }

    /// Has the client carry out commands, all of which must succeed, and gives what it printed.
    fn done(&self, share: &str, commands: &str) -> String {
        let said = self.cell.sh(&self.directory, &client(share, commands));
        assert!(!said.contains("NT_STATUS_"), "{commands}: {said}");
        said
    }
}

fn client(share: &str, commands: &str) -> String {
    format!("smbclient //127.0.0.1/{share} -N -s smb.conf -c '{commands}' 2>&1")
}

fn content(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("readable")
}

#[test]
fn files_come_and_go() {
    let node = Node::start();
    let samba = Samba::start(&node);
    sh(
        &samba.directory,
        "head -c 20000000 /dev/urandom > large; echo small > small",
    );
    samba.done(
        "root",
        "put large; put small; get large back; mkdir d; rename small d\\moved",
    );
    let large = samba.directory.join("large");
    assert!(content(&large) == content(&samba.directory.join("back")));
    assert!(content(&large) == content(&node.path("share/large")));
    assert_eq!(content(&node.path("share/d/moved")), b"small\n");

    // What the mount changes is what the client sees.
    sh(
        &node.path("share"),
        "echo changed > d/moved; for i in $(seq 500); do echo $i > d/file$i; done",
    );
    samba.done("root", "cd d; get moved changed");
    assert_eq!(content(&samba.directory.join("changed")), b"changed\n");
    let listed = samba.done("root", "cd d; ls");
    assert_eq!(
        listed.lines().filter(|line| line.contains(" file")).count(),
        500
    );
    samba.done(
        "root",
        "cd d; del file*; del moved; cd ..; rmdir d; del large",
    );
    assert_eq!(sh(&node.path("share"), "ls -A"), "");
}

#[test]
fn attributes_streams_and_access_lists_are_kept() {
    let mut node = Node::start();
    let samba = Samba::start(&node);
    sh(
        &samba.directory,
        "echo content > file; head -c 40000 /dev/urandom > stream",
    );
    samba.done(
        "root",
        "put file; put stream file:other; get file:other stream.back; setmode file +r+h",
    );
    assert!(
        content(&samba.directory.join("stream")) == content(&samba.directory.join("stream.back"))
    );
    let told = samba.done("root", "allinfo file");
    assert!(
        told.contains("attributes: RHA") && told.contains(":other:$DATA"),
        "{told}"
    );
    let lists = "smbcacls //127.0.0.1/root file -N -s smb.conf";
    let change = format!("{lists} --add 'ACL:S-1-1-0:ALLOWED/0x0/READ'; {lists}");
    let list = samba.cell.sh(&samba.directory, &change);
    assert!(
        list.contains("Everyone") || list.contains("S-1-1-0"),
        "{list}"
    );
    let names = sh(&node.path("share"), "getfattr -m - file");
    for name in ["user.DOSATTRIB", "user.DosStream.other", "security.NTACL"] {
        assert!(names.contains(name), "{names}");
    }

    samba.done("nobody", "put file theirs; mkdir dir");
    let owner = sh(&node.path("share"), "stat -c %u theirs dir");
    assert_eq!(owner, "65534\n65534\n");
    sh(&node.path("share"), "mkdir closed; chmod 700 closed");
    let refused = samba.cell.sh(
        &samba.directory,
        &format!("{} || true", client("nobody", "cd closed; put file")),
    );
    assert!(refused.contains("NT_STATUS_ACCESS_DENIED"), "{refused}");

    let Samba { cell, directory } = samba;
    drop(cell);
    node.restart();
    let script = format!("SHARE='{}'\n{SERVE}", node.path("share").display());
    let mut cell = Cell::start(&script, &directory, "smbd-again", node.scratch());
    cell.wait_until("Samba answers", &directory, &client("root", "ls"));
    let samba = Samba { cell, directory };
    // But for when it was read.
    let kept = |told: &str| -> Vec<String> {
        let lines = told.lines().filter(|line| !line.starts_with("access_time"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(kept(&samba.done("root", "allinfo file")), kept(&told));
    assert_eq!(samba.cell.sh(&samba.directory, lists), list);
}

#[test]
fn daemons_are_killed_under_it() {
    let node = Node::start();
    let samba = Samba::start(&node);
    sh(&samba.directory, "head -c 3000000 /dev/urandom > data");
    let rounds = 40;
    let work = format!(
        "for i in $(seq {rounds}); do {}; cmp data back; echo round; done",
        client(
            "root",
            "put data copy; get copy back; rename copy old; del old"
        )
    );
    let worker = Background::start(
        &mut samba.cell.bash(&samba.directory, &work),
        "client",
        node.scratch(),
    );
    let done = || {
        worker
            .said()
            .lines()
            .filter(|line| *line == "round")
            .count()
    };
    for daemon in [Daemon::Meta, Daemon::Chunkd, Daemon::Meta] {
        let target = (done() + 3).min(rounds);
        wait_until("files come and go", || done() >= target);
        node.kill(daemon);
    }
    let said = worker.succeed(STEP_DEADLINE);
    assert!(!said.contains("NT_STATUS_"), "{said}");
}
