//! What the index does for one operation, in instructions: a guard against becoming slow that no busy machine
//! disturbs. Counted by valgrind's callgrind, with the assertions of the tests' build.
//!
//! Who makes something cheaper lowers the bound; who makes it dearer says in the commit why.

use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::real::RealDisk;
use wolfdisk_common::ids::{
    ChunkId, Incarnation, Ino, LogIndex, NodeNumber, PutEpoch, Sequence, SessionId, Term,
};
use wolfdisk_common::name::FileName;
use wolfdisk_common::time::Timestamp;
use wolfdisk_meta::index::checkpoint::RedbTable;
use wolfdisk_meta::index::op::{
    DestageChunk, DestageMove, Entry, Kind, Op, Origin, Receipt, SetTime, WritePiece, WriteSource,
};
use wolfdisk_meta::index::overlay::State;
use wolfdisk_meta::index::record::Access;
use wolfdisk_meta::index::{Genesis, Index};

/// Says to the process that is counted what to do, and how often: `create 1000`.
const WORK: &str = "WOLFDISK_WORK";
/// Operations are counted between these: what comes before and after them is in both.
const FEW: u64 = 500;
const MANY: u64 = 1500;
const WRITE_BYTES: usize = 4096;

struct World {
    index: Index<State<RedbTable>>,
    entries: u64,
    session: SessionId,
    sequence: u64,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let table = RedbTable::create(&disk, &folder.path().join("index"), 1 << 20);
        let genesis = Genesis {
            volume_id: [1; 16],
            created: Timestamp::default(),
            uid: 0,
            gid: 0,
        };
        let index = Index::open(State::new(Arc::new(table.expect("a table"))), &genesis);
        let mut world = World {
            index: index.expect("an index"),
            entries: 0,
            session: SessionId(0),
            sequence: 0,
            _folder: folder,
        };
        let opened = world.apply(
            None,
            Op::OpenSession {
                frontend: "counted".into(),
                place: "here".into(),
                pid: 1,
                access: Access::Shared,
                member: 0,
            },
        );
        world.session = opened.session.expect("a session");
        world
    }

    fn apply(&mut self, origin: Option<Origin>, op: Op) -> wolfdisk_meta::index::op::Answer {
        let entry = self.entry(origin, op);
        self.entries += 1;
        let applied = self.index.apply(LogIndex(self.entries), Term(1), entry);
        let answer = applied.expect("applied").answer;
        assert_eq!(answer.errno, 0);
        answer
    }

    fn entry(&self, origin: Option<Origin>, op: Op) -> Bytes {
        let time = Timestamp {
            seconds: 10 + self.entries as i64,
            nanos: 0,
        };
        Entry { time, origin, op }.encode()
    }

    fn origin(&mut self) -> Option<Origin> {
        self.sequence += 1;
        Some(Origin {
            session: self.session,
            sequence: Sequence(self.sequence),
            acknowledged: Sequence(self.sequence - 1),
        })
    }

    /// Moves what the first `count` files have in the log into one chunk.
    fn destage(&mut self, count: u64) {
        let (node, incarnation) = (NodeNumber(1), Incarnation(1));
        self.apply(None, Op::NodeUp { node, incarnation });
        let (id, epoch) = (ChunkId([1; 32]), PutEpoch(1));
        let ranges = self.index.undestaged(LogIndex(0), count as usize);
        let moves = ranges.expect("read").into_iter().zip(0u32..);
        let moves = moves.map(|(range, number)| DestageMove {
            ino: range.ino,
            offset: range.offset,
            length: range.length,
            log_index: range.log_index,
            log_offset: range.log_offset,
            chunk: 0,
            chunk_offset: number * WRITE_BYTES as u32 % (1 << 20),
        });
        let receipt = Receipt {
            node,
            incarnation,
            epoch,
        };
        let chunk = DestageChunk {
            id,
            length: 2 << 20,
            receipts: vec![receipt],
        };
        let (chunks, moves) = (vec![chunk], moves.collect());
        self.apply(None, Op::Destage { chunks, moves });
    }

    fn run(&mut self, op: Op) -> wolfdisk_meta::index::op::Answer {
        let origin = self.origin();
        self.apply(origin, op)
    }
}

fn name(number: u64) -> FileName {
    FileName::new(format!("file{number}").as_bytes()).expect("a name")
}

fn create(number: u64) -> Op {
    Op::Create {
        parent: Ino::ROOT,
        name: name(number),
        kind: Kind::File,
        permissions: 0o644,
        umask: 0o22,
        uid: 0,
        gid: 0,
        rdev: 0,
        symlink: Bytes::new(),
    }
}

fn write(ino: Ino, data: &Bytes) -> Op {
    Op::Write {
        ino,
        pieces: vec![WritePiece {
            offset: 0,
            length: data.len() as u64,
            source: WriteSource::Data(data.clone()),
        }],
        mtime: SetTime::Now,
        kill_suid: false,
        expected_content_version: None,
    }
}

/// The work of the process that is counted. The files are made whatever is done with them.
fn work(what: &str, count: u64) {
    let mut world = World::new();
    let data = Bytes::from(vec![7; WRITE_BYTES]);
    let made = match what {
        "create" => count,
        _ => MANY,
    };
    let files: Vec<Ino> = (0..made)
        .map(|number| world.run(create(number)).inodes[0])
        .collect();
    if what == "destage" {
        files
            .iter()
            .for_each(|ino| drop(world.run(write(*ino, &data))));
        world.destage(count);
    }
    for (number, ino) in (0..count).zip(&files) {
        match what {
            "create" | "destage" => {}
            "write" => drop(world.run(write(*ino, &data))),
            "unlink" => drop(world.run(Op::Unlink {
                parent: Ino::ROOT,
                name: name(number),
                directory: false,
                keep_open: false,
                openers: Vec::new(),
            })),
            "encode" => {
                let origin = world.origin();
                assert!(!world.entry(origin, create(number)).is_empty());
            }
            "lookup" => {
                let found = world.index.lookup(Ino::ROOT, name(number).as_bytes());
                assert!(found.expect("read").is_some());
            }
            other => panic!("nobody can {other}"),
        }
    }
}

/// Instructions of the whole process that does this.
fn counted(what: &str, count: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().expect("a path"))
        .args(["--exact", "one_operation_takes_few_instructions"])
        .env(WORK, format!("{what} {count}"))
        .output()
        .expect("valgrind is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let total = said
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    total.expect(&said).1.trim().parse().expect("a number")
}

#[test]
fn one_operation_takes_few_instructions() {
    if let Ok(asked) = std::env::var(WORK) {
        let (what, count) = asked.split_once(' ').expect("two words");
        return work(what, count.parse().expect("a number"));
    }
    let bounds = [
        ("create", 36_000),
        ("write", 36_000),
        ("unlink", 44_000),
        ("destage", 20_000),
        ("encode", 2_500),
        ("lookup", 6_700),
    ];
    let dear: Vec<String> = bounds
        .into_iter()
        .filter_map(|(what, most)| {
            let each = (counted(what, MANY) - counted(what, FEW)) / (MANY - FEW);
            println!("{what}: {each} instructions, at most {most}");
            (each > most).then(|| format!("{what} takes {each} instructions, not {most}"))
        })
        .collect();
    assert!(dear.is_empty(), "{dear:#?}");
}
