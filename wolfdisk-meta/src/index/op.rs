//! Log entries and what applying them gives: the domain types between the wire and the log.
//!
//! An [`Entry`] carries everything that apply needs: time, limits, who has what open. Applying it is a
//! pure function of the state and the entry.

use bytes::Bytes;
use wolfdisk_common::ids::{
    ChunkId, Incarnation, Ino, LogIndex, NodeNumber, PutEpoch, Sequence, SessionId, Version,
};
use wolfdisk_common::member::{MemberKind, PUBLIC_KEY_BYTES, Restrictions};
use wolfdisk_common::name::FileName;
use wolfdisk_common::object_key::ObjectKey;
use wolfdisk_common::time::Timestamp;

use super::record::Access;

/// One mutation as it stands in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The leader's wall clock, made monotonic: never before the entry before it.
    pub time: Timestamp,
    /// Who asked; none for the daemon's own mutations.
    pub origin: Option<Origin>,
    /// What to do.
    pub op: Op,
}

/// The session and number of a mutation, by which it is done at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The session.
    pub session: SessionId,
    /// The number of this mutation in it.
    pub sequence: Sequence,
    /// Answers up to here have arrived and are kept no longer.
    pub acknowledged: Sequence,
}

/// A time to set: given, or the entry's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The time of the entry.
    Now,
    /// This.
    At(Timestamp),
}

/// What a node is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are POSIX's")]
pub enum Kind {
    File,
    Directory,
    Symlink,
    Fifo,
    Socket,
    CharDevice,
    BlockDevice,
}

/// Proof that a node holds a chunk durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The holder.
    pub node: NodeNumber,
    /// Its chunk store's life.
    pub incarnation: Incarnation,
    /// The stamp of the put.
    pub epoch: PutEpoch,
}

/// Where the bytes of a written range are.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteSource {
    /// In this entry: they ride in the log.
    Data(Bytes),
    /// In a chunk that is durable already.
    Chunk {
        /// Its id.
        id: ChunkId,
        /// Its whole length.
        chunk_length: u32,
        /// Where the range begins in it.
        offset: u32,
        /// Who holds it.
        receipts: Vec<Receipt>,
    },
}

/// A written range.
#[derive(Clone, Debug, PartialEq)]
pub struct WritePiece {
    /// Offset in the file.
    pub offset: u64,
    /// Bytes; of `Data` its length.
    pub length: u64,
    /// The bytes.
    pub source: WriteSource,
}

/// A lock's mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Shared.
    Read,
    /// Exclusive.
    Write,
    /// None: releases the range.
    Unlock,
}

/// One move of data from the log to a chunk, void if the range has changed since.
#[derive(Clone, Debug, PartialEq)]
pub struct DestageMove {
    /// The file.
    pub ino: Ino,
    /// Where the extent began when it was read.
    pub offset: u64,
    /// Its length then.
    pub length: u64,
    /// The log entry it named then, and the offset in that entry's payload.
    pub log_index: LogIndex,
    /// See `log_index`.
    pub log_offset: u32,
    /// Which of `chunks` holds the bytes now.
    pub chunk: u32,
    /// Where in that chunk.
    pub chunk_offset: u32,
}

/// One move of data from one chunk to another, void if the range has changed since.
#[derive(Clone, Debug, PartialEq)]
pub struct RepackMove {
    /// The file.
    pub ino: Ino,
    /// Where the extent began when it was read.
    pub offset: u64,
    /// Its length then.
    pub length: u64,
    /// Which of `sources` held the bytes then, and where in that chunk.
    pub source: u32,
    /// See `source`.
    pub source_offset: u32,
    /// Which of `chunks` holds the bytes now.
    pub chunk: u32,
    /// Where in that chunk.
    pub chunk_offset: u32,
}

