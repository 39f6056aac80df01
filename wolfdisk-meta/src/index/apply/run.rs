//! Hands each mutation to its family.

use bytes::Bytes;
use wolfdisk_common::ids::SessionId;

use super::fail::{Done, Fail};
use super::{
    attributes, chunks, copy, create, destage, fallocate, locks, members, objects, publish, reap,
    remove, rename, repair, sessions, write, xattrs,
};
use crate::index::op::{Answer, Entry, Op};
use crate::index::records::Records;
use crate::index::tx::Tx;

/// Works out one entry in `tx`. Offsets of data are those within `payload`.
pub(crate) fn run<R: Records>(tx: &mut Tx<'_, R>, entry: &Entry, payload: &Bytes) -> Done<Answer> {
    let session = entry.origin.map(|origin| origin.session);
    match &entry.op {
        Op::OpenSession { .. } => sessions::open(tx, &entry.op),
        Op::CloseSession { session, .. } => sessions::close(tx, *session),
        Op::TakeOver { session, pid } => sessions::take_over(tx, *session, *pid),
        Op::Release { session, inos } => sessions::release(tx, *session, inos),
        Op::Create { .. } => create::create(tx, &entry.op),
        Op::Link { ino, parent, name } => create::link(tx, *ino, *parent, name),
        Op::Unlink {
            parent,
            name,
            directory,
            keep_open,
            openers,
        } => {
            let holders = holders(session, *keep_open, openers);
            remove::unlink(tx, *parent, name, *directory, &holders)
        }
        Op::Rename {
            keep_open, openers, ..
        } => rename::rename(tx, &entry.op, &holders(session, *keep_open, openers)),
        Op::SetAttr { .. } => attributes::set(tx, &entry.op),
        Op::SetXattr { .. } => xattrs::set(tx, &entry.op),
        Op::RemoveXattr { ino, name } => xattrs::remove(tx, *ino, name),
        Op::Write { .. } => write::write(tx, &entry.op, payload),
        Op::Append {
            ino,
            data,
            kill_suid,
        } => write::append(tx, *ino, data, *kill_suid, payload),
        Op::Fallocate {
            ino,
            mode,
            offset,
            length,
        } => fallocate::fallocate(tx, *ino, *mode, *offset, *length),
        Op::CopyRange { .. } => copy::copy(tx, &entry.op),
        Op::SetLock { .. } => locks::set(tx, &entry.op, session.ok_or(Fail::Errno(libc::EINVAL))?),
        Op::Destage { chunks, moves } => destage::destage(tx, chunks, moves),
        Op::Repack {
            sources,
            chunks,
            moves,
        } => destage::repack(tx, sources, chunks, moves),
        Op::NodeUp { node, incarnation } => chunks::node_up(tx, *node, *incarnation),
        Op::Sweep { node, swept } => chunks::sweep(tx, *node, *swept),
        Op::DropChunks { node, ids } => chunks::drop_freed(tx, *node, ids),
        Op::Reap { ino, extents } => reap::step(tx, *ino, *extents),
        Op::FeatureLevel { level } => {
            tx.counters.feature_level = tx.counters.feature_level.max(*level);
            Ok(Answer::default())
        }
        Op::Lead => Ok(Answer::default()),
        Op::Voters { configs, learners } => Ok(members::voters(tx, configs, learners)),
        Op::MakeSystemRoot => objects::make_system_root(tx),
        Op::Stage { .. } => publish::stage(tx, &entry.op, session),
        Op::Publish { publish } => publish::publish(tx, publish, session, payload),
        Op::SetObject { .. } => objects::set(tx, &entry.op),
        Op::RemoveObject { remove } => objects::remove(tx, remove),
        Op::IssueToken {
            kind,
            restrictions,
            ttl_s,
        } => members::issue_token(tx, *kind, restrictions, *ttl_s),
        Op::Join { .. } => members::join(tx, &entry.op),
        Op::ChangeMember { number, change } => members::change(tx, *number, change),
        Op::Repair {
            records,
            counters,
            usage,
        } => repair::repair(tx, records, counters, usage),
    }
}

/// Everyone who may hold the victim of a removal open.
fn holders(asking: Option<SessionId>, keep_open: bool, openers: &[SessionId]) -> Vec<SessionId> {
    openers
        .iter()
        .copied()
        .chain(asking.filter(|_| keep_open))
        .collect()
}
