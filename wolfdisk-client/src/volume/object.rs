//! Objects by their keys: looking up, opening, listing. Nothing is kept of the answers but what opening a file brings.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::object_key::ObjectKey;
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::{ListKeysRequest, LookupObjectReply, LookupObjectRequest, MakeSystemRoot};

use super::Volume;
use super::handles::Handle;
use crate::cache::node::Node;
use crate::convert;
use crate::counters::Counter;
use crate::error::{Error, Result};
use crate::limits;
use crate::object::{KeyEntry, KeyPage, ListKeys, Object};
use crate::session::{Identity, Manner, Session};
use crate::types::{FileKind, HandleId, OpenFlags};

/// Opens by key that are under way, by number. Which inode one opens is not known before it is answered: until then
/// the daemon is not told that any that was open by then is closed.
#[derive(Debug, Default)]
pub(super) struct KeyedOpens(Mutex<BTreeSet<u64>>);

/// One of them.
struct KeyedOpen<'a> {
    number: u64,
    all: &'a KeyedOpens,
}

impl Drop for KeyedOpen<'_> {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.number);
    }
}

impl KeyedOpens {
    fn begin(&self, session: &Session) -> KeyedOpen<'_> {
        let mut numbers = self.0.lock();
        let number = session.next_open();
        numbers.insert(number);
        KeyedOpen { number, all: self }
    }

    /// The last open up to which it is known what all of them opened.
    pub(super) fn settled(&self, session: &Session) -> u64 {
        let numbers = self.0.lock();
        match numbers.first() {
            Some(first) => first - 1,
            None => session.last_open(),
        }
    }
}

impl Volume {
    /// A directory outside of what is mounted, for what front-ends keep for themselves. Made when it is first asked
    /// for.
    ///
    /// # Errors
    /// It is not there and cannot be made.
    pub fn system_root(&self) -> Result<Ino> {
        let root = Ino::SYSTEM_ROOT;
        match self.getattr(root) {
            Ok(_) => return Ok(root),
            Err(Error::Refused(libc::ENOENT)) => {}
            Err(error) => return Err(error),
        }
        let op = Op::MakeSystemRoot(MakeSystemRoot {});
        let manner = Manner {
            durable: true,
            keep_open: false,
        };
        self.session.mutate(&op, manner)?;
        Ok(root)
    }

    /// The object at a key below a directory.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`: there is no such directory.
    pub fn object(&self, root: Ino, key: &ObjectKey) -> Result<Option<Object>> {
        let (reply, _) = self.ask_object(root, key, None)?;
        found(&reply)
    }

    /// Opens the file at a key for reading. It can be read to its end, whatever becomes of the key.
    ///
    /// # Errors
    /// As [`Volume::object`]; `EISDIR` if the key is a marker.
    pub fn open_object(&self, root: Ino, key: &ObjectKey) -> Result<Option<(Object, HandleId)>> {
        if key.is_marker() {
            return Err(Error::Refused(libc::EISDIR));
        }
        for _ in 0..limits::OPEN_ATTEMPTS {
            let opening = self.keyed_opens.begin(&self.session);
            let (reply, asked) = self.ask_object(root, key, Some(opening.number))?;
            let Some(object) = found(&reply)? else {
                return Ok(None);
            };
            if object.attr.kind != FileKind::File {
                return Err(Error::Malformed("an object that is no file"));
            }
            let node = self.node(object.attr.ino);
            // It counts as open before the daemon may hear that it is not.
            let opened = count_open(&node, reply.version);
            drop(opening);
            if !opened {
                // A removal of our own that is under way did not see it: the file may be gone.
                self.wait_removals(&node)?;
                self.close_counted(&node);
                continue;
            }
            let handle = self.opened_object(&node, &object, reply, asked);
            if handle.is_err() {
                self.close_counted(&node);
            }
            return handle.map(|handle| Some((object, handle)));
        }
        Err(Failure::Unavailable("an object that changes all the time".to_owned()).into())
    }

    fn opened_object(
        &self,
        node: &Arc<Node>,
        object: &Object,
        reply: LookupObjectReply,
        asked: Identity,
    ) -> Result<HandleId> {
        self.learn_attr(object.attr.clone(), reply.rights, reply.version, asked);
        if let Some(map) = reply.map {
            self.learn_map(node, &map, asked)?;
        }
        let flags = OpenFlags {
            read: true,
            ..OpenFlags::default()
        };
        self.handles.insert(Handle::new(node.clone(), flags))
    }

    fn ask_object(
        &self,
        root: Ino,
        key: &ObjectKey,
        open: Option<u64>,
    ) -> Result<(LookupObjectReply, Identity)> {
        let request = |session| LookupObjectRequest {
            session,
            root: root.0,
            key: key.to_bytes().into(),
            open: open.is_some(),
            number: open.unwrap_or_default(),
        };
        self.session
            .ask(Counter::LookupObject, request, |meta, options, request| {
                meta.lookup_object(options, request)
            })
    }

    /// Lists keys below a directory, a page at a time.
    ///
    /// # Errors
    /// As [`Volume::object`].
    pub fn list_keys(&self, root: Ino, keys: &ListKeys) -> Result<KeyPage> {
        let request = |session| ListKeysRequest {
            session,
            root: root.0,
            prefix: keys.prefix.clone(),
            after: keys.after.clone(),
            delimiter: keys.delimiter,
            max: keys.max,
        };
        let (reply, _) =
            self.session
                .ask(Counter::ListKeys, request, |meta, options, request| {
                    meta.list_keys(options, request)
                })?;
        if reply.more && reply.last <= keys.after {
            return Err(Error::Malformed("a listing that does not go on"));
        }
        let mut entries = Vec::with_capacity(reply.entries.len());
        for entry in reply.entries {
            let key = entry.key;
            entries.push(match entry.object {
                None => KeyEntry::Prefix(key),
                Some(object) => {
                    let object = Box::new(convert::object(Some(object))?);
                    KeyEntry::Object { key, object }
                }
            });
        }
        Ok(KeyPage {
            entries,
            more: reply.more,
            last: reply.last,
        })
    }
}

/// Counts one more that has it open, as of an answer of `version`. False: a change of our own may have come between.
fn count_open(node: &Node, version: u64) -> bool {
    let mut state = node.state.lock();
    if state.removals > 0 || state.own_version > version {
        return false;
    }
    state.opens += 1;
    true
}

fn found(reply: &LookupObjectReply) -> Result<Option<Object>> {
    match reply.found {
        true => convert::object(reply.object.clone()).map(Some),
        false => Ok(None),
    }
}
