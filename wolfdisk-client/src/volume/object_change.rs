//! Changes of objects: files without names that get one by being published, whole and durable; what S3 keeps of them;
//! their removal.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use wolfdisk_common::ids::{Ino, Version};
use wolfdisk_common::limits::LOG_DATA_MAX_BYTES;
use wolfdisk_common::object_key::ObjectKey;
use wolfdisk_common::time::Timestamp;
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::{self, MutateReply, publish};

use super::Volume;
use super::handles::Handle;
use crate::cache::names::Known;
use crate::cache::node::Node;
use crate::convert;
use crate::error::{Error, Result};
use crate::object::{Content, Expected, NewObject, Object};
use crate::session::{Identity, Manner};
use crate::types::{Attr, FileKind, HandleId, OpenFlags, SetTime};

/// When it is on stable storage.
const DURABLE: Manner = Manner {
    durable: true,
    keep_open: false,
};

impl Volume {
    /// Makes a file without a name, open for reading and writing. It goes when it is released or the session ends,
    /// unless it is published. `root` is a directory above where that is to be.
    ///
    /// # Errors
    /// As creating a file.
    pub fn stage(&self, root: Ino, mode: u32, uid: u32, gid: u32) -> Result<HandleId> {
        let op = Op::Stage(v1::Stage {
            root: root.0,
            mode,
            uid,
            gid,
        });
        let manner = Manner {
            durable: false,
            keep_open: true,
        };
        let (mut reply, asked) = self.session.mutate(&op, manner)?;
        let rights = reply.rights;
        let attrs = self.changed_inodes(&mut reply, &[], asked)?;
        let attr = attrs.into_iter().next();
        let attr = attr.ok_or(Error::Refused(libc::ESTALE))?;
        self.begin_empty(&attr, rights, reply.version, asked);
        let node = self.node(attr.ino);
        {
            let mut state = node.state.lock();
            state.orphan = true;
            state.opens += 1;
        }
        let flags = OpenFlags {
            read: true,
            write: true,
            ..OpenFlags::default()
        };
        let handle = self.handles.insert(Handle::new(node.clone(), flags));
        if handle.is_err() {
            self.close_counted(&node);
        }
        handle
    }

    /// Puts content at a key below a directory, with the directories that are missing on the way: all of it or nothing,
    /// and durable when this returns. A file that is there is replaced; who has it open keeps it. A staged file stays
    /// open under its handle.
    ///
    /// # Errors
    /// [`Error::Changed`]; `EISDIR` where a directory is in the way, `ENOTDIR` where one is needed and something else
    /// is; `EFBIG` for too many bytes; what writing back a staged file gave, as long as it is open.
    pub fn publish(
        &self,
        root: Ino,
        key: &ObjectKey,
        content: Content,
        new: NewObject,
        expected: Expected,
    ) -> Result<Object> {
        if key.is_marker() != (content == Content::Marker) {
            return Err(Error::Refused(libc::EINVAL));
        }
        let mut size = 0;
        let mut staged = None;
        let content = match content {
            Content::Bytes(bytes) if bytes.len() > LOG_DATA_MAX_BYTES => {
                return Err(Error::Refused(libc::EFBIG));
            }
            Content::Bytes(bytes) => {
                size = bytes.len() as u64;
                Some(publish::Content::Data(bytes))
            }
            Content::Staged(id) => {
                let handle = self.handles.get(id)?;
                self.save_for_close(&handle)?;
                let ino = handle.node.ino.0;
                staged = Some(handle.node.clone());
                Some(publish::Content::Staged(ino))
            }
            Content::Marker => None,
        };
        let made = made(key, size, staged.as_deref(), &new);
        let op = Op::Publish(v1::Publish {
            root: root.0,
            key: key.to_bytes().into(),
            content,
            mode: new.mode,
            directory_mode: new.directory_mode,
            uid: new.uid,
            gid: new.gid,
            s3: new.s3.clone(),
            mtime: new.mtime.map(|at| convert::time(SetTime::At(at))),
            expected: Some(wire_expected(expected)),
        });
        let (reply, asked) = self.change_object(&op, DURABLE)?;
        // Nobody has known a new file before.
        let known = usize::from(staged.is_none() && !key.is_marker());
        self.follow_own(&reply, known, Some(key), asked);
        let object = convert::published(reply.object, &reply.changed)?;
        if let Some(node) = staged {
            self.named(&node, object.as_ref().ok(), reply.version, asked);
        }
        // Somebody may have replaced it already: then it is what it was when it was made.
        Ok(object.unwrap_or_else(|ino| {
            let version = Version(reply.version);
            let content_version = match made.content_version {
                Version(0) => version,
                known => known,
            };
            Object {
                attr: Attr {
                    ino,
                    content_version,
                    attr_version: version,
                    ..made
                },
                s3: Some(new.s3),
                s3_version: content_version,
            }
        }))
    }

    /// Replaces what S3 keeps of a file or a directory, if its attributes are of this version.
    ///
    /// # Errors
    /// [`Error::Changed`]; `ENOENT` if it has no name.
    pub fn set_object(
        &self,
        ino: Ino,
        expected_attr_version: Option<Version>,
        s3: Option<Bytes>,
        durable: bool,
    ) -> Result<Object> {
        let set = v1::SetObject {
            ino: ino.0,
            expected_attr_version: expected_attr_version.map(|version| version.0),
            s3,
            silent: false,
        };
        self.set_described(set, durable)
    }

