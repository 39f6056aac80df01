//! Who becomes a member and who does not: random steps against a plain list of members, and the promises one by one.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wolfdisk_common::limits::NODE_ID_MAX_BYTES;
use wolfdisk_common::member::{MemberKind, Restrictions};

use super::harness::World;
use crate::index::op::{MemberChange, Op};
use crate::index::record::Member;
use crate::limits::{MEMBERS_MAX, TOKEN_KEPT_S, TOKENS_MAX};

fn issue(world: &mut World, kind: MemberKind, ttl_s: u64) -> Result<u64, i32> {
    let restrictions = Restrictions {
        read_only: kind == MemberKind::Client,
        ..Restrictions::default()
    };
    done(world.own(Op::IssueToken {
        kind,
        restrictions,
        ttl_s,
    }))
}

fn join(world: &mut World, token: Option<u64>, name: &str, key: u8) -> Result<u64, i32> {
    done(world.own(Op::Join {
        token,
        kind: MemberKind::Node,
        name: name.to_owned(),
        public_key: [key; 32],
    }))
}

fn remove(world: &mut World, number: u64) -> Result<u64, i32> {
    let change = MemberChange::Remove;
    done(world.own(Op::ChangeMember { number, change }))
}

fn forget(world: &mut World, number: u64) -> Result<u64, i32> {
    let change = MemberChange::Forget;
    done(world.own(Op::ChangeMember { number, change }))
}

fn rename(world: &mut World, number: u64, name: &str) -> Result<u64, i32> {
    let change = MemberChange::Rename {
        name: name.to_owned(),
    };
    done(world.own(Op::ChangeMember { number, change }))
}

fn done(outcome: crate::index::op::Outcome) -> Result<u64, i32> {
    match outcome.answer.errno {
        0 => Ok(outcome.answer.offset),
        errno => Err(errno),
    }
}

fn member(world: &World, number: u64) -> Member {
    let found = world.index.member(number).expect("readable");
    found.expect("a member")
}

const LONG: u64 = 1_000_000;

#[test]
fn a_token_makes_one_member_and_the_same_machine_gets_the_same_answer() {
    let mut world = World::new();
    let token = issue(&mut world, MemberKind::Client, LONG).expect("a token");
    assert_eq!(join(&mut world, Some(token), "desk", 7), Ok(token));
    let desk = member(&world, token);
    assert_eq!(
        (desk.kind, desk.name.as_str()),
        (MemberKind::Client, "desk")
    );
    assert!(desk.restrictions.read_only && !desk.removed);
    assert_eq!(join(&mut world, Some(token), "other", 7), Ok(token));
    assert_eq!(member(&world, token).name, "desk");
    assert_eq!(join(&mut world, Some(token), "thief", 8), Err(libc::EEXIST));
    assert_eq!(join(&mut world, Some(99), "x", 9), Err(libc::ENOENT));
    // A second token is none for who is a member.
    let second = issue(&mut world, MemberKind::Client, LONG).expect("a token");
    assert_eq!(
        join(&mut world, Some(second), "desk", 7),
        Err(libc::EALREADY)
    );
    // A client does not become a node by saying so.
    assert_eq!(join(&mut world, None, "desk", 7), Err(libc::EPERM));
    world.check();
    world.check_replay(1);
}

#[test]
fn an_expired_token_is_of_no_use_whatever_the_machines_clock_says() {
    let mut world = World::new();
    // The clock of the entries goes one second with each.
    let token = issue(&mut world, MemberKind::Client, 2).expect("a token");
    let used = issue(&mut world, MemberKind::Client, 2).expect("a token");
    assert_eq!(join(&mut world, Some(used), "a", 1), Ok(used));
    assert_eq!(join(&mut world, Some(token), "b", 2), Err(libc::ETIME));
    // Who used its own in time is told so again.
    assert_eq!(join(&mut world, Some(used), "a", 1), Ok(used));
    let forever = issue(&mut world, MemberKind::Client, u64::MAX);
    assert_eq!(forever, Err(libc::EINVAL));
    world.check();
}

