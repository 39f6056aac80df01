//! Members and tokens.

use wolfdisk_common::member::PUBLIC_KEY_BYTES;

use crate::index::Index;
use crate::index::key::{self, Key};
use crate::index::record::{Member, Token, Voters};
use crate::index::records::{Read, Records};
use crate::index::table::TableError;

/// All members with their numbers, the removed ones too.
pub(crate) fn members_of(records: &impl Read) -> Result<Vec<(u64, Member)>, TableError> {
    let mut found = Vec::new();
    records.each(&key::members(), |key, member: Member| {
        if let Key::Member { number } = key {
            found.push((number, member));
        }
        true
    })?;
    Ok(found)
}

/// Whether the cluster's key alone makes nobody a member: somebody holds it who was removed, and could do so with a new
/// static key.
pub(crate) fn is_key_closed(members: &[(u64, Member)]) -> bool {
    let mut members = members.iter();
    members.any(|(_, member)| member.removed && member.kind.holds_cluster_key())
}

/// All tokens with their numbers.
pub(crate) fn tokens_of(records: &impl Read) -> Result<Vec<(u64, Token)>, TableError> {
    let mut found = Vec::new();
    records.each(&key::tokens(), |key, token: Token| {
        if let Key::Token { number } = key {
            found.push((number, token));
        }
        true
    })?;
    Ok(found)
}

impl<R: Records> Index<R> {
    /// All members with their numbers, the removed ones too.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn members(&self) -> Result<Vec<(u64, Member)>, TableError> {
        members_of(self.records())
    }

    /// Who votes on the log; none on a node that has always stood alone.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn voters(&self) -> Result<Option<Voters>, TableError> {
        self.records().load(&Key::Voters)
    }

    /// Those who were removed and hold the cluster's key: while there are any, it alone lets nobody in.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn removed_key_holders(&self) -> Result<Vec<Member>, TableError> {
        let mut members = self.members()?;
        members.retain(|member| is_key_closed(std::slice::from_ref(member)));
        Ok(members.into_iter().map(|(_, member)| member).collect())
    }

    /// A member.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn member(&self, number: u64) -> Result<Option<Member>, TableError> {
        self.records().load(&Key::Member { number })
    }

    /// The member that has a static key; a removed one only if there is no other.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn member_by_key(
        &self,
        public_key: &[u8; PUBLIC_KEY_BYTES],
    ) -> Result<Option<(u64, Member)>, TableError> {
        let mut members = self.members()?;
        members.retain(|(_, member)| member.public_key == *public_key);
        let current = members.iter().position(|(_, member)| !member.removed);
        Ok(match current {
            Some(at) => Some(members.swap_remove(at)),
            None => members.pop(),
        })
    }

    /// A token.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn token(&self, number: u64) -> Result<Option<Token>, TableError> {
        self.records().load(&Key::Token { number })
    }

    /// All tokens with their numbers.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn tokens(&self) -> Result<Vec<(u64, Token)>, TableError> {
        tokens_of(self.records())
    }
}
