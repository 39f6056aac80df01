//! What a mutation of an object relies on before it is proposed: the names on the way to its key, and who may have
//! open what loses its name.

use wolfdisk_common::ids::{Ino, SessionId};
use wolfdisk_common::object_key::ObjectKey;

use super::core::Core;
use crate::index::op::{Kind, Op, Openers};
use crate::index::records::Records;
use crate::index::table::TableError;
use crate::index::{Index, Step};

/// The root and the key of a mutation that names one.
fn key_of(op: &Op) -> Option<(Ino, &ObjectKey)> {
    match op {
        Op::Publish { publish } => Some((publish.root, &publish.key)),
        Op::RemoveObject { remove } => Some((remove.root, &remove.key)),
        _ => None,
    }
}

/// The way to the key that a mutation names; of others nothing. All but the last name must lead where they lead now,
/// and the last is changed.
pub(super) fn way_of<R: Records>(index: &Index<R>, op: &Op) -> Result<Vec<Step>, TableError> {
    key_of(op).map_or(Ok(Vec::new()), |(root, key)| index.way(root, key))
}

impl Core {
    /// Says in a mutation of an object who may have open what may lose its last name by it: the asking session too,
    /// which does not say so itself.
    pub(super) fn name_object_openers(&self, op: &mut Op) -> Result<Vec<Openers>, TableError> {
        let way = way_of(&self.index, op)?;
        // A publication replaces files; a removal may take all directories on the way with it.
        let last = way.len().saturating_sub(1);
        let may_go = |position: usize, kind: Kind| match op {
            Op::RemoveObject { .. } => true,
            _ => position == last && kind != Kind::Directory,
        };
        let mut openers = Vec::new();
        for (position, step) in way.iter().enumerate() {
            let found = step.found.filter(|(_, kind)| may_go(position, *kind));
            let inode = found.map_or(Ok(None), |(ino, _)| self.index.inode(ino))?;
            let (Some((ino, _)), Some(inode)) = (found, inode) else {
                continue;
            };
            let sessions = self.coherence.openers(ino, inode.born, None);
            if !sessions.is_empty() {
                openers.push(Openers { ino, sessions });
            }
        }
        match op {
            Op::Publish { publish } => publish.openers.clone_from(&openers),
            Op::RemoveObject { remove } => remove.openers.clone_from(&openers),
            _ => {}
        }
        Ok(openers)
    }

    /// Those of `openers` whose inodes have lost their last names, without the session that knows.
    pub(super) fn lost(
        &self,
        openers: Vec<Openers>,
        knows: Option<SessionId>,
    ) -> Result<Vec<Openers>, TableError> {
        let mut lost = Vec::new();
        for mut of in openers {
            let inode = self.index.inode(of.ino)?;
            if inode.is_none_or(|inode| inode.nlink == 0) {
                of.sessions.retain(|session| Some(*session) != knows);
                lost.push(of);
            }
        }
        Ok(lost)
    }
}
