//! What peers send: frames, every message, and what the index service makes of those with conditions of their own.

use bytes::Bytes;
use prost::Message;
use wolfdisk_common::time::Timestamp;
use wolfdisk_meta::index::op::Entry;
use wolfdisk_meta::service::convert;
use wolfdisk_proto::framed::{self, HEADER_BYTES, Header};
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::publish::Content;
use wolfdisk_proto::v1::write_piece::Source;
use wolfdisk_proto::{Failure, v1};

use super::engine::{MEMORY_BYTES, Target, as_it_is, fuzz};

#[test]
fn frames_and_messages_are_read_or_refused() {
    fuzz(&Target {
        name: "messages",
        seeds,
        // The length of a frame is that of what follows: half of the frames whose length was changed keep theirs.
        reseal: |bytes| {
            if bytes.last().is_some_and(|byte| byte % 2 == 0) {
                let length = bytes.len().saturating_sub(4) as u32;
                if let Some(room) = bytes.get_mut(..4) {
                    room.copy_from_slice(&length.to_le_bytes());
                }
            }
        },
        expand: as_it_is,
        memory_bytes: MEMORY_BYTES,
        check,
    });
}

macro_rules! messages {
    ($($name:ident),+ $(,)?) => {
        const NAMES: &[&str] = &[$(stringify!($name)),+];
        const READERS: &[fn(&Bytes) -> bool] = &[$(message::<v1::$name>),+];
    };
}

messages!(
    ChunkHello,
    PutRequest,
    AreaSpan,
    PutReply,
    FlushRequest,
    FlushReply,
    AttachAreaRequest,
    LocateRequest,
    LocateReply,
    Location,
    SegmentRequest,
    SegmentReply,
    RetiredRequest,
    RetiredReply,
    ReadRequest,
    ReadReply,
    AdvanceEpochReply,
    InventoryRequest,
    InventoryReply,
    FreeRequest,
    FreeReply,
    CompactReply,
    ScrubRequest,
    ScrubReply,
    DamagedRequest,
    DamagedReply,
    DamagedChunk,
    Empty,
    OpenSessionRequest,
    OpenSessionReply,
    LockOwner,
    CloseSessionRequest,
    FeedRequest,
    FeedReply,
    Invalidation,
    Attr,
    LookupRequest,
    LookupReply,
    GetAttrRequest,
    GetAttrReply,
    OpenRequest,
    OpenReply,
    MapRequest,
    MapReply,
    Piece,
    ChunkSpan,
    Hole,
    ReadDirRequest,
    ReadDirReply,
    DirEntry,
    ListXattrRequest,
    ListXattrReply,
    Xattr,
    GetXattrRequest,
    GetXattrReply,
    StatFsRequest,
    StatFsReply,
    MutateRequest,
    MutateReply,
    Create,
    Link,
    Unlink,
    Rename,
    Time,
    SetAttr,
    SetXattr,
    RemoveXattr,
    Write,
    WritePiece,
    ChunkPlace,
    Receipt,
    Append,
    Fallocate,
    CopyRange,
    Object,
    LookupObjectRequest,
    LookupObjectReply,
    ListKeysRequest,
    ListKeysReply,
    KeyEntry,
    MakeSystemRoot,
    Stage,
    Expected,
    Publish,
    SetObject,
    RemoveObject,
    SetLock,
    GetLockRequest,
    GetLockReply,
    SyncRequest,
    SyncReply,
    CheckRequest,
    CheckReply,
    CheckFinding,
    ExportRequest,
    ExportReply,
    MetaStatus,
    SessionStatus,
    MakeRoomRequest,
    MakeRoomReply,
    ChunkStatus,
    ScrubStatus,
    ByteRange,
    AdmitRequest,
    AdmittedMember,
    PeersRequest,
    PeerNode,
    Restrictions,
    IssueTokenRequest,
    IssueTokenReply,
    JoinRequest,
    JoinReply,
    Member,
    ListMembersReply,
    ChangeMemberRequest,
    ChangeMemberReply,
    GatewayKeysReply,
    ServersReply,
    Server,
    RaftLogId,
    RaftBallot,
    RaftEntry,
    RaftAppendRequest,
    RaftAppendReply,
    RaftVoteRequest,
    RaftVoteReply,
    RaftMembership,
    RaftVoters,
    RaftInstallRequest,
    RaftPart,
    RaftInstallReply,
    RaftHandOverRequest,
    RaftHandOverReply,
);