#[test]
fn who_was_removed_comes_back_only_with_a_new_token() {
    let mut world = World::new();
    let node = join(&mut world, None, "alpha", 1).expect("a node");
    assert_eq!(join(&mut world, None, "alpha", 1), Ok(node));
    let token = issue(&mut world, MemberKind::Client, LONG).expect("a token");
    assert_eq!(join(&mut world, Some(token), "desk", 2), Ok(token));
    assert_eq!(remove(&mut world, node), Ok(node));
    assert_eq!(remove(&mut world, token), Ok(token));
    assert_eq!(remove(&mut world, token), Ok(token));
    assert_eq!(join(&mut world, None, "alpha", 1), Err(libc::EACCES));
    assert_eq!(join(&mut world, Some(token), "desk", 2), Err(libc::EACCES));
    assert_eq!(rename(&mut world, token, "x"), Err(libc::ENOENT));
    assert_eq!(remove(&mut world, 99), Err(libc::ENOENT));
    for (key, kind) in [(1, MemberKind::Node), (2, MemberKind::Gateway)] {
        let fresh = issue(&mut world, kind, LONG).expect("a token");
        assert_eq!(join(&mut world, Some(fresh), "again", key), Ok(fresh));
        let known = world.index.member_by_key(&[key; 32]).expect("readable");
        assert_eq!(known.map(|(number, _)| number), Some(fresh));
    }
    assert_eq!(
        join(&mut world, None, "alpha", 1).map(|own| own > token),
        Ok(true)
    );
    world.check();
}

#[test]
fn the_key_alone_makes_nobody_a_member_while_somebody_who_holds_it_is_removed() {
    let mut world = World::new();
    let alpha = join(&mut world, None, "alpha", 1).expect("a node");
    let beta = join(&mut world, None, "beta", 2).expect("a node");
    let client = issue(&mut world, MemberKind::Client, LONG).expect("a token");
    assert_eq!(join(&mut world, Some(client), "desk", 3), Ok(client));
    // It never held the key.
    assert_eq!(remove(&mut world, client), Ok(client));
    join(&mut world, None, "gamma", 4).expect("a node");
    assert_eq!(forget(&mut world, beta), Err(libc::EBUSY));
    assert_eq!(remove(&mut world, beta), Ok(beta));
    let holders = |world: &World| world.index.removed_key_holders().expect("readable").len();
    assert_eq!(holders(&world), 1);
    // Neither with the static key that it had nor with a new one, and no other either.
    assert_eq!(join(&mut world, None, "beta", 2), Err(libc::EACCES));
    assert_eq!(join(&mut world, None, "beta", 5), Err(libc::EKEYREVOKED));
    // Who is a member stays one, and a token lets in.
    assert_eq!(join(&mut world, None, "alpha", 1), Ok(alpha));
    let token = issue(&mut world, MemberKind::Node, LONG).expect("a token");
    assert_eq!(join(&mut world, Some(token), "delta", 6), Ok(token));
    assert_eq!(holders(&world), 1);

    assert_eq!(forget(&mut world, beta), Ok(beta));
    assert_eq!(forget(&mut world, beta), Err(libc::ENOENT));
    assert_eq!(holders(&world), 0);
    join(&mut world, None, "beta", 5).expect("a node");
    world.check();
    world.check_replay(1);
}

#[test]
fn names_are_told_apart() {
    let mut world = World::new();
    let first = join(&mut world, None, "desk", 1).expect("a node");
    let second = join(&mut world, None, "desk", 2).expect("a node");
    let third = join(&mut world, None, "desk", 3).expect("a node");
    assert_eq!(member(&world, second).name, "desk-2");
    assert_eq!(member(&world, third).name, "desk-3");
    assert_eq!(rename(&mut world, third, "desk"), Err(libc::EEXIST));
    assert_eq!(rename(&mut world, third, "No Name"), Err(libc::EINVAL));
    assert_eq!(rename(&mut world, third, "desk-3"), Ok(third));
    assert_eq!(remove(&mut world, first), Ok(first));
    assert_eq!(rename(&mut world, third, "desk"), Ok(third));
    assert_eq!(forget(&mut world, first), Ok(first));
    let long = "x".repeat(NODE_ID_MAX_BYTES);
    join(&mut world, None, &long, 4).expect("a node");
    let other = join(&mut world, None, &long, 5).expect("a node");
    let name = member(&world, other).name;
    assert!(name.ends_with("x-2") && name.len() == NODE_ID_MAX_BYTES);
    assert_eq!(join(&mut world, None, "", 6), Err(libc::EINVAL));
    world.check();
}

