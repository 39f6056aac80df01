//! Mutations and `Sync`: through the queue, then to wait for what the answer promises.

use wolfdisk_common::ids::{Ino, SessionId, Version};
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::v1;

use tokio::sync::oneshot;

use super::batch::Pending;
use super::convert::{self, Mutation};
use super::core::Core;
use super::guard::{self, Asker};
use super::objects::concerns_object;
use super::rpc::Service;
use crate::index::op::{Answer, Kind, Op, Origin};
use crate::index::table::TableError;
use crate::limits;
use crate::machine::rights::RightSet;

impl Service {
    pub(super) async fn mutate(
        &self,
        call: &mut Call,
        request: v1::MutateRequest,
    ) -> Result<v1::MutateReply, Failure> {
        let (_, session, now) = self.enter(call, request.session)?;
        let asker = Asker::of(call, request.session);
        if let Some(asker) = &asker
            && !self.has_put(asker, &request)
        {
            self.count_denied();
            // It gets what it needs when it puts them itself.
            return Ok(v1::MutateReply {
                retry_put: true,
                ..self.refusal(0)
            });
        }
        let Mutation {
            origin,
            mut op,
            durable,
            keep_open,
            lock_wait,
        } = match convert::mutation(request) {
            Ok(mutation) => mutation,
            // The same request is refused the same way whenever it comes: it needs no place in the log.
            Err(Failure::Errno(errno)) => return Ok(self.refusal(errno)),
            Err(failure) => return Err(failure),
        };
        if let Some(asker) = &asker
            && !self.is_repeat(origin)?
            && let Some(errno) = self.judge(asker, &mut op)?
        {
            self.count_denied();
            return Ok(self.refusal(errno));
        }
        if grows(&op) && self.look_if_full() && !self.is_repeat(origin)? {
            // What only spares work later is not worth a wait.
            let silent = matches!(op, Op::SetObject { silent: true, .. });
            if silent || !self.may_grow().await {
                return Ok(self.refusal(libc::ENOSPC));
            }
        }
        if op.data_bytes() > 0 && !self.wait_room().await? {
            return Ok(self.refusal(libc::ENOSPC));
        }
        if let Some((ino, stays)) = changes_content(&op) {
            let barrier = {
                let mut core = self.core();
                let version = core.index.version();
                let waits = core
                    .coherence
                    .before_change(session, ino, stays, version, now);
                core.open_barrier(&waits)
            };
            self.wait_barrier(barrier).await?;
        }
        let made = matches!(op, Op::Create { .. } | Op::Stage { .. });
        let file = matches!(
            op,
            Op::Create {
                kind: Kind::File,
                ..
            } | Op::Stage { .. }
        );
        let (opens, of_object) = (keep_open && file, concerns_object(&op));
        let lock_until = lock_wait.map(|wait| now + wait.min(limits::LOCK_WAIT_MAX));
        let (answer, receiver) = oneshot::channel();
        self.enqueue(Pending {
            op,
            origin: Some(origin),
            durable,
            lock_until,
            asker,
            answer,
        })?;
        let done = receiver.await.map_err(|_| Service::stopping())?;
        self.wait_barrier(done.barrier).await?;
        if let Some(index) = done.index.filter(|_| durable) {
            self.wait_durable(index).await?;
        }
        match of_object {
            true => self.reply_object(session, done.answer),
            false => self.reply(session, done.answer, made, opens),
        }
    }

    pub(super) async fn sync(
        &self,
        call: &mut Call,
        request: v1::SyncRequest,
    ) -> Result<v1::SyncReply, Failure> {
        let member = guard::member_of(call)?;
        let waits_for = {
            let mut core = self.core();
            if core.is_foreign(SessionId(request.session), member) {
                return Err(Failure::StaleSession);
            }
            let version = Version(request.version);
            if version > core.index.version() {
                return Err(Failure::Invalid("a version that is not there yet".into()));
            }
            let index = core.entry_of(version);
            if let Some(index) = index {
                core.log.want_durable(index);
            }
            index
        };
        if let Some(index) = waits_for {
            self.wait_durable(index).await?;
        }
        Ok(v1::SyncReply {
            durable: request.version,
        })
    }

    /// Whether it has been applied: then its answer is the kept one, however full the disk is now.
    fn is_repeat(&self, origin: Origin) -> Result<bool, Failure> {
        let kept = self
            .core()
            .index
            .kept_answer(origin.session, origin.sequence);
        Ok(kept.map_err(|error| self.broken(error))?.is_some())
    }

