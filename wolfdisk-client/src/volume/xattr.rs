//! Extended attributes. The kernel asks for `security.capability` before every write: without any
//! attribute, or with all of them cached, that needs no call.

use std::sync::Arc;

use bytes::Bytes;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::{XATTR_NAME_MAX_BYTES, XATTR_VALUE_MAX_BYTES};
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::{GetXattrRequest, ListXattrRequest, RemoveXattr, SetXattr};

use super::Volume;
use crate::cache::state::{ATTR, CachedXattr};
use crate::counters::Counter;
use crate::error::{Error, Result};
use crate::session::Manner;
use crate::types::XattrMode;

impl Volume {
    /// The value of an extended attribute.
    ///
    /// # Errors
    /// `ENODATA`.
    pub fn get_xattr(&self, ino: Ino, name: &[u8]) -> Result<Bytes> {
        let xattrs = self.xattrs(ino)?;
        let found = xattrs.iter().find(|xattr| xattr.name == name);
        match found.ok_or(Error::Refused(libc::ENODATA))? {
            CachedXattr {
                value: Some(value), ..
            } => Ok(value.clone()),
            CachedXattr { value: None, .. } => {
                let name = Bytes::copy_from_slice(name);
                let request = |session| GetXattrRequest {
                    session,
                    ino: ino.0,
                    name: name.clone(),
                };
                let (reply, _) =
                    self.session
                        .ask(Counter::GetXattr, request, |meta, options, request| {
                            meta.get_xattr(options, request)
                        })?;
                Ok(reply.value)
            }
        }
    }

    /// The names of all extended attributes.
    ///
    /// # Errors
    /// The index could not be asked.
    pub fn list_xattr(&self, ino: Ino) -> Result<Vec<Bytes>> {
        Ok(self
            .xattrs(ino)?
            .iter()
            .map(|xattr| xattr.name.clone())
            .collect())
    }

    fn xattrs(&self, ino: Ino) -> Result<Arc<Vec<CachedXattr>>> {
        let lease = &self.session.lease;
        let (attr, _) = self.getattr(ino)?;
        if !attr.has_xattr {
            return Ok(Arc::default());
        }
        let node = self.node(ino);
        let cached = {
            let state = node.state.lock();
            if state.has(ATTR, lease) {
                state.xattrs.clone()
            } else {
                None
            }
        };
        if let Some(cached) = cached {
            return Ok(cached);
        }
        let request = |session| ListXattrRequest {
            session,
            ino: ino.0,
        };
        let (reply, asked) =
            self.session
                .ask(Counter::ListXattr, request, |meta, options, request| {
                    meta.list_xattr(options, request)
                })?;
        let xattrs = reply.xattrs.into_iter().map(|xattr| CachedXattr {
            name: xattr.name,
            value: (!xattr.value_omitted).then_some(xattr.value),
        });
        let xattrs = Arc::new(xattrs.collect::<Vec<_>>());
        let mut state = node.state.lock();
        if state.may_learn_xattrs(reply.version, asked, lease) {
            state.xattrs = Some(xattrs.clone());
        }
        Ok(xattrs)
    }

    /// Sets an extended attribute.
    ///
    /// # Errors
    /// As the system call.
    pub fn set_xattr(&self, ino: Ino, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
        if name.len() > XATTR_NAME_MAX_BYTES {
            return Err(Error::Refused(libc::ERANGE));
        }
        if value.len() > XATTR_VALUE_MAX_BYTES {
            return Err(Error::Refused(libc::E2BIG));
        }
        let op = Op::Setxattr(SetXattr {
            ino: ino.0,
            name: Bytes::copy_from_slice(name),
            value: Bytes::copy_from_slice(value),
            create: mode.create,
            replace: mode.replace,
            keep_setgid: mode.keep_setgid,
        });
        self.change_xattr(ino, &op)
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// `ENODATA`.
    pub fn remove_xattr(&self, ino: Ino, name: &[u8]) -> Result<()> {
        let name = Bytes::copy_from_slice(name);
        self.change_xattr(ino, &Op::Removexattr(RemoveXattr { ino: ino.0, name }))
    }

    fn change_xattr(&self, ino: Ino, op: &Op) -> Result<()> {
        let (mut reply, asked) = self.session.mutate(op, Manner::default())?;
        self.changed_inodes(&mut reply, &[ino], asked)?;
        self.node(ino).state.lock().xattrs = None;
        Ok(())
    }
}
