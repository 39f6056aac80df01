//! Names and static keys of members that are not removed are theirs alone, no number comes twice, and who used a token
//! is the member of its number.

use std::collections::{BTreeMap, BTreeSet};

use wolfdisk_common::member::PUBLIC_KEY_BYTES;
use wolfdisk_common::node_id::NodeId;

use super::Inspection;
use super::breach::Breach;
use crate::index::key::{self, Key};
use crate::index::record::{Member, Token};
use crate::index::records::Read;
use crate::index::table::TableError;

impl<R: Read> Inspection<'_, R> {
    pub(super) fn members(&mut self) -> Result<(), TableError> {
        let (mut names, mut public_keys) = (BTreeSet::new(), BTreeSet::new());
        let mut holders: BTreeMap<u64, [u8; PUBLIC_KEY_BYTES]> = BTreeMap::new();
        let mut breaches: Vec<(u64, &'static str)> = Vec::new();
        let mut last = 0;
        self.walk
            .each::<Member>(key::members(), &mut |_, key, member| {
                let Key::Member { number } = key else {
                    return Ok(());
                };
                last = last.max(number);
                holders.insert(number, member.public_key);
                if NodeId::parse(&member.name).is_err() {
                    breaches.push((number, "its name is none"));
                }
                if !member.removed {
                    if !names.insert(member.name) {
                        breaches.push((number, "another has its name"));
                    }
                    if !public_keys.insert(member.public_key) {
                        breaches.push((number, "another has its key"));
                    }
                }
                Ok(())
            })?;
        self.walk
            .each::<Token>(key::tokens(), &mut |_, key, token| {
                let Key::Token { number } = key else {
                    return Ok(());
                };
                last = last.max(number);
                if let Some(holder) = holders.get(&number)
                    && token.used_by != Some(*holder)
                {
                    breaches.push((number, "its token was used by another, or by nobody"));
                }
                Ok(())
            })?;
        if self.walk.is_stopped() {
            return Ok(());
        }
        for (number, what) in breaches {
            self.walk.found(Breach::Member { number, what });
        }
        let next = self.counters.next_member;
        if next <= last {
            self.walk.found(Breach::Counter {
                what: "members",
                found: next,
                counted: last + 1,
            });
        }
        Ok(())
    }
}