    /// The same of a file, with what was worked out of its content: nothing that mounts show changes by it, not its
    /// ctime either. Not durable; on a full disk it fails at once.
    ///
    /// # Errors
    /// As [`Volume::set_object`].
    pub fn remember_object(&self, ino: Ino, attr_version: Version, s3: Bytes) -> Result<Object> {
        let set = v1::SetObject {
            ino: ino.0,
            expected_attr_version: Some(attr_version.0),
            s3: Some(s3),
            silent: true,
        };
        self.set_described(set, false)
    }

    fn set_described(&self, set: v1::SetObject, durable: bool) -> Result<Object> {
        let op = Op::SetObject(set);
        let manner = Manner {
            durable,
            keep_open: false,
        };
        let (reply, asked) = self.change_object(&op, manner)?;
        self.follow_own(&reply, 0, None, asked);
        match reply.object {
            None => Err(Error::Refused(libc::ENOENT)),
            object => convert::object(object),
        }
    }

    /// Removes the object at a key, and implied directories that become empty by it; says whether there was one.
    /// Durable. A directory in which other keys are stays for them.
    ///
    /// # Errors
    /// [`Error::Changed`].
    pub fn remove_object(&self, root: Ino, key: &ObjectKey, expected: Expected) -> Result<bool> {
        let op = Op::RemoveObject(v1::RemoveObject {
            root: root.0,
            key: key.to_bytes().into(),
            expected: Some(wire_expected(expected)),
        });
        let (reply, asked) = match self.change_object(&op, DURABLE) {
            Err(Error::Refused(libc::ENOENT)) => return Ok(false),
            other => other?,
        };
        self.follow_own(&reply, 0, Some(key), asked);
        Ok(true)
    }

    /// Does a mutation of an object.
    fn change_object(&self, op: &Op, manner: Manner) -> Result<(MutateReply, Identity)> {
        let (reply, asked) = self.session.mutate_raw(op, manner)?;
        match reply.errno as i32 {
            0 => Ok((reply, asked)),
            libc::ECANCELED => Err(Error::Changed),
            errno => Err(Error::Refused(errno)),
        }
    }

    /// Forgets what is known here of what a mutation of ours changed, but for the first `known` of it.
    fn follow_own(
        &self,
        reply: &MutateReply,
        known: usize,
        key: Option<&ObjectKey>,
        asked: Identity,
    ) {
        for ino in reply.changed.iter().skip(known) {
            self.changed_inode(Ino(*ino), key, reply.version, asked);
        }
        for ino in &reply.held {
            self.orphaned(Ino(*ino));
        }
    }

    /// A mutation changed an inode and perhaps a name in it that `key` has.
    fn changed_inode(&self, ino: Ino, key: Option<&ObjectKey>, version: u64, asked: Identity) {
        // First the mark, against what is learned of it from now on.
        self.table.note_change(ino, version);
        let Some(node) = self.table.get(ino) else {
            return;
        };
        let mut state = node.state.lock();
        let is_file = state
            .attr
            .as_ref()
            .is_some_and(|attr| attr.kind != FileKind::Directory);
        state.learn_own(None, 0, version, asked, &self.session.lease);
        if !is_file {
            for name in key.into_iter().flat_map(ObjectKey::names) {
                state.names.learn(name.as_bytes(), Known::Unknown, version);
            }
        }
        node.changed.notify_all();
    }

    /// An inode lost its last name by us, and the daemon believes that we may have it open.
    fn orphaned(&self, ino: Ino) {
        let node = self.node(ino);
        let opens = {
            let mut state = node.state.lock();
            state.orphan = true;
            state.opens
        };
        if opens == 0 {
            self.discard_unsaved(&node);
            self.tell_closed(ino);
        }
    }

    /// A staged file has got its name.
    fn named(&self, node: &Arc<Node>, object: Option<&Object>, version: u64, asked: Identity) {
        let mut state = node.state.lock();
        state.orphan = object.is_none();
        let attr = object.map(|object| object.attr.clone());
        state.learn_own(attr, 0, version, asked, &self.session.lease);
    }
}

/// What is made at a key, as far as it is known before.
fn made(key: &ObjectKey, size: u64, staged: Option<&Node>, new: &NewObject) -> Attr {
    let now = Timestamp::from(SystemTime::now());
    let known = staged.and_then(|node| node.state.lock().attr.clone());
    let (size, content_version) = match known {
        Some(attr) => (attr.size, attr.content_version),
        None => (size, Version(0)),
    };
    let (kind, permissions) = match key.is_marker() {
        true => (FileKind::Directory, new.directory_mode),
        false => (FileKind::File, new.mode),
    };
    Attr {
        ino: Ino(0),
        kind,
        permissions: permissions & 0o7777,
        uid: new.uid,
        gid: new.gid,
        nlink: 0,
        size,
        allocated: size,
        atime: now,
        mtime: new.mtime.unwrap_or(now),
        ctime: now,
        btime: now,
        rdev: 0,
        content_version,
        parent: Ino(0),
        has_xattr: false,
        symlink: Bytes::new(),
        attr_version: Version(0),
    }
}

fn wire_expected(expected: Expected) -> v1::Expected {
    use v1::expected::Kind;
    let (kind, ino, attr_version) = match expected {
        Expected::Anything => (Kind::Anything, Ino(0), Version(0)),
        Expected::Absent => (Kind::Absent, Ino(0), Version(0)),
        Expected::Exactly { ino, attr_version } => (Kind::Exactly, ino, attr_version),
    };
    v1::Expected {
        kind: kind.into(),
        ino: ino.0,
        attr_version: attr_version.0,
    }
}
