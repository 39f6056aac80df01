//! Names in directories: what create, link, unlink and rename share.

use bytes::Bytes;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::name::FileName;

use super::fail::{Done, Fail, require};
use crate::index::key::{self, Key};
use crate::index::op::{Effect, Kind};
use crate::index::record::{Cookie, Dirent, Inode, Link};
use crate::index::records::{Read, Records};
use crate::index::tx::Tx;

/// A name as part of a key.
pub(crate) fn bytes_of(name: &FileName) -> Bytes {
    Bytes::copy_from_slice(name.as_bytes())
}

/// A directory in which names may be made: there, a directory, not removed.
pub(crate) fn directory<R: Records>(tx: &Tx<'_, R>, ino: Ino) -> Done<Inode> {
    let inode = existing(tx, ino)?;
    require(inode.is_directory(), libc::ENOTDIR)?;
    require(inode.nlink > 0, libc::ENOENT)?;
    Ok(inode)
}

/// An inode that a caller names.
pub(crate) fn existing<R: Records>(tx: &Tx<'_, R>, ino: Ino) -> Done<Inode> {
    tx.find_inode(ino)?.ok_or(Fail::Errno(libc::ENOENT))
}

/// What a name means, if anything.
pub(crate) fn find<R: Records>(
    tx: &Tx<'_, R>,
    parent: Ino,
    name: &FileName,
) -> Done<Option<Dirent>> {
    Ok(tx.load(&Key::Dirent {
        parent,
        name: bytes_of(name),
    })?)
}

/// Adds a name that is not there to the directory, whose record the caller writes. Gives the cookie.
pub(crate) fn add<R: Records>(
    tx: &mut Tx<'_, R>,
    parent: Ino,
    directory: &mut Inode,
    name: &FileName,
    ino: Ino,
    kind: Kind,
) -> Done<u64> {
    let cookie = directory.next_cookie;
    directory.next_cookie += 1;
    directory.entries += 1;
    directory.size = directory.entries;
    point(tx, parent, name, ino, kind, cookie);
    changed(tx, directory);
    Ok(cookie)
}

/// Makes the name with this cookie mean `ino`.
pub(crate) fn point<R: Records>(
    tx: &mut Tx<'_, R>,
    parent: Ino,
    name: &FileName,
    ino: Ino,
    kind: Kind,
    cookie: u64,
) {
    let stamp = tx.version();
    let by_name = Dirent {
        stamp,
        ino,
        kind,
        cookie,
    };
    let by_cookie = Cookie {
        stamp,
        ino,
        kind,
        name: name.clone(),
    };
    tx.store(
        &Key::Dirent {
            parent,
            name: bytes_of(name),
        },
        &by_name,
    );
    tx.store(&Key::Cookie { parent, cookie }, &by_cookie);
    tx.effect(Effect::Name {
        parent,
        name: name.clone(),
    });
}

/// Takes a name out of the directory, whose record the caller writes.
pub(crate) fn take<R: Records>(
    tx: &mut Tx<'_, R>,
    parent: Ino,
    directory: &mut Inode,
    name: &FileName,
    dirent: &Dirent,
) {
    directory.entries = directory.entries.saturating_sub(1);
    directory.size = directory.entries;
    tx.remove(&Key::Dirent {
        parent,
        name: bytes_of(name),
    });
    tx.remove(&Key::Cookie {
        parent,
        cookie: dirent.cookie,
    });
    tx.effect(Effect::Name {
        parent,
        name: name.clone(),
    });
    changed(tx, directory);
}

/// The names of the directory have changed.
pub(crate) fn changed<R: Records>(tx: &Tx<'_, R>, directory: &mut Inode) {
    directory.mtime = tx.time;
    directory.ctime = tx.time;
    directory.content_version = tx.version();
}

/// Records that a file which has a name already gets another.
pub(crate) fn link_added<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    parent: Ino,
    name: &FileName,
) {
    let link = Link {
        stamp: tx.version(),
    };
    if inode.nlink == 1 {
        tx.store(
            &Key::Link {
                ino,
                parent: inode.parent,
                name: inode.name.clone(),
            },
            &link,
        );
    }
    tx.store(
        &Key::Link {
            ino,
            parent,
            name: bytes_of(name),
        },
        &link,
    );
    inode.nlink += 1;
}

/// Records that a file has lost a name. With one left, that is where it is.
pub(crate) fn link_removed<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    parent: Ino,
    name: &FileName,
) -> Done {
    if inode.nlink > 1 {
        tx.remove(&Key::Link {
            ino,
            parent,
            name: bytes_of(name),
        });
    }
    inode.nlink = inode.nlink.saturating_sub(1);
    if inode.nlink == 1 {
        let left = tx.keys(&key::links(ino), 1)?.into_iter().next();
        if let Some(Key::Link { parent, name, .. }) = left {
            tx.remove(&Key::Link {
                ino,
                parent,
                name: name.clone(),
            });
            (inode.parent, inode.name) = (parent, name);
        }
    }
    Ok(())
}

/// Records that a name of an inode has moved.
pub(crate) fn link_moved<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    (parent, name): (Ino, &FileName),
    (new_parent, new_name): (Ino, &FileName),
) {
    if inode.nlink > 1 && !inode.is_directory() {
        let link = Link {
            stamp: tx.version(),
        };
        tx.remove(&Key::Link {
            ino,
            parent,
            name: bytes_of(name),
        });
        tx.store(
            &Key::Link {
                ino,
                parent: new_parent,
                name: bytes_of(new_name),
            },
            &link,
        );
        return;
    }
    (inode.parent, inode.name) = (new_parent, bytes_of(new_name));
}