#[test]
fn every_message_of_the_protocol_is_among_them() {
    let sources = [
        include_str!("../../../proto/wolfdisk/v1/meta.proto"),
        include_str!("../../../proto/wolfdisk/v1/chunk.proto"),
    ];
    let lines = sources.iter().flat_map(|source| source.lines());
    let mut defined: Vec<&str> = lines
        .filter_map(|line| line.trim_start().strip_prefix("message "))
        .filter_map(|rest| rest.split_whitespace().next())
        .collect();
    defined.sort_unstable();
    let mut read = NAMES.to_vec();
    read.sort_unstable();
    assert_eq!(read, defined);
}

fn message<M: Message + Default + PartialEq + std::fmt::Debug>(body: &Bytes) -> bool {
    let Ok(message) = framed::decode::<M>(body.clone()) else {
        return false;
    };
    let again = M::decode(message.encode_to_vec().as_slice()).expect("a message");
    assert!(again == message, "{message:?} becomes {again:?}");
    true
}

fn check(bytes: &[u8]) -> bool {
    if let Some(opening) = bytes.first_chunk::<8>() {
        let _ = framed::check_opening(*opening);
    }
    let Some((head, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return false;
    };
    let Ok(header) = Header::parse(head) else {
        return false;
    };
    assert_eq!(Header::parse(&header.to_bytes()), Ok(header));
    failure(&header, body);
    if header.kind == 0 && header.number != 0 {
        return true;
    }
    // A frame that is longer than what arrived is waited for.
    let body = Bytes::copy_from_slice(body.get(..header.body).unwrap_or(body));
    let read = READERS.iter().filter(|read| read(&body)).count();
    converted(&body);
    read > 0
}

/// A failure survives being sent on.
fn failure(header: &Header, body: &[u8]) {
    let text = String::from_utf8_lossy(body).into_owned();
    let failure = Failure::from_wire(header.number, header.argument as i32, text);
    let frame = framed::failure_frame(&failure);
    let (head, body) = frame.split_first_chunk::<HEADER_BYTES>().expect("a header");
    let again = Header::parse(head).expect("a header");
    let text = String::from_utf8_lossy(body).into_owned();
    assert_eq!(
        Failure::from_wire(again.number, again.argument as i32, text),
        failure
    );
}

/// What passes the door of the index is a log entry that is read back.
fn converted(body: &Bytes) {
    let request = v1::MutateRequest::decode(body.clone()).ok();
    if let Some(Ok(mutation)) = request.map(convert::mutation) {
        let entry = Entry {
            time: Timestamp {
                seconds: 1,
                nanos: 2,
            },
            origin: Some(mutation.origin),
            op: mutation.op,
        };
        assert_eq!(Entry::decode(entry.encode()).as_ref(), Ok(&entry));
    }
    let lock = v1::SetLock::decode(body.clone()).ok();
    let _ = lock.map(|lock| convert::lock(&lock));
    let request = v1::LookupObjectRequest::decode(body.clone()).ok();
    if let Some(Ok(key)) = request.map(|request| convert::key(&request.key)) {
        assert_eq!(convert::key(&key.to_bytes().into()), Ok(key));
    }
    let request = v1::ListKeysRequest::decode(body.clone()).ok();
    let _ = request.map(|request| convert::list_keys(&request));
    let request = v1::LookupRequest::decode(body.clone()).ok();
    if let Some(Ok(name)) = request.map(|request| convert::name(&request.name)) {
        assert!(!name.as_bytes().is_empty());
    }
}

fn frame<M: Message>(message: &M) -> Vec<u8> {
    let mut frame = framed::encode(message);
    framed::seal(&mut frame, 1, 9, 0, 60_000);
    frame
}

fn seeds() -> Vec<Vec<u8>> {
    let ops = names().chain(attributes()).chain(contents());
    let asked = ops.chain(objects()).map(|op| {
        frame(&v1::MutateRequest {
            session: 3,
            sequence: 9,
            acknowledged: 8,
            durable: true,
            keep_open: true,
            op: Some(op),
        })
    });
    let told = asked.chain(others()).chain(keys());
    told.chain(raft()).chain(chunks_elsewhere()).collect()
}

/// What nodes tell each other of chunks, and a chunk store is told of them.
fn chunks_elsewhere() -> Vec<Vec<u8>> {
    vec![
        frame(&v1::PeersRequest {
            among_others: true,
            nodes: vec![v1::PeerNode {
                number: 2,
                name: "beta".into(),
                public_key: vec![7; 32].into(),
                addresses: vec!["10.0.0.2:9502".into(), "[fe80::1%3]:9502".into()],
            }],
            leader: 2,
        }),
        frame(&v1::FlushRequest {
            place: 9,
            node: 2,
            incarnation: 4,
        }),
        frame(&v1::ReadReply {
            data: Bytes::from_static(b"data"),
            leaves: vec![1; 64].into(),
            chunk_length: 70_000,
        }),
    ]
}

/// What nodes tell each other that keep the index together.
fn raft() -> Vec<Vec<u8>> {
    let ballot = |committed| {
        Some(v1::RaftBallot {
            term: 7,
            leader: 2,
            committed,
        })
    };
    let place = |index| v1::RaftLogId {
        term: 6,
        leader: 1,
        index,
    };
    let entry = |payload: &'static [u8]| v1::RaftEntry {
        term: 7,
        leader: 2,
        payload: Bytes::from_static(payload),
    };
    vec![
        frame(&v1::RaftAppendRequest {
            from: 2,
            to: 3,
            ballot: ballot(true),
            previous: Some(place(8)),
            entries: vec![entry(b"first"), entry(b"second")],
            committed: Some(place(7)),
        }),
        frame(&v1::RaftAppendReply {
            outcome: 4,
            last: Some(place(8)),
            ballot: ballot(false),
        }),
        frame(&v1::RaftInstallRequest {
            from: 2,
            to: 3,
            ballot: ballot(true),
            last: Some(place(8)),
            membership: Some(v1::RaftMembership {
                log_id: Some(place(0)),
                configs: vec![v1::RaftVoters {
                    nodes: vec![1, 2, 3],
                }],
                learners: vec![4],
            }),
            id: vec![5; 16].into(),
            part: Some(v1::RaftPart {
                number: 1,
                data: "part".into(),
            }),
        }),
    ]
}

