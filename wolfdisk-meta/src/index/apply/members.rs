//! Members and the tokens by which they join. What a member is refused is said by an errno, which the service puts into
//! words: `ENOENT` no such token or member, `EEXIST` used by another or a name that is taken, `ETIME` expired, `EACCES`
//! removed, `EALREADY` a member already, `EPERM` no holder of the cluster's key, `ENOSPC` no room for more, `EKEYREVOKED`
//! the key alone does not do any more, `EBUSY` not removed.

use std::collections::BTreeSet;

use wolfdisk_common::ids::NodeNumber;
use wolfdisk_common::limits::NODE_ID_MAX_BYTES;
use wolfdisk_common::member::{MemberKind, Restrictions};
use wolfdisk_common::node_id::NodeId;
use wolfdisk_common::time::Timestamp;

use super::fail::{Done, Fail, require};
use crate::index::key::Key;
use crate::index::op::{Answer, MemberChange, Op};
use crate::index::read::{is_key_closed, members_of, tokens_of};
use crate::index::record::{Member, Token, Voters};
use crate::index::records::{Read, Records};
use crate::index::tx::Tx;
use crate::limits::{MEMBERS_MAX, TOKEN_KEPT_S, TOKENS_MAX};

fn numbered(number: u64) -> Done<Answer> {
    Ok(Answer {
        offset: number,
        ..Answer::default()
    })
}

fn next_number<R: Records>(tx: &mut Tx<'_, R>) -> u64 {
    let number = tx.counters.next_member;
    tx.counters.next_member = number.saturating_add(1);
    number
}

/// Who votes on the log from this entry on.
pub(super) fn voters<R: Records>(
    tx: &mut Tx<'_, R>,
    configs: &[Vec<NodeNumber>],
    learners: &[NodeNumber],
) -> Answer {
    let voters = Voters {
        stamp: tx.version(),
        index: tx.log_index,
        term: tx.term,
        configs: configs.to_vec(),
        learners: learners.to_vec(),
    };
    tx.store(&Key::Voters, &voters);
    Answer::default()
}

/// So many seconds later.
fn later(time: Timestamp, seconds: u64) -> Option<Timestamp> {
    let seconds = time.seconds.checked_add_unsigned(seconds)?;
    Some(Timestamp { seconds, ..time })
}

/// `Op::IssueToken`.
pub(crate) fn issue_token<R: Records>(
    tx: &mut Tx<'_, R>,
    kind: MemberKind,
    restrictions: &Restrictions,
    ttl_s: u64,
) -> Done<Answer> {
    let expires = later(tx.time, ttl_s).ok_or(Fail::Errno(libc::EINVAL))?;
    make_room_for_token(tx)?;
    let number = next_number(tx);
    let token = Token {
        stamp: tx.version(),
        kind,
        restrictions: restrictions.clone(),
        expires,
        used_by: None,
    };
    tx.store(&Key::Token { number }, &token);
    numbered(number)
}

/// Drops what was spent long ago and, if there are too many, what was spent first.
fn make_room_for_token<R: Records>(tx: &mut Tx<'_, R>) -> Done {
    let time = tx.time;
    let forgotten = |token: &Token| {
        token.is_spent(time) && later(token.expires, TOKEN_KEPT_S).is_some_and(|then| then <= time)
    };
    let (old, mut kept): (Vec<_>, Vec<_>) = tokens_of(tx)?
        .into_iter()
        .partition(|(_, token)| forgotten(token));
    for (number, _) in old {
        tx.remove(&Key::Token { number });
    }
    while kept.len() >= TOKENS_MAX {
        let spent = kept.iter().position(|(_, token)| token.is_spent(time));
        let (number, _) = kept.remove(spent.ok_or(Fail::Errno(libc::ENOSPC))?);
        tx.remove(&Key::Token { number });
    }
    Ok(())
}

