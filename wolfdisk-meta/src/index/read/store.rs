//! Chunks, nodes, sessions, and what is waiting to be deleted.

use wolfdisk_common::ids::{ChunkId, Ino, NodeNumber, Sequence, SessionId};

use crate::index::Index;
use crate::index::key::{self, Key};
use crate::index::op::Answer;
use crate::index::record::{Chunk, Kept, Node, Session};
use crate::index::records::{Read, Records};
use crate::index::table::TableError;
use crate::index::versioned::slot_of;

impl<R: Records> Index<R> {
    /// What is known of a chunk.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn chunk(&self, id: ChunkId) -> Result<Option<Chunk>, TableError> {
        self.records().load(&Key::Chunk { id })
    }

    /// Chunks without references, after `after`, at most `limit`.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn garbage(
        &self,
        after: Option<ChunkId>,
        limit: usize,
    ) -> Result<Vec<ChunkId>, TableError> {
        let keys = self.records().keys(&key::garbage(after), limit)?;
        Ok(keys
            .into_iter()
            .filter_map(|key| match key {
                Key::Garbage { id } => Some(id),
                _ => None,
            })
            .collect())
    }

    /// Chunks of which little is left, after `after`, at most `limit`.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn sparse(
        &self,
        after: Option<ChunkId>,
        limit: usize,
    ) -> Result<Vec<(ChunkId, Chunk)>, TableError> {
        let mut found = Vec::new();
        for key in self.records().keys(&key::sparse(after), limit)? {
            if let Key::Sparse { id } = key
                && let Some(chunk) = self.chunk(id)?
            {
                found.push((id, chunk));
            }
        }
        Ok(found)
    }

    /// A node.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn node(&self, node: NodeNumber) -> Result<Option<Node>, TableError> {
        self.records().load(&Key::Node { node })
    }

    /// All nodes.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn nodes(&self) -> Result<Vec<(NodeNumber, Node)>, TableError> {
        let mut found = Vec::new();
        self.records().each(&key::nodes(), |key, record: Node| {
            if let Key::Node { node } = key {
                found.push((node, record));
            }
            true
        })?;
        Ok(found)
    }

    /// A session.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn session(&self, session: SessionId) -> Result<Option<Session>, TableError> {
        self.records().load(&Key::Session { session })
    }

    /// All sessions.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn sessions(&self) -> Result<Vec<(SessionId, Session)>, TableError> {
        let mut found = Vec::new();
        self.records()
            .each(&key::sessions(), |key, record: Session| {
                if let Key::Session { session } = key {
                    found.push((session, record));
                }
                true
            })?;
        Ok(found)
    }

    /// The answer that is kept for a mutation, if it has been applied.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn kept_answer(
        &self,
        session: SessionId,
        sequence: Sequence,
    ) -> Result<Option<Answer>, TableError> {
        let kept = self.records().load::<Kept>(&Key::Answer {
            session,
            slot: slot_of(sequence),
        })?;
        Ok(kept
            .filter(|kept| kept.sequence == sequence)
            .map(|kept| kept.answer))
    }

    /// Inodes without links that a session holds open.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn orphans_of(&self, session: SessionId) -> Result<Vec<Ino>, TableError> {
        let keys = self
            .records()
            .keys(&key::session_orphans(session), usize::MAX)?;
        Ok(keys
            .into_iter()
            .filter_map(|key| match key {
                Key::SessionOrphan { ino, .. } => Some(ino),
                _ => None,
            })
            .collect())
    }

    /// Inodes with extents to delete in steps, at most `limit`: each wants [`Op::Reap`] entries.
    ///
    /// [`Op::Reap`]: crate::index::op::Op::Reap
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn reaping(&self, limit: usize) -> Result<Vec<Ino>, TableError> {
        let keys = self.records().keys(&key::reaping(), limit)?;
        Ok(keys
            .into_iter()
            .filter_map(|key| match key {
                Key::Reap { ino } => Some(ino),
                _ => None,
            })
            .collect())
    }
}