/// Messages with lists, optional parts and other messages in them, and failures.
fn others() -> Vec<Vec<u8>> {
    let attr = v1::Attr {
        ino: 9,
        mode: 0o100_644,
        nlink: 1,
        size: 4096,
        atime_s: -1,
        symlink: "target".into(),
        ..Default::default()
    };
    let name = || Bytes::from("name");
    vec![
        framed::failure_frame(&Failure::Errno(2)),
        framed::failure_frame(&Failure::Unavailable("not yet".into())),
        frame(&v1::FeedReply {
            version: 7,
            lease_ms: 2000,
            invalidations: vec![v1::Invalidation {
                number: 1,
                version: 7,
                kind: 2,
                ino: 9,
                name: name(),
                runs_out: true,
            }],
            rolled_back: true,
            segments_gone: 3,
        }),
        frame(&v1::GetAttrReply {
            version: 7,
            attr: Some(attr.clone()),
            rights: 15,
        }),
        frame(&v1::MutateReply {
            version: 7,
            attrs: vec![attr.clone(), attr],
            rights: 15,
            ..Default::default()
        }),
        frame(&v1::ListXattrReply {
            version: 7,
            xattrs: vec![v1::Xattr {
                name: name(),
                value: name(),
                value_omitted: false,
            }],
            rights: 2,
        }),
        frame(&v1::LocateRequest {
            ids: vec![vec![7; 32].into(), vec![9; 32].into()],
        }),
        frame(&v1::PutRequest {
            claimed_id: vec![7; 32].into(),
            privileged: true,
            source: Some(v1::put_request::Source::Data(name())),
        }),
        frame(&v1::InventoryReply {
            ids: vec![vec![7; 32].into()],
            end: true,
            lengths: vec![4096, 1],
        }),
        frame(&v1::GetLockRequest {
            session: 3,
            lock: Some(lock()),
        }),
    ]
}

/// What is asked about objects, and an answer.
fn keys() -> Vec<Vec<u8>> {
    let object = v1::Object {
        attr: Some(v1::Attr {
            ino: 9,
            mode: 0o100_644,
            ..Default::default()
        }),
        s3: Some("kept".into()),
        s3_version: 6,
    };
    vec![
        frame(&v1::LookupObjectRequest {
            session: 3,
            root: 1,
            key: "a/b".into(),
            open: true,
            number: 4,
        }),
        frame(&v1::ListKeysRequest {
            session: 3,
            root: 1,
            prefix: "a/".into(),
            after: "a/b".into(),
            delimiter: true,
            max: 9,
        }),
        frame(&v1::ListKeysReply {
            version: 7,
            entries: vec![v1::KeyEntry {
                key: "a/b".into(),
                object: Some(object),
            }],
            more: true,
            last: "a/b".into(),
        }),
    ]
}

