//! Every record comes back as it went, and any bytes are a record or an error.

use bytes::Bytes;
use proptest::prelude::*;
use wolfdisk_common::ids::{
    ChunkId, Incarnation, Ino, LogIndex, NodeNumber, PutEpoch, Sequence, SessionId, Term, Version,
};
use wolfdisk_common::member::{MemberKind, Restrictions};
use wolfdisk_common::name::FileName;
use wolfdisk_common::time::Timestamp;

use super::*;
use crate::index::codec::{DecodeError, Wire, decode, encode};
use crate::index::op::{Answer, Kind};

fn round<T: Wire + PartialEq + std::fmt::Debug>(value: T) {
    let bytes = encode(&value);
    assert_eq!(decode::<T>(bytes.clone()).expect("a value"), value);
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert_eq!(decode::<T>(longer.into()), Err(DecodeError::Trailing(1)));
    for cut in 0..bytes.len() {
        assert!(decode::<T>(bytes.slice(..cut)).is_err(), "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn records_come_back_as_they_went(
        stamp in any::<u64>(), a in any::<u64>(), b in any::<u64>(), c in any::<u32>(),
        text in "[a-z]{0,9}", blob in any::<Vec<u8>>(), flag in any::<bool>(), id in any::<[u8; 32]>(),
        seconds in any::<i64>(), nanos in 0u32..1_000_000_000, errno in any::<i32>(),
    ) {
        let stamp = Version(stamp);
        let time = Timestamp { seconds, nanos };
        let name = FileName::new(format!("n{text}").as_bytes()).expect("a name");
        let bytes = Bytes::from(blob);
        let new = NewInode {
            kind: Kind::Symlink, permissions: c & 0o7777, uid: c, gid: c, rdev: a,
            symlink: bytes.clone(), parent: Ino(a), name: bytes.clone(), project: c,
        };
        let mut inode = Inode::new(new, stamp, time);
        inode.dead_from = flag.then_some(b);
        inode.s3 = flag.then(|| bytes.clone());
        round(inode);
        round(Dirent { stamp, ino: Ino(a), kind: Kind::Fifo, cookie: b });
        round(Cookie { stamp, ino: Ino(a), kind: Kind::Socket, name });
        round(Link { stamp });
        for source in [
            ExtentSource::Chunk { id: ChunkId(id), chunk_length: c, offset: c },
            ExtentSource::Log { log_index: LogIndex(a), offset: c },
            ExtentSource::Inline { bytes: bytes.clone() },
            ExtentSource::Zero,
        ] {
            round(ExtentRecord { stamp, length: b, source });
        }
        round(Xattr { stamp, value: bytes });
        round(Chunk { stamp, length: c, references: a, live_bytes: b, holders: vec![NodeNumber(c)] });
        round(Garbage { stamp });
        round(Sparse { stamp });
        round(Usage { stamp, bytes: a, inodes: b });
        round(Session { stamp, frontend: text.clone(), place: text.clone(), pid: c, access: Access::Shared, member: a });
        round(Session { stamp, frontend: text.clone(), place: text.clone(), pid: c, access: Access::ReadOnly, member: a });
        round(Session { stamp, frontend: text.clone(), place: text.clone(), pid: c, access: Access::Exclusive, member: a });
        let answer = Answer {
            version: stamp, errno, retry_put: flag, inodes: vec![Ino(a), Ino(b)], offset: a,
            cookie: b, removed: flag, session: flag.then_some(SessionId(a)),
        };
        round(Kept { stamp, sequence: Sequence(a), answer });
        round(Lock { stamp, end: a, exclusive: flag, pid: c });
        round(SessionLock { stamp });
        let restrictions = Restrictions { read_only: flag, subdir: a, squash_root: !flag };
        for kind in MemberKind::ALL {
            round(Member {
                stamp, kind, name: text.clone(), public_key: id, joined: time,
                restrictions: restrictions.clone(), removed: flag,
            });
            round(Token {
                stamp, kind, restrictions: restrictions.clone(), expires: time,
                used_by: flag.then_some(id),
            });
        }
        round(Orphan { stamp });
        round(Node {
            stamp, incarnation: Incarnation(a), swept: PutEpoch(b), id: text.clone(),
            role: text.clone(), addresses: vec![text], capacity_bytes: a,
        });
        round(Counters { stamp, time, ..Counters::default() });
        round(Volume { stamp, id: [7; 16], created: time });
        let number = NodeNumber(c);
        round(Voters {
            stamp, index: LogIndex(a), term: Term(b), configs: vec![vec![number], vec![]],
            learners: vec![number],
        });
        round(Undestaged { stamp, length: a });
        round(Reap { stamp, from: a });
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in any::<Vec<u8>>()) {
        let bytes = Bytes::from(bytes);
        let _ = decode::<Inode>(bytes.clone());
        let _ = decode::<Cookie>(bytes.clone());
        let _ = decode::<ExtentRecord>(bytes.clone());
        let _ = decode::<Chunk>(bytes.clone());
        let _ = decode::<Session>(bytes.clone());
        let _ = decode::<Kept>(bytes.clone());
        let _ = decode::<Node>(bytes.clone());
        let _ = decode::<Member>(bytes.clone());
        let _ = decode::<Token>(bytes.clone());
        let _ = decode::<Voters>(bytes.clone());
        let _ = decode::<Counters>(bytes);
    }
}