/// A chunk that moved data was packed into.
#[derive(Clone, Debug, PartialEq)]
pub struct DestageChunk {
    /// Its id.
    pub id: ChunkId,
    /// Its length.
    pub length: u32,
    /// Who holds it.
    pub receipts: Vec<Receipt>,
}

/// What must be at a key for a change of it to be made; else it is refused with `ECANCELED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is.
    Anything,
    /// No object.
    Absent,
    /// This object, and nothing of it has changed.
    Exactly {
        /// The inode.
        ino: Ino,
        /// Its stamp.
        stamp: Version,
    },
}

/// What is put at a key.
#[derive(Clone, Debug, PartialEq)]
pub enum PublishContent {
    /// A new file of these bytes.
    Data {
        /// They ride in the log.
        data: Bytes,
    },
    /// A file without a name that the asking session holds.
    Staged {
        /// The file.
        ino: Ino,
    },
    /// The directory that the key means.
    Directory,
}

/// Sessions that may have an inode open which may lose its last name, as the leader knows it; the asking one may be
/// among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Openers {
    /// The inode.
    pub ino: Ino,
    /// The sessions.
    pub sessions: Vec<SessionId>,
}

/// Puts content at a key, and makes the directories that are missing on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// The directory that the key is below.
    pub root: Ino,
    /// The key.
    pub key: ObjectKey,
    /// What to put there.
    pub content: PublishContent,
    /// Permissions of the file.
    pub permissions: u32,
    /// Permissions of directories that are made.
    pub directory_permissions: u32,
    /// Owner of all that is made.
    pub uid: u32,
    /// Group, unless the directory is set-gid.
    pub gid: u32,
    /// What S3 keeps of it.
    pub s3: Bytes,
    /// Its modification time.
    pub mtime: SetTime,
    /// What must be there before.
    pub expected: Expected,
    /// Who may have open what is replaced.
    pub openers: Vec<Openers>,
}

/// Removes what is at a key, and implied directories that become empty by it.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoveObject {
    /// The directory that the key is below, which stays.
    pub root: Ino,
    /// The key.
    pub key: ObjectKey,
    /// What must be there before.
    pub expected: Expected,
    /// Who may have open what goes.
    pub openers: Vec<Openers>,
}