/// `Op::Join`.
pub(crate) fn join<R: Records>(tx: &mut Tx<'_, R>, op: &Op) -> Done<Answer> {
    let Op::Join {
        token,
        kind,
        name,
        public_key,
    } = op
    else {
        return Err(Fail::Errno(libc::EINVAL));
    };
    let wanted = NodeId::parse(name).map_err(|_| Fail::Errno(libc::EINVAL))?;
    let members = members_of(tx)?;
    let own = |member: &&(u64, Member)| member.1.public_key == *public_key;
    let known = members.iter().filter(own).find(|(_, own)| !own.removed);
    let (number, kind, restrictions) = match *token {
        Some(number) => {
            let mut token = tx
                .load::<Token>(&Key::Token { number })?
                .ok_or(Fail::Errno(libc::ENOENT))?;
            if let Some(user) = token.used_by {
                require(user == *public_key, libc::EEXIST)?;
                require(known.is_some_and(|(own, _)| *own == number), libc::EACCES)?;
                return numbered(number);
            }
            require(token.expires > tx.time, libc::ETIME)?;
            require(known.is_none(), libc::EALREADY)?;
            token.stamp = tx.version();
            token.used_by = Some(*public_key);
            tx.store(&Key::Token { number }, &token);
            (number, token.kind, token.restrictions)
        }
        None => {
            require(kind.holds_cluster_key(), libc::EINVAL)?;
            if let Some((number, known)) = known {
                require(known.kind.holds_cluster_key(), libc::EPERM)?;
                return numbered(*number);
            }
            require(!members.iter().any(|member| own(&member)), libc::EACCES)?;
            require(!is_key_closed(&members), libc::EKEYREVOKED)?;
            (next_number(tx), *kind, Restrictions::default())
        }
    };
    make_room_for_member(tx, &members)?;
    let member = Member {
        stamp: tx.version(),
        kind,
        name: free_name(&members, wanted.as_str()),
        public_key: *public_key,
        joined: tx.time,
        restrictions,
        removed: false,
    };
    tx.store(&Key::Member { number }, &member);
    numbered(number)
}

/// Drops the first that was removed, if there are too many. Who holds the cluster's key could join again unless it is
/// known that such a one was removed, so those stay.
fn make_room_for_member<R: Records>(tx: &mut Tx<'_, R>, members: &[(u64, Member)]) -> Done {
    if members.len() < MEMBERS_MAX {
        return Ok(());
    }
    let mut gone = members
        .iter()
        .filter(|(_, member)| member.removed && !member.kind.holds_cluster_key());
    let (number, _) = gone.next().ok_or(Fail::Errno(libc::ENOSPC))?;
    tx.remove(&Key::Member { number: *number });
    Ok(())
}

/// The name or, if it is taken, the name with the first number from 2 on that makes it one that is not.
fn free_name(members: &[(u64, Member)], wanted: &str) -> String {
    let taken: BTreeSet<&str> = members
        .iter()
        .filter(|(_, member)| !member.removed)
        .map(|(_, member)| member.name.as_str())
        .collect();
    let mut name = wanted.to_owned();
    let mut number = 2u64;
    while taken.contains(name.as_str()) {
        let ending = format!("-{number}");
        let room = NODE_ID_MAX_BYTES.saturating_sub(ending.len());
        // Of one byte each, as a node id's are.
        name = wanted.chars().take(room).collect();
        name.push_str(&ending);
        number += 1;
    }
    name
}

/// `Op::ChangeMember`.
pub(crate) fn change<R: Records>(
    tx: &mut Tx<'_, R>,
    number: u64,
    change: &MemberChange,
) -> Done<Answer> {
    let key = Key::Member { number };
    let mut member = tx.load::<Member>(&key)?.ok_or(Fail::Errno(libc::ENOENT))?;
    match change {
        MemberChange::Remove => member.removed = true,
        MemberChange::Forget => {
            require(member.removed, libc::EBUSY)?;
            tx.remove(&key);
            return numbered(number);
        }
        MemberChange::Rename { name } => {
            require(!member.removed, libc::ENOENT)?;
            let name = NodeId::parse(name).map_err(|_| Fail::Errno(libc::EINVAL))?;
            let taken = members_of(tx)?.iter().any(|(other, member)| {
                *other != number && !member.removed && member.name == name.as_str()
            });
            require(!taken, libc::EEXIST)?;
            member.name = name.as_str().to_owned();
        }
    }
    member.stamp = tx.version();
    tx.store(&key, &member);
    numbered(number)
}