#[test]
fn tokens_and_members_do_not_grow_without_end() {
    let mut world = World::new();
    for _ in 0..TOKENS_MAX {
        issue(&mut world, MemberKind::Client, LONG).expect("a token");
    }
    let refused = issue(&mut world, MemberKind::Client, LONG);
    assert_eq!(refused, Err(libc::ENOSPC));
    assert_eq!(join(&mut world, Some(1), "a", 1), Ok(1));
    // What was used first makes room.
    let next = issue(&mut world, MemberKind::Client, LONG).expect("a token");
    assert!(next > TOKENS_MAX as u64);
    assert!(world.index.token(1).expect("readable").is_none());
    assert_eq!(join(&mut world, Some(1), "a", 1), Err(libc::ENOENT));

    // All numbers are of one count, so keys are made of them.
    let key = |number: usize| {
        let mut key = [9; 32];
        key[..8].copy_from_slice(&(number as u64).to_le_bytes());
        key
    };
    let enter = |world: &mut World, at: usize| {
        let (token, kind) = (None, MemberKind::Witness);
        let (name, public_key) = (format!("w{at}"), key(at));
        done(world.own(Op::Join {
            token,
            kind,
            name,
            public_key,
        }))
    };
    for at in 1..MEMBERS_MAX {
        enter(&mut world, at).expect("a member");
    }
    assert_eq!(enter(&mut world, 0), Err(libc::ENOSPC));
    // A removed one that holds the cluster's key must stay known.
    let (holder, _) = world
        .index
        .member_by_key(&key(1))
        .expect("readable")
        .expect("a member");
    remove(&mut world, holder).expect("removed");
    let refused = join(&mut world, Some(2), "desk", 2);
    assert_eq!(refused, Err(libc::ENOSPC));
    remove(&mut world, 1).expect("removed");
    assert_eq!(join(&mut world, Some(2), "desk", 2), Ok(2));
    assert!(world.index.member(1).expect("readable").is_none());
    assert_eq!(enter(&mut world, 1), Err(libc::EACCES));
    world.check();
}

#[test]
fn spent_tokens_are_forgotten_in_time() {
    let mut world = World::new();
    let old = issue(&mut world, MemberKind::Client, 0).expect("a token");
    for _ in 0..TOKEN_KEPT_S {
        world.own(Op::FeatureLevel { level: 1 });
    }
    let new = issue(&mut world, MemberKind::Client, LONG).expect("a token");
    let left: Vec<u64> = world
        .index
        .tokens()
        .expect("readable")
        .into_iter()
        .map(|(number, _)| number)
        .collect();
    assert_eq!(left, [new]);
    assert!(new > old);
}

#[derive(Clone, Debug)]
enum Step {
    Issue(u8, u64),
    Join(Option<usize>, u8, u8),
    Remove(usize),
    Forget(usize),
    Rename(usize, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0u8..4, 0u64..40).prop_map(|(kind, ttl)| Step::Issue(kind, ttl)),
        4 => (proptest::option::of(0usize..64), 0u8..3, 0u8..6)
            .prop_map(|(token, name, key)| Step::Join(token, name, key)),
        1 => (0usize..64).prop_map(Step::Remove),
        1 => (0usize..64).prop_map(Step::Forget),
        1 => (0usize..64, 0u8..3).prop_map(|(member, name)| Step::Rename(member, name)),
    ];
    proptest::collection::vec(step, 1..80)
}