/// What a mutation does. `keep_open` says that the asking session holds the inode concerned open
/// afterwards; `openers` are the other sessions that may, as the leader knows it.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "the fields are those of the wire messages in meta.proto"
)]
pub enum Op {
    OpenSession {
        frontend: String,
        place: String,
        pid: u32,
        access: Access,
        member: u64,
    },
    /// Closes a session: its locks and open-unlinked inodes go. Expiry is the same mutation.
    CloseSession {
        session: SessionId,
        expired: bool,
    },
    /// Opens a session in the place of another, whose front-end is gone while its mount lives on.
    TakeOver {
        session: SessionId,
        pid: u32,
    },
    Create {
        parent: Ino,
        name: FileName,
        kind: Kind,
        permissions: u32,
        umask: u32,
        uid: u32,
        gid: u32,
        rdev: u64,
        symlink: Bytes,
    },
    Link {
        ino: Ino,
        parent: Ino,
        name: FileName,
    },
    Unlink {
        parent: Ino,
        name: FileName,
        directory: bool,
        keep_open: bool,
        openers: Vec<SessionId>,
    },
    Rename {
        parent: Ino,
        name: FileName,
        new_parent: Ino,
        new_name: FileName,
        no_replace: bool,
        exchange: bool,
        keep_open: bool,
        openers: Vec<SessionId>,
    },
    SetAttr {
        ino: Ino,
        permissions: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<SetTime>,
        mtime: Option<SetTime>,
        ctime: Option<SetTime>,
        kill_suid: bool,
    },
    SetXattr {
        ino: Ino,
        name: Bytes,
        value: Bytes,
        create: bool,
        replace: bool,
        keep_setgid: bool,
    },
    RemoveXattr {
        ino: Ino,
        name: Bytes,
    },
    Write {
        ino: Ino,
        pieces: Vec<WritePiece>,
        mtime: SetTime,
        kill_suid: bool,
        expected_content_version: Option<Version>,
    },
    Append {
        ino: Ino,
        data: Bytes,
        kill_suid: bool,
    },
    Fallocate {
        ino: Ino,
        mode: u32,
        offset: u64,
        length: u64,
    },
    CopyRange {
        source: Ino,
        source_offset: u64,
        target: Ino,
        target_offset: u64,
        length: u64,
    },
    SetLock {
        ino: Ino,
        owner: u64,
        mode: LockMode,
        start: u64,
        end: u64,
        pid: u32,
    },
    /// The session has closed its last handles of these open-but-unlinked inodes.
    Release {
        session: SessionId,
        inos: Vec<Ino>,
    },
    Destage {
        chunks: Vec<DestageChunk>,
        moves: Vec<DestageMove>,
    },
    /// What is left of sparse chunks moves into new ones.
    Repack {
        sources: Vec<ChunkId>,
        chunks: Vec<DestageChunk>,
        moves: Vec<RepackMove>,
    },
    /// A chunk store started, or was seen for the first time.
    NodeUp {
        node: NodeNumber,
        incarnation: Incarnation,
    },
    /// Receipts of `node` with an epoch up to this one are void for unreferenced chunks.
    Sweep {
        node: NodeNumber,
        swept: PutEpoch,
    },
    /// These unreferenced chunks were freed by `node`.
    DropChunks {
        node: NodeNumber,
        ids: Vec<ChunkId>,
    },
    /// Deletes up to `extents` extents of an inode that is being deleted in steps.
    Reap {
        ino: Ino,
        extents: u32,
    },
    /// Switches on new semantics.
    FeatureLevel {
        level: u32,
    },
    /// Says that a new leader has begun: with this entry all before it is decided.
    Lead,
    /// Says who votes on the log from this entry on, as [`Voters`](super::record::Voters) has it.
    Voters {
        configs: Vec<Vec<NodeNumber>>,
        learners: Vec<NodeNumber>,
    },
    /// Makes [`Ino::SYSTEM_ROOT`] if it is not there.
    MakeSystemRoot,
    /// Makes a file without a name, which the asking session holds until it publishes or releases it.
    Stage {
        root: Ino,
        permissions: u32,
        uid: u32,
        gid: u32,
    },
    Publish {
        publish: Publish,
    },
    /// Replaces what S3 keeps of an inode. `silent`, for files: nothing that mounts show changes.
    SetObject {
        ino: Ino,
        expected_stamp: Option<Version>,
        s3: Option<Bytes>,
        silent: bool,
    },
    RemoveObject {
        remove: RemoveObject,
    },
    /// Makes a token. Those that are of no use any more go.
    IssueToken {
        kind: MemberKind,
        restrictions: Restrictions,
        ttl_s: u64,
    },
    /// Makes the holder of a static key a member: by a token, of the kind that the token says, or, who holds the
    /// cluster's key, without one. Who is one already is told so again.
    Join {
        token: Option<u64>,
        kind: MemberKind,
        name: String,
        public_key: [u8; PUBLIC_KEY_BYTES],
    },
    ChangeMember {
        number: u64,
        change: MemberChange,
    },
    /// Puts right what a check has counted anew: all records or, if one of them is not what it was then,
    /// none.
    Repair {
        records: Vec<RepairRecord>,
        counters: RepairCounters,
        usage: Vec<RepairUsage>,
    },
}