    fn refusal(&self, errno: i32) -> v1::MutateReply {
        let version = self.core().index.version().0;
        v1::MutateReply {
            version,
            errno: errno as u32,
            ..v1::MutateReply::default()
        }
    }

    fn reply(
        &self,
        session: SessionId,
        answer: Answer,
        made: bool,
        opens: bool,
    ) -> Result<v1::MutateReply, Failure> {
        let now = self.clock.monotonic();
        let mut core = self.core();
        if answer.errno == libc::ESTALE && !core.coherence.knows(session) {
            return Err(Failure::StaleSession);
        }
        let mut reply = v1::MutateReply {
            version: answer.version.0,
            errno: answer.errno as u32,
            retry_put: answer.retry_put,
            offset: answer.offset,
            cookie: answer.cookie,
            removed: answer.removed,
            ..v1::MutateReply::default()
        };
        for (position, ino) in answer.inodes.iter().enumerate() {
            let first = position == 0;
            let attr = attr_for(&mut core, session, *ino, first && made, opens, now);
            let Some((attr, rights)) = attr.map_err(|error| self.broken(error))? else {
                continue;
            };
            if first {
                reply.rights = rights.to_wire();
                reply.attrs.push(attr);
            } else if rights.has(RightSet::ATTR) {
                reply.attrs.push(attr);
            }
        }
        Ok(reply)
    }
}

fn attr_for(
    core: &mut Core,
    session: SessionId,
    ino: Ino,
    made: bool,
    opens: bool,
    now: std::time::Duration,
) -> Result<Option<(v1::Attr, RightSet)>, TableError> {
    let Some(inode) = core.index.inode(ino)? else {
        return Ok(None);
    };
    let version = core.index.version();
    let mut wanted = convert::cacheable(&inode);
    if made && inode.is_directory() && inode.content_version == inode.born {
        // Whoever makes a directory knows all its names, as long as there are none.
        wanted |= RightSet::NAMES;
    }
    let mut rights = core.coherence.grant(session, ino, wanted, version, now);
    if made && opens {
        // Nobody else has heard of a new inode long enough to have it open for writing.
        core.coherence.open_to_write(session, ino, version, now);
        rights |= core.coherence.write_right(session, ino, now);
    }
    Ok(Some((convert::attr(ino, &inode), rights)))
}

/// The file whose content it changes, if that is one that others may be writing to, and whether it comes from
/// somebody who has it open for that.
fn changes_content(op: &Op) -> Option<(Ino, bool)> {
    match op {
        Op::Write { ino, .. } | Op::Append { ino, .. } | Op::Fallocate { ino, .. } => {
            Some((*ino, true))
        }
        Op::CopyRange { target, .. } => Some((*target, true)),
        Op::SetAttr {
            ino, size: Some(_), ..
        } => Some((*ino, false)),
        _ => None,
    }
}

/// Whether it needs room on disk beyond a record in the log. What frees room is always accepted.
fn grows(op: &Op) -> bool {
    match op {
        Op::Create { .. }
        | Op::Link { .. }
        | Op::SetXattr { .. }
        | Op::Write { .. }
        | Op::Append { .. }
        | Op::CopyRange { .. }
        | Op::MakeSystemRoot
        | Op::Stage { .. }
        | Op::Publish { .. }
        | Op::SetObject { s3: Some(_), .. } => true,
        Op::Fallocate { mode, .. } => mode & (libc::FALLOC_FL_PUNCH_HOLE as u32) == 0,
        Op::OpenSession { .. }
        | Op::CloseSession { .. }
        | Op::TakeOver { .. }
        | Op::Unlink { .. }
        | Op::Rename { .. }
        | Op::SetAttr { .. }
        | Op::RemoveXattr { .. }
        | Op::SetLock { .. }
        | Op::Release { .. }
        | Op::Destage { .. }
        | Op::Repack { .. }
        | Op::NodeUp { .. }
        | Op::Sweep { .. }
        | Op::DropChunks { .. }
        | Op::Reap { .. }
        | Op::FeatureLevel { .. }
        | Op::Lead
        | Op::Voters { .. }
        | Op::SetObject { s3: None, .. }
        | Op::RemoveObject { .. }
        | Op::IssueToken { .. }
        | Op::Join { .. }
        | Op::ChangeMember { .. }
        | Op::Repair { .. } => false,
    }
}