/// A member of the model: its key and name, and whether it is in.
type Known = BTreeMap<u64, (u8, MemberKind, bool)>;

proptest! {
    #[test]
    fn nobody_is_a_member_who_was_not_let_in(steps in steps(), restart in 0usize..100) {
        let mut world = World::new();
        let (mut tokens, mut known) = (BTreeMap::new(), Known::new());
        for step in steps {
            let now = world.now();
            match step {
                Step::Issue(kind, ttl_s) => {
                    let kind = MemberKind::ALL[kind as usize];
                    let number = issue(&mut world, kind, ttl_s).expect("a token");
                    let ends = now.seconds + ttl_s as i64;
                    prop_assert!(tokens.insert(number, (kind, ends, None)).is_none());
                    prop_assert!(!known.contains_key(&number));
                }
                Step::Join(at, name, key) => {
                    let number = at.and_then(|at| tokens.keys().copied().nth(at));
                    let own = known.iter().find(|(_, (of, _, inside))| *of == key && *inside);
                    let own = own.map(|(number, (_, kind, _))| (*number, *kind));
                    let was = known.values().any(|(of, _, _)| *of == key);
                    let closed = (known.values())
                        .any(|(_, kind, inside)| !inside && kind.holds_cluster_key());
                    let expected = match number.map(|number| (number, tokens[&number])) {
                        Some((number, (_, _, Some(user)))) => match own {
                            _ if user != key => Err(libc::EEXIST),
                            Some((own, _)) if own == number => Ok(Some(number)),
                            _ => Err(libc::EACCES),
                        },
                        Some((_, (_, ends, None))) if ends <= now.seconds => Err(libc::ETIME),
                        Some(_) if own.is_some() => Err(libc::EALREADY),
                        Some((number, _)) => Ok(Some(number)),
                        None => match own {
                            Some((own, kind)) if kind.holds_cluster_key() => Ok(Some(own)),
                            Some(_) => Err(libc::EPERM),
                            None if was => Err(libc::EACCES),
                            None if closed => Err(libc::EKEYREVOKED),
                            None => Ok(None),
                        },
                    };
                    let joined = join(&mut world, number, ["a", "b", "c"][name as usize], key);
                    match (expected, joined) {
                        (Ok(Some(expected)), Ok(joined)) => prop_assert_eq!(expected, joined),
                        (Ok(None), Ok(joined)) => prop_assert!(!known.contains_key(&joined)),
                        (expected, joined) => {
                            prop_assert_eq!(expected.map(|_| ()), joined.map(|_| ()));
                        }
                    }
                    if let Ok(joined) = joined {
                        let kind = match number {
                            Some(number) => {
                                let token = tokens.get_mut(&number).expect("a token");
                                token.2 = Some(key);
                                token.0
                            }
                            None => own.map_or(MemberKind::Node, |(_, kind)| kind),
                        };
                        known.insert(joined, (key, kind, true));
                    }
                }
                Step::Remove(at) => {
                    if let Some(number) = known.keys().copied().nth(at) {
                        prop_assert_eq!(remove(&mut world, number), Ok(number));
                        known.get_mut(&number).expect("a member").2 = false;
                    }
                }
                Step::Forget(at) => {
                    if let Some((number, inside)) = known.iter().nth(at).map(|(number, is)| (*number, is.2)) {
                        let forgotten = forget(&mut world, number);
                        prop_assert_eq!(forgotten.is_ok(), !inside);
                        if !inside {
                            known.remove(&number);
                        }
                    }
                }
                Step::Rename(at, name) => {
                    if let Some((number, (_, _, inside))) = known.iter().nth(at) {
                        let renamed = rename(&mut world, *number, ["a", "b", "c"][name as usize]);
                        prop_assert!(*inside || renamed == Err(libc::ENOENT));
                    }
                }
            }
            let found: Known = world.index.members().expect("readable").into_iter()
                .map(|(number, is)| (number, (is.public_key[0], is.kind, !is.removed)))
                .collect();
            prop_assert_eq!(&found, &known);
        }
        world.check();
        world.check_replay(restart % world.log.len());
    }
}