impl Op {
    /// What it does, in a word.
    pub fn name(&self) -> &'static str {
        match self {
            Op::OpenSession { .. } => "open_session",
            Op::CloseSession { .. } => "close_session",
            Op::TakeOver { .. } => "take_over",
            Op::Create { .. } => "create",
            Op::Link { .. } => "link",
            Op::Unlink { .. } => "unlink",
            Op::Rename { .. } => "rename",
            Op::SetAttr { .. } => "set_attr",
            Op::SetXattr { .. } => "set_xattr",
            Op::RemoveXattr { .. } => "remove_xattr",
            Op::Write { .. } => "write",
            Op::Append { .. } => "append",
            Op::Fallocate { .. } => "fallocate",
            Op::CopyRange { .. } => "copy_range",
            Op::SetLock { .. } => "set_lock",
            Op::Release { .. } => "release",
            Op::Destage { .. } => "destage",
            Op::Repack { .. } => "repack",
            Op::NodeUp { .. } => "node_up",
            Op::Sweep { .. } => "sweep",
            Op::DropChunks { .. } => "drop_chunks",
            Op::Reap { .. } => "reap",
            Op::FeatureLevel { .. } => "feature_level",
            Op::Lead => "lead",
            Op::Voters { .. } => "voters",
            Op::MakeSystemRoot => "make_system_root",
            Op::Stage { .. } => "stage",
            Op::Publish { .. } => "publish",
            Op::SetObject { .. } => "set_object",
            Op::RemoveObject { .. } => "remove_object",
            Op::IssueToken { .. } => "issue_token",
            Op::Join { .. } => "join",
            Op::ChangeMember { .. } => "change_member",
            Op::Repair { .. } => "repair",
        }
    }
}

/// What becomes of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// It is shut out.
    Remove,
    /// It is called otherwise.
    Rename {
        /// As a node id.
        name: String,
    },
    /// That it was removed is forgotten.
    Forget,
}

/// A record that is to change if it is still what it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairRecord {
    /// Its key.
    pub key: Bytes,
    /// Its value then.
    pub expected: Option<Bytes>,
    /// What it is to be; its stamp becomes the version of the repair.
    pub value: Option<Bytes>,
}

/// By how much counters are wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairCounters {
    /// The next inode's number is to be this at least.
    pub next_ino: Ino,
    /// Chunk records.
    pub chunks: i64,
    /// Those without references.
    pub garbage: i64,
    /// Bytes in the log.
    pub undestaged_bytes: i64,
}

/// By how much the usage of a project is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepairUsage {
    /// The project.
    pub project: u32,
    /// Bytes.
    pub bytes: i64,
    /// Inodes.
    pub inodes: i64,
}

/// What the caller is told. Deterministic, and kept for a repeat of the same mutation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The version after the mutation.
    pub version: Version,
    /// 0, or why nothing was done.
    pub errno: i32,
    /// A chunk that was named is not held any more: put it again.
    pub retry_put: bool,
    /// Inodes whose attributes the caller may cache now, the one concerned first. Their attributes are
    /// read from the state when the answer is given.
    pub inodes: Vec<Ino>,
    /// append: where the bytes landed; copy: how many; of tokens and members: the number.
    pub offset: u64,
    /// The new entry's cookie.
    pub cookie: u64,
    /// The victim of an unlink or rename has lost its last link.
    pub removed: bool,
    /// The session that was opened.
    pub session: Option<SessionId>,
}

/// A thing that changed, for caches elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A name in a directory came, went or points elsewhere.
    Name { parent: Ino, name: FileName },
    /// Attributes, xattrs or ACLs.
    Attr { ino: Ino },
    /// The access time alone, and not even the change time: somebody read it, some time ago.
    AccessTime { ino: Ino },
    /// Content (and with it attributes).
    Data { ino: Ino },
    /// An inode is gone for good, or nothing holds it any more.
    Gone { ino: Ino },
    /// A lock was released or changed: waiters look again.
    Lock { ino: Ino },
}

/// What applying one entry gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// For the caller.
    pub answer: Answer,
    /// For everybody else's caches.
    pub effects: Vec<Effect>,
    /// The entry had been applied before; the answer is the one given then and nothing changed.
    pub repeated: bool,
}
