//! What leaves for a member: nothing of what it may not name, and tickets for the chunks that it may read. A reply that
//! is not decided on here does not compile.

use wolfdisk_common::ids::{ChunkId, Ino, SessionId};
use wolfdisk_common::ticket::{Span, Tickets};
use wolfdisk_proto::v1;
use wolfdisk_proto::v1::invalidation::Kind;
use wolfdisk_proto::v1::piece::Source;

use super::place::READ;
use super::request::{is_content, is_for_root};
use super::{Refused, Rules};
use crate::index::records::Records;
use crate::index::table::TableError;

/// A reply that can be gone through.
pub(in crate::service) trait Conceals {
    /// Takes out what the member may not know, and puts tickets in.
    fn conceal<R: Records>(
        &mut self,
        rules: &Rules<'_, R>,
        tickets: &Tickets,
    ) -> Result<(), TableError>;
}

macro_rules! conceals {
    ($($reply:ident($this:ident, $rules:ident, $tickets:ident) $conceal:block)*) => {$(
        impl Conceals for v1::$reply {
            fn conceal<R: Records>(
                &mut self,
                $rules: &Rules<'_, R>,
                $tickets: &Tickets,
            ) -> Result<(), TableError> {
                let $this = self;
                $conceal
            }
        }
    )*};
}

conceals! {
    // Nothing in these is about an inode, or the request named it.
    Empty(_this, _rules, _tickets) { Ok(()) }
    GetXattrReply(_this, _rules, _tickets) { Ok(()) }
    StatFsReply(_this, _rules, _tickets) { Ok(()) }
    GetLockReply(_this, _rules, _tickets) { Ok(()) }
    SyncReply(_this, _rules, _tickets) { Ok(()) }
    MakeRoomReply(_this, _rules, _tickets) { Ok(()) }
    // Who gets these at all is decided where they are made.
    CheckReply(_this, _rules, _tickets) { Ok(()) }
    ExportReply(_this, _rules, _tickets) { Ok(()) }
    IssueTokenReply(_this, _rules, _tickets) { Ok(()) }
    JoinReply(_this, _rules, _tickets) { Ok(()) }
    ListMembersReply(_this, _rules, _tickets) { Ok(()) }
    ChangeMemberReply(_this, _rules, _tickets) { Ok(()) }
    GatewayKeysReply(_this, _rules, _tickets) { Ok(()) }
    ServersReply(_this, _rules, _tickets) { Ok(()) }
    RaftAppendReply(_this, _rules, _tickets) { Ok(()) }
    RaftVoteReply(_this, _rules, _tickets) { Ok(()) }
    RaftInstallReply(_this, _rules, _tickets) { Ok(()) }
    RaftHandOverReply(_this, _rules, _tickets) { Ok(()) }
    OpenSessionReply(this, rules, _tickets) {
        this.root = rules.top().0;
        Ok(())
    }
    // A directory that was moved out of the member's part may still be cached there: its names are told no more.
    FeedReply(this, rules, _tickets) {
        for told in &mut this.invalidations {
            let names = told.kind() == Kind::Name && rules.has_part();
            if names && !rules.reaches(Ino(told.ino))? {
                told.set_kind(Kind::Directory);
                told.name.clear();
            }
        }
        Ok(())
    }
    LookupReply(this, rules, _tickets) {
        each_attr(rules, this.attr.as_mut());
        Ok(())
    }
    GetAttrReply(this, rules, _tickets) {
        each_attr(rules, this.attr.as_mut());
        Ok(())
    }
    OpenReply(this, rules, tickets) {
        each_attr(rules, this.attr.as_mut());
        let ino = Ino(this.attr.as_ref().map_or(0, |attr| attr.ino));
        match rules.reach_for(ino, READ) {
            Ok(_) => add_tickets(rules, this.map.as_mut(), tickets),
            // Opened to write only.
            Err(Refused::Errno(_)) => this.map = None,
            Err(Refused::Broken(error)) => return Err(error),
        }
        Ok(())
    }
    MapReply(this, rules, tickets) {
        add_tickets(rules, Some(this), tickets);
        Ok(())
    }
    ReadDirReply(this, rules, _tickets) {
        each_attr(rules, this.entries.iter_mut().filter_map(|entry| entry.attr.as_mut()));
        if rules.has_part() && !rules.reaches(Ino(this.parent))? {
            this.parent = rules.top().0;
        }
        Ok(())
    }
    ListXattrReply(this, rules, _tickets) {
        if rules.restrictions.squash_root {
            this.xattrs.retain(|xattr| !is_for_root(&xattr.name));
        }
        match rules.reach_for(rules.subject, READ) {
            Ok(_) => {}
            Err(Refused::Errno(_)) => this.xattrs.iter_mut().for_each(omit_content),
            Err(Refused::Broken(error)) => return Err(error),
        }
        Ok(())
    }
    MutateReply(this, rules, _tickets) {
        let first = this.attrs.first().map(|attr| attr.ino);
        let mut kept = Vec::with_capacity(this.attrs.len());
        for attr in std::mem::take(&mut this.attrs) {
            if rules.reaches(Ino(attr.ino))? {
                kept.push(attr);
            }
        }
        this.attrs = kept;
        if this.attrs.first().map(|attr| attr.ino) != first {
            this.rights = 0;
        }
        each_attr(rules, &mut this.attrs);
        let object = this.object.as_ref().and_then(|object| object.attr.as_ref());
        if let Some(attr) = object
            && !rules.reaches(Ino(attr.ino))?
        {
            this.object = None;
        }
        each_object(rules, this.object.as_mut());
        Ok(())
    }
    // Who else uses the volume, and from where, is for nodes to know.
    MetaStatus(this, rules, _tickets) {
        let mut own = Vec::new();
        for status in std::mem::take(&mut this.sessions) {
            let session = rules.index.session(SessionId(status.session))?;
            if session.is_some_and(|session| session.member == rules.member) {
                own.push(status);
            }
        }
        this.sessions = own;
        Ok(())
    }
    LookupObjectReply(this, rules, tickets) {
        each_object(rules, this.object.as_mut());
        add_tickets(rules, this.map.as_mut(), tickets);
        Ok(())
    }
    ListKeysReply(this, rules, _tickets) {
        each_object(rules, this.entries.iter_mut().filter_map(|entry| entry.object.as_mut()));
        Ok(())
    }
}

