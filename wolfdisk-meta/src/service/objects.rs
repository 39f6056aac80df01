//! Objects by their keys: reads, and answers to their mutations.
//!
//! An answer from here grants no right, unless it opens a file: keys are looked up anew each time.

use wolfdisk_common::ids::{Ino, SessionId};
use wolfdisk_common::limits::{LOG_DATA_MAX_BYTES, MAP_MAX_PIECES};
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::v1;

use super::convert;
use super::core::{Core, Store};
use super::guard;
use super::read::OPEN_PIECES;
use super::rpc::Service;
use crate::index::ListedKey;
use crate::index::op::{Answer, Op};
use crate::index::record::Inode;
use crate::index::table::TableError;
use crate::machine::rights::RightSet;

/// Whether its answer is one about an object.
pub(super) fn concerns_object(op: &Op) -> bool {
    matches!(
        op,
        Op::MakeSystemRoot | Op::Publish { .. } | Op::SetObject { .. } | Op::RemoveObject { .. }
    )
}

fn object(index: &Store, ino: Ino, inode: &Inode) -> Result<v1::Object, TableError> {
    let record = index.object_record(ino, inode)?;
    Ok(convert::object(ino, inode, record))
}

impl Service {
    pub(super) fn lookup_object(
        &self,
        call: &mut Call,
        request: v1::LookupObjectRequest,
    ) -> Result<v1::LookupObjectReply, Failure> {
        let key = convert::key(&request.key)?;
        let (mut core, session, now) = self.enter(call, request.session)?;
        let root = Ino(request.root);
        self.directory(&core, root)?;
        let found = core.index.object(root, &key);
        let found = found.map_err(|error| self.broken(error))?;
        let version = core.index.version();
        let mut reply = v1::LookupObjectReply {
            version: version.0,
            ..v1::LookupObjectReply::default()
        };
        let Some((ino, inode)) = found else {
            return Ok(reply);
        };
        let object = object(&core.index, ino, &inode).map_err(|error| self.broken(error))?;
        reply.found = true;
        reply.object = Some(object);
        if request.open && !inode.is_directory() {
            core.coherence.opened(session, ino, request.number, now);
            let wanted = convert::cacheable(&inode) | RightSet::OPENED;
            let rights = core.coherence.grant(session, ino, wanted, version, now);
            reply.rights = rights.to_wire();
            let small = inode.size <= LOG_DATA_MAX_BYTES as u64;
            let pieces = if small { MAP_MAX_PIECES } else { OPEN_PIECES };
            let map = self.mapped(&core, ino, 0, u64::MAX, pieces, LOG_DATA_MAX_BYTES)?;
            reply.map = Some(map);
        }
        Ok(reply)
    }

    pub(super) fn list_keys(
        &self,
        call: &mut Call,
        request: v1::ListKeysRequest,
    ) -> Result<v1::ListKeysReply, Failure> {
        let mut wanted = convert::list_keys(&request);
        wanted.as_nobody = guard::lists_as_nobody(call, Ino(request.root));
        let (core, _, _) = self.enter(call, request.session)?;
        let root = Ino(request.root);
        self.directory(&core, root)?;
        let page = core.index.list_keys(root, &wanted);
        let page = page.map_err(|error| self.broken(error))?;
        let mut entries = Vec::with_capacity(page.entries.len());
        for entry in page.entries {
            entries.push(match entry {
                ListedKey::Prefix(key) => v1::KeyEntry { key, object: None },
                ListedKey::Object { key, ino, inode } => {
                    let object = object(&core.index, ino, &inode);
                    let object = Some(object.map_err(|error| self.broken(error))?);
                    v1::KeyEntry { key, object }
                }
            });
        }
        Ok(v1::ListKeysReply {
            version: core.index.version().0,
            entries,
            more: page.more,
            last: page.last,
        })
    }

    /// Keys are below a directory.
    fn directory(&self, core: &Core, root: Ino) -> Result<(), Failure> {
        let inode = core.index.inode(root).map_err(|error| self.broken(error))?;
        match inode {
            None => Err(Failure::Errno(libc::ENOENT)),
            Some(inode) if !inode.is_directory() => Err(Failure::Errno(libc::ENOTDIR)),
            Some(_) => Ok(()),
        }
    }

    /// The answer to a mutation of an object: what it is now, if it is still there.
    pub(super) fn reply_object(
        &self,
        session: SessionId,
        answer: Answer,
    ) -> Result<v1::MutateReply, Failure> {
        let core = self.core();
        if answer.errno == libc::ESTALE && !core.coherence.knows(session) {
            return Err(Failure::StaleSession);
        }
        let parts = parts(&core.index, session, &answer.inodes);
        let (object, held) = parts.map_err(|error| self.broken(error))?;
        Ok(v1::MutateReply {
            version: answer.version.0,
            errno: answer.errno as u32,
            removed: answer.removed,
            changed: answer.inodes.iter().map(|ino| ino.0).collect(),
            object,
            held,
            ..v1::MutateReply::default()
        })
    }
}

/// The first of these inodes as an object, and those without a name that the session holds.
fn parts(
    index: &Store,
    session: SessionId,
    inodes: &[Ino],
) -> Result<(Option<v1::Object>, Vec<u64>), TableError> {
    let mut first = None;
    let mut held = Vec::new();
    for (position, &ino) in inodes.iter().enumerate() {
        let inode = index.inode(ino)?;
        if let Some(inode) = inode.as_ref().filter(|_| position == 0) {
            first = Some(object(index, ino, inode)?);
        }
        if inode.is_some_and(|inode| inode.nlink == 0) && index.is_held(ino, session)? {
            held.push(ino.0);
        }
    }
    Ok((first, held))
}
