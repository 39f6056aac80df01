//! NFS-Ganesha exporting the mount by file handles, used through the programs of libnfs: what is written
//! is what is read, after the kernel's caches were dropped, while daemons are killed, and after a restart.

use std::path::PathBuf;

use wolfdisk_tests::{Background, Cell, Daemon, Node, STEP_DEADLINE, sh, wait_until};

/// All that the server keeps lies in the directory `$PWD`, which is on the machine's disk. Nothing of the
/// mount is kept in the server's own cache: the export is changed from outside too.
const SERVE: &str = r#"
mkdir -p recovery /run/rpcbind
cat > ganesha.conf <<END
NFS_CORE_PARAM { Protocols = 3, 4; MNT_Port = 20048; Enable_NLM = false; Enable_RQUOTA = false; mount_path_pseudo = true; }
NFSV4 { RecoveryRoot = $PWD/recovery; Graceless = true; }
NFS_KRB5 { Active_krb5 = false; }
EXPORT {
  Export_Id = 1; Path = $SHARE; Pseudo = /volume; Protocols = 3, 4; Access_Type = RW; Squash = none;
  SecType = sys; Attr_Expiration_Time = 0; FSAL { Name = VFS; }
}
END
rpcbind -f -w & 
exec ganesha.nfsd -F -f ganesha.conf -L $PWD/log -p $PWD/pid -N EVENT
"#;

struct Ganesha {
    cell: Cell,
    directory: PathBuf,
}

impl Ganesha {
    fn start(node: &Node) -> Ganesha {
        let directory = node.scratch().directory("ganesha");
        let script = format!("SHARE='{}'\n{SERVE}", node.mount().display());
        let mut cell = Cell::start(&script, &directory, "ganesha", node.scratch());
        cell.wait_until(
            "the server answers",
            &directory,
            "nfs-ls 'nfs://127.0.0.1/volume?version=3'",
        );
        Ganesha { cell, directory }
    }

    fn sh(&self, script: &str) -> String {
        let script =
            format!("at() {{ echo \"nfs://127.0.0.1/volume/$1?version=${{2:-3}}\"; }}\n{script}");
        self.cell.sh(&self.directory, &script)
    }
}

/// Dentries and inodes that nobody holds open.
const DROP_CACHES: &str = "echo 2 > /proc/sys/vm/drop_caches";

#[test]
fn files_come_and_go() {
    let mut node = Node::start();
    let server = Ganesha::start(&node);
    server.sh("head -c 20000000 /dev/urandom > large; nfs-cp large $(at large)");
    let there = format!("cmp large '{}'", node.path("large").display());
    server.sh(&there);
    sh(
        node.mount(),
        "mkdir -p deep/er; echo first > deep/er/file; for i in $(seq 300); do echo $i > deep/$i; done",
    );
    for version in [3, 4] {
        let read = format!(
            "nfs-cat $(at deep/er/file {version}); nfs-ls $(at deep {version}) | wc -l; nfs-ls -R $(at '' {version}) | wc -l"
        );
        assert_eq!(server.sh(&read), "first\n301\n304\n");
        // By handle alone: the kernel knows none of the names any more.
        sh(node.mount(), DROP_CACHES);
        assert_eq!(server.sh(&read), "first\n301\n304\n");
    }
    server.sh("nfs-cp $(at large) back; cmp large back; rm back");

    // What the mount changes, the server sees, though it holds the file by its handle.
    sh(node.mount(), "echo second > deep/er/file; mv deep moved");
    assert_eq!(
        server.sh("nfs-cat $(at moved/er/file); nfs-cat $(at moved/er/file 4)"),
        "second\nsecond\n"
    );
    sh(node.mount(), "rm moved/er/file");
    server.sh("if nfs-cat $(at moved/er/file) 2> said; then exit 1; fi; grep -q NOENT said");

    // Another server, another mount, the same files.
    drop(server);
    node.restart();
    let server = Ganesha::start(&node);
    server
        .sh("nfs-cp $(at large 4) back; cmp large back; test $(nfs-ls $(at moved) | wc -l) = 301");
}

#[test]
fn daemons_are_killed_and_caches_dropped_under_it() {
    let node = Node::start();
    let server = Ganesha::start(&node);
    let rounds = 60;
    let work = format!(
        "at() {{ echo \"nfs://127.0.0.1/volume/$1?version=3\"; }}
         head -c 2000000 /dev/urandom > data
         for i in $(seq {rounds}); do
             nfs-cp data $(at copy$i) >> copied; nfs-cp $(at copy$i) back >> copied; cmp data back; rm back; echo round
         done"
    );
    let worker = Background::start(
        &mut server.cell.bash(&server.directory, &work),
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
    for daemon in [Daemon::Meta, Daemon::Chunkd, Daemon::Meta, Daemon::Chunkd] {
        let target = (done() + 3).min(rounds);
        wait_until("files are copied", || done() >= target);
        sh(node.mount(), DROP_CACHES);
        node.kill(daemon);
    }
    worker.succeed(STEP_DEADLINE);
    let data = server.directory.join("data").display().to_string();
    let same = format!("for i in $(seq {rounds}); do cmp '{data}' copy$i; done");
    sh(node.mount(), &same);
}