/// Where something is, is not told beyond the member's part: the parent of its root is that itself, and of what is no
/// directory, whose parent is a hint, it is left out.
fn each_attr<'a, R>(rules: &Rules<'_, R>, attrs: impl IntoIterator<Item = &'a mut v1::Attr>)
where
    R: Records,
{
    if !rules.has_part() {
        return;
    }
    for attr in attrs {
        if attr.ino == rules.top().0 {
            attr.parent = attr.ino;
        } else if attr.mode & libc::S_IFMT != libc::S_IFDIR {
            attr.parent = 0;
        } else if attr.nlink == 0 {
            attr.parent = rules.top().0;
        }
    }
}

fn each_object<'a, R>(rules: &Rules<'_, R>, objects: impl IntoIterator<Item = &'a mut v1::Object>)
where
    R: Records,
{
    let attrs = objects
        .into_iter()
        .filter_map(|object| object.attr.as_mut());
    each_attr(rules, attrs);
}

/// Whoever asks for the value is told why it cannot have it.
fn omit_content(xattr: &mut v1::Xattr) {
    if is_content(&xattr.name) {
        xattr.value.clear();
        xattr.value_omitted = true;
    }
}

/// Lets the member read the chunks of a map.
fn add_tickets<R>(rules: &Rules<'_, R>, map: Option<&mut v1::MapReply>, tickets: &Tickets) {
    for piece in map.into_iter().flat_map(|map| &mut map.pieces) {
        let length = piece.length as u32;
        if let Some(Source::Chunk(chunk)) = &mut piece.source
            && let Ok(id) = ChunkId::from_slice(&chunk.id)
        {
            let offset = chunk.offset;
            let span = Span { id, offset, length };
            let ticket = tickets.read(rules.member, &span);
            chunk.ticket = bytes::Bytes::copy_from_slice(&ticket);
        }
    }
}