fn lock() -> v1::SetLock {
    v1::SetLock {
        ino: 9,
        owner: 5,
        start: 1,
        end: 100,
        pid: 77,
        ..Default::default()
    }
}

/// The mutations of names, and the lock.
fn names() -> impl Iterator<Item = Op> {
    let name = || Bytes::from("name");
    [
        Op::Create(v1::Create {
            parent: 1,
            name: name(),
            mode: 0o100_644,
            umask: 0o22,
            uid: 1,
            gid: 2,
            ..Default::default()
        }),
        Op::Link(v1::Link {
            ino: 9,
            parent: 1,
            name: name(),
        }),
        Op::Unlink(v1::Unlink {
            parent: 1,
            name: name(),
            directory: false,
        }),
        Op::Rename(v1::Rename {
            parent: 1,
            name: name(),
            new_parent: 9,
            new_name: name(),
            no_replace: true,
            exchange: false,
        }),
        Op::Lock(lock()),
    ]
    .into_iter()
}

/// The mutations of attributes.
fn attributes() -> impl Iterator<Item = Op> {
    [
        Op::Setattr(v1::SetAttr {
            ino: 9,
            mode: Some(0o600),
            uid: Some(0),
            size: Some(77),
            atime: time(),
            mtime: time(),
            kill_suid: true,
            ..Default::default()
        }),
        Op::Setxattr(v1::SetXattr {
            ino: 9,
            name: "user.a".into(),
            value: "value".into(),
            create: true,
            ..Default::default()
        }),
        Op::Removexattr(v1::RemoveXattr {
            ino: 9,
            name: "user.a".into(),
        }),
    ]
    .into_iter()
}

fn time() -> Option<v1::Time> {
    Some(v1::Time {
        seconds: -5,
        nanos: 6,
        now: false,
    })
}

/// The mutations of objects.
fn objects() -> impl Iterator<Item = Op> {
    let publish = |key: &'static str, content| v1::Publish {
        root: 1,
        key: key.into(),
        content,
        mode: 0o644,
        directory_mode: 0o755,
        uid: 1,
        gid: 2,
        s3: "kept".into(),
        mtime: time(),
        expected: Some(v1::Expected {
            kind: 2,
            ino: 9,
            attr_version: 7,
        }),
    };
    [
        Op::MakeSystemRoot(v1::MakeSystemRoot {}),
        Op::Stage(v1::Stage {
            root: 1,
            mode: 0o600,
            uid: 1,
            gid: 2,
        }),
        Op::Publish(publish("a/b", Some(Content::Data("data".into())))),
        Op::Publish(publish("a/b", Some(Content::Staged(9)))),
        Op::Publish(publish("a/b/", None)),
        Op::SetObject(v1::SetObject {
            ino: 9,
            expected_attr_version: Some(7),
            s3: Some("kept".into()),
            silent: true,
        }),
        Op::RemoveObject(v1::RemoveObject {
            root: 1,
            key: "a/b".into(),
            expected: None,
        }),
    ]
    .into_iter()
}

/// The mutations of content.
fn contents() -> impl Iterator<Item = Op> {
    let place = v1::ChunkPlace {
        id: vec![7; 32].into(),
        chunk_length: 4096,
        offset: 0,
        receipts: vec![v1::Receipt {
            node: 1,
            incarnation: 2,
            epoch: 3,
            ..v1::Receipt::default()
        }],
    };
    let piece = |offset, length, source| v1::WritePiece {
        offset,
        length,
        source: Some(source),
    };
    let pieces = vec![
        piece(0, 4, Source::Data("data".into())),
        piece(4096, 4096, Source::Chunk(place)),
    ];
    [
        Op::Write(v1::Write {
            ino: 9,
            pieces,
            mtime: time(),
            kill_suid: true,
            expected_content_version: Some(6),
        }),
        Op::Append(v1::Append {
            ino: 9,
            data: "data".into(),
            kill_suid: true,
        }),
        Op::Fallocate(v1::Fallocate {
            ino: 9,
            mode: 3,
            offset: 4096,
            length: 4096,
        }),
        Op::CopyRange(v1::CopyRange {
            source: 9,
            source_offset: 0,
            target: 10,
            target_offset: 4096,
            length: 4096,
        }),
    ]
    .into_iter()
}
