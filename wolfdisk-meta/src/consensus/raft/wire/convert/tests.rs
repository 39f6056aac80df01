//! Everything comes back as it went, and nothing else comes.

use bytes::Bytes;
use openraft::EntryPayload;
use openraft::alias::{SnapshotMetaOf, StoredMembershipOf};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use proptest::option;
use proptest::prelude::*;
use prost::Message;
use wolfdisk_common::time::Timestamp;

use super::*;
use crate::consensus::raft::{Entry, TERM_MAX};
use crate::index::op::{self, Op};
use crate::limits::{REPLICATED_AT_ONCE_BYTES, REPLICATED_ENTRIES_MAX, SNAPSHOT_PART_BYTES};

const LEADER: Voter = Voter(NodeNumber(2));
const ROUTE: Route = Route {
    from: LEADER,
    to: Voter(NodeNumber(5)),
};

fn some_leader() -> impl Strategy<Value = Leader> {
    (0..=TERM_MAX, 1..=LEADER_MAX.0).prop_map(|(term, number)| Leader {
        term,
        node_id: Voter(NodeNumber(number)),
    })
}

fn some_log_id() -> impl Strategy<Value = LogId> {
    let index = 0..u64::MAX - 1;
    (some_leader(), index).prop_map(|(leader_id, index)| LogId { leader_id, index })
}

/// What may be behind a leader of a term.
fn older(term: u64) -> impl Strategy<Value = LogId> {
    (0..term, 1..=LEADER_MAX.0, 0..u64::MAX / 2).prop_map(|(term, number, index)| LogId {
        leader_id: Leader {
            term,
            node_id: Voter(NodeNumber(number)),
        },
        index,
    })
}

fn some_vote() -> impl Strategy<Value = Vote> {
    (some_leader(), any::<bool>()).prop_map(|(leader_id, committed)| Vote {
        leader_id,
        committed,
    })
}

/// The vote by which node [`LEADER`] asks or leads.
fn own_vote(term: u64, committed: bool) -> Vote {
    let node_id = LEADER;
    Vote {
        leader_id: Leader { term, node_id },
        committed,
    }
}

fn numbers() -> impl Strategy<Value = Vec<NodeNumber>> {
    let set = prop::collection::btree_set(1u32..50, 1..6);
    set.prop_map(|numbers| numbers.into_iter().map(NodeNumber).collect())
}

fn some_membership() -> impl Strategy<Value = Membership> {
    let configs = prop::collection::vec(numbers(), 1..=VOTER_SETS_MAX);
    (configs, numbers()).prop_map(|(configs, learners)| payload::membership(&configs, &learners))
}

fn mutation(length: usize) -> Bytes {
    let entry = op::Entry {
        time: Timestamp::default(),
        origin: None,
        op: Op::Append {
            ino: wolfdisk_common::ids::Ino(5),
            data: vec![7; length].into(),
            kill_suid: false,
        },
    };
    entry.encode()
}

fn some_payload() -> impl Strategy<Value = payload::Payload> {
    prop_oneof![
        Just(EntryPayload::Blank),
        (0..2000usize).prop_map(|length| EntryPayload::Normal(mutation(length).into())),
        some_membership().prop_map(EntryPayload::Membership),
    ]
}

/// A request whose entries fit in one message.
fn some_append() -> impl Strategy<Value = AppendEntriesRequest<Types>> {
    let request = |term| {
        let entries = prop::collection::vec((some_payload(), any::<bool>()), 0..20);
        let parts = (option::of(older(term)), entries, option::of(older(term)));
        parts.prop_map(move |(previous, payloads, committed)| {
            let vote = own_vote(term, true);
            let mut last = previous;
            let mut entries = Vec::new();
            for (payload, changes) in payloads {
                let index = last.map_or(0, |last| last.index + 1);
                let leader_id = match (last, changes) {
                    (Some(last), false) => last.leader_id,
                    _ => vote.leader_id,
                };
                let log_id = LogId { leader_id, index };
                last = Some(log_id);
                entries.push(Entry { log_id, payload });
            }
            AppendEntriesRequest {
                vote,
                prev_log_id: previous,
                entries,
                leader_commit: committed,
            }
        })
    };
    (1..=TERM_MAX).prop_flat_map(request)
}

fn some_install() -> impl Strategy<Value = Install> {
    let install = |term| {
        let data = prop::collection::vec(any::<u8>(), 1..100);
        let part = (any::<u64>(), data).prop_map(|(number, data)| v1::RaftPart {
            number,
            data: data.into(),
        });
        let parts = (
            older(term),
            option::of(some_membership()),
            any::<[u8; 16]>(),
            option::of(part),
        );
        parts.prop_map(move |(last, membership, id, part)| Install {
            vote: own_vote(term, true),
            meta: SnapshotMetaOf::<Types> {
                last_log_id: Some(last),
                last_membership: membership.map_or_else(Default::default, |membership| {
                    StoredMembershipOf::<Types>::new(Some(last), membership)
                }),
            },
            id,
            part,
        })
    };
    (1..=TERM_MAX).prop_flat_map(install)
}

/// Over the wire.
fn sent<M: Message + Default>(message: &M) -> M {
    M::decode(message.encode_to_vec().as_slice()).expect("a message")
}

fn same(one: &AppendEntriesRequest<Types>, two: &AppendEntriesRequest<Types>) -> bool {
    (one.vote, one.prev_log_id, one.leader_commit) == (two.vote, two.prev_log_id, two.leader_commit)
        && one.entries == two.entries
}

proptest! {
    #[test]
    fn entries_come_back_as_they_went(request in some_append()) {
        let (message, asked) = append(ROUTE, request.clone());
        let back = read_append(ROUTE, sent(&message)).expect("it is good");
        prop_assert!(same(&back, &request));
        for reply in [
            AppendEntriesResponse::Success,
            AppendEntriesResponse::PartialSuccess(request.prev_log_id),
            AppendEntriesResponse::HigherVote(own_vote(TERM_MAX + 1, false)),
        ] {
            let message = sent(&append_reply(&reply));
            let back = read_append_reply(&asked, message);
            match reply {
                AppendEntriesResponse::HigherVote(_) => { prop_assert!(back.is_err()); }
                reply => prop_assert_eq!(back, Ok(reply)),
            }
        }
        let conflict = append_reply(&AppendEntriesResponse::Conflict);
        let back = read_append_reply(&asked, conflict);
        // There is nothing before the first entry that could be another.
        prop_assert_eq!(back.is_ok(), request.prev_log_id.is_some());
        // Nobody else may have sent it, and it is for nobody else.
        let other = Voter(NodeNumber(9));
        for route in [Route { from: other, ..ROUTE }, Route { to: other, ..ROUTE }] {
            let refused = read_append(route, message.clone());
            prop_assert!(matches!(refused, Err(Failure::Denied(_))));
        }
    }

    #[test]
    fn votes_come_back_as_they_went(
        term in 1..=TERM_MAX, last in option::of(some_log_id()), transfer: bool, pre: bool,
        reply in (some_vote(), option::of(some_log_id()), any::<bool>()),
    ) {
        let mut request = VoteRequest::<Types>::new(own_vote(term, false), last);
        request.leadership_transfer = transfer;
        let message = sent(&vote(ROUTE, &request, pre));
        prop_assert_eq!(message.pre, pre);
        prop_assert_eq!(read_vote(ROUTE, &message), Ok(request));
        let other = Route { from: ROUTE.to, to: ROUTE.from };
        prop_assert!(matches!(read_vote(other, &message), Err(Failure::Denied(_))));
        let (promised, last, granted) = reply;
        let reply = VoteResponse::<Types>::new(promised, last, granted);
        prop_assert_eq!(read_vote_reply(sent(&vote_reply(&reply))), Ok(reply));
    }

    #[test]
    fn who_is_to_lead_comes_back_as_it_went(
        term in 1..=TERM_MAX, next in 1..=LEADER_MAX.0, last in option::of(some_log_id()),
        other in some_vote(), reached in option::of(some_log_id()),
    ) {
        let ours = own_vote(term, true);
        let next = Voter(NodeNumber(next));
        let request = TransferLeaderRequest::<Types>::new(ours, next, last);
        let message = sent(&hand_over(ROUTE, &request));
        prop_assert_eq!(read_hand_over(ROUTE, &message), Ok(request.clone()));
        let replies: [TransferLeaderResponse<Types>; 3] = [
            Ok(()),
            Err(TransferLeaderError::VoteChanged { expected: ours, actual: other }),
            Err(TransferLeaderError::LogNotFlushed { expected: last, actual: reached }),
        ];
        for reply in replies {
            let back = read_hand_over_reply(&request, sent(&hand_over_reply(&reply)));
            prop_assert_eq!(back, Ok(reply));
        }
    }

    #[test]
    fn parts_of_snapshots_come_back_as_they_went(
        request in some_install(), vote in some_vote(), next_part: u64, installed: bool,
    ) {
        let message = sent(&install(ROUTE, request.clone()));
        prop_assert_eq!(read_install(ROUTE, message), Ok(request));
        let reply = InstallReply { vote, next_part, installed };
        prop_assert_eq!(read_install_reply(sent(&install_reply(reply))), Ok(reply));
    }

    /// Whatever of a good message is changed: it is refused, or good still.
    #[test]
    fn no_message_is_too_strange(
        request in some_append(), parts in some_install(), at: prop::sample::Index, byte: u8,
    ) {
        let mut bytes = append(ROUTE, request).0.encode_to_vec();
        let place = at.index(bytes.len());
        bytes[place] = byte;
        if let Ok(message) = v1::RaftAppendRequest::decode(bytes.as_slice())
            && let Ok(request) = read_append(ROUTE, message)
        {
            let mut last = request.prev_log_id;
            for entry in &request.entries {
                prop_assert!(last < Some(entry.log_id));
                prop_assert!(entry.log_id.leader_id <= request.vote.leader_id);
                last = Some(entry.log_id);
            }
            let (message, _) = append(ROUTE, request.clone());
            let back = read_append(ROUTE, message).expect("it is good");
            prop_assert!(same(&back, &request));
        }
        let mut bytes = install(ROUTE, parts).encode_to_vec();
        let place = at.index(bytes.len());
        bytes[place] = byte;
        if let Ok(message) = v1::RaftInstallRequest::decode(bytes.as_slice())
            && let Ok(request) = read_install(ROUTE, message)
        {
            let back = read_install(ROUTE, install(ROUTE, request.clone()));
            prop_assert_eq!(back, Ok(request));
        }
    }
}

fn message() -> v1::RaftAppendRequest {
    let vote = own_vote(7, true);
    let entry = |index, payload| Entry {
        log_id: LogId {
            leader_id: vote.leader_id,
            index,
        },
        payload,
    };
    let previous = LogId {
        leader_id: Leader {
            term: 6,
            ..vote.leader_id
        },
        index: 3,
    };
    let request = AppendEntriesRequest {
        vote,
        prev_log_id: Some(previous),
        entries: vec![
            entry(4, EntryPayload::Blank),
            entry(5, EntryPayload::Normal(mutation(9).into())),
        ],
        leader_commit: Some(previous),
    };
    append(ROUTE, request).0
}

/// A message with one thing changed.
fn refused(change: impl FnOnce(&mut v1::RaftAppendRequest)) -> String {
    let mut message = message();
    change(&mut message);
    match read_append(ROUTE, message) {
        Err(Failure::Invalid(why)) => why,
        other => panic!("{:?}", other.map(drop)),
    }
}

#[test]
fn what_breaks_the_rules_is_refused_with_its_reason() {
    assert!(read_append(ROUTE, message()).is_ok());
    let ballot = |change: fn(&mut v1::RaftBallot)| {
        refused(|message| change(message.ballot.as_mut().expect("a vote")))
    };
    for (why, of) in [
        (refused(|message| message.ballot = None), "without a vote"),
        (ballot(|ballot| ballot.committed = false), "who leads"),
        (ballot(|ballot| ballot.leader = 3), "who leads"),
        (ballot(|ballot| ballot.term = TERM_MAX + 1), "beyond"),
        (ballot(|ballot| ballot.term = 6), "later leader"),
        // One of an earlier term after one of a later, and one of a term that there is no room for.
        (refused(|message| message.entries[1].term = 6), "after one"),
        (refused(|message| message.entries[0].term = 5), "after one"),
        (
            refused(|message| message.entries[1].term = u64::MAX),
            "beyond",
        ),
        (
            refused(|message| message.entries[1].leader = u32::MAX),
            "beyond",
        ),
        (
            refused(|message| message.entries[1].term = 8),
            "later leader",
        ),
        (
            refused(|message| message.committed.as_mut().expect("one").term = 8),
            "later leader",
        ),
        (
            refused(|message| message.previous.as_mut().expect("one").index = u64::MAX),
            "no entry",
        ),
        (
            refused(|message| message.previous.as_mut().expect("one").index = u64::MAX - 2),
            "no entry",
        ),
        (
            refused(|message| message.entries[0].payload = Bytes::from_static(b"\xff")),
            "no entry of the log",
        ),
        (
            refused(|message| message.entries[0].payload = Bytes::new()),
            "no entry of the log",
        ),
        (
            refused(|message| {
                let entry = message.entries[0].clone();
                message.entries.resize(REPLICATED_ENTRIES_MAX + 1, entry);
            }),
            "1025 entries",
        ),
    ] {
        assert!(why.contains(of), "{why}, and not {of}");
    }
}

#[test]
fn voters_by_whom_nothing_can_be_decided_are_refused() {
    let with = |configs: Vec<Vec<u32>>, learners: Vec<u32>| {
        let said = v1::RaftMembership {
            log_id: Some(v1::RaftLogId::default()),
            configs: configs
                .into_iter()
                .map(|nodes| v1::RaftVoters { nodes })
                .collect(),
            learners,
        };
        stored_membership(Some(said))
    };
    assert!(with(vec![vec![1, 2], vec![2, 3]], vec![4]).is_ok());
    let many: Vec<u32> = (1..=MEMBERS_MAX as u32 + 1).collect();
    for (configs, learners) in [
        (vec![], vec![1]),
        (vec![vec![]], vec![1]),
        (vec![vec![1], vec![]], vec![]),
        (vec![vec![1], vec![2], vec![3]], vec![]),
        (vec![vec![2, 1]], vec![]),
        (vec![vec![1, 1]], vec![]),
        (vec![vec![0]], vec![]),
        (vec![vec![1]], vec![LEADER_MAX.0 + 1]),
        (vec![many], vec![]),
    ] {
        let shown = format!("{configs:?} {learners:?}");
        assert!(with(configs, learners).is_err(), "{shown}");
    }
    // So are they as an entry.
    let nobody = Op::Voters {
        configs: vec![Vec::new()],
        learners: Vec::new(),
    };
    let entry = op::Entry {
        time: Timestamp::default(),
        origin: None,
        op: nobody,
    };
    let why = refused(|message| message.entries[0].payload = entry.encode());
    assert!(why.contains("nobody"), "{why}");
}

#[test]
fn parts_that_are_none_are_refused() {
    let last = LogId {
        leader_id: own_vote(6, true).leader_id,
        index: 9,
    };
    let voters = payload::membership(&[vec![NodeNumber(2)]], &[]);
    let request = Install {
        vote: own_vote(7, true),
        meta: SnapshotMetaOf::<Types> {
            last_log_id: Some(last),
            last_membership: StoredMembershipOf::<Types>::new(Some(last), voters),
        },
        id: [4; 16],
        part: None,
    };
    let with = |change: &dyn Fn(&mut v1::RaftInstallRequest)| {
        let mut message = install(ROUTE, request.clone());
        change(&mut message);
        read_install(ROUTE, message)
    };
    let part = |length| {
        let data = vec![1; length].into();
        Some(v1::RaftPart { number: 3, data })
    };
    assert!(with(&|_| ()).is_ok());
    assert!(with(&|message| message.part = part(SNAPSHOT_PART_BYTES)).is_ok());
    let strange: [&dyn Fn(&mut v1::RaftInstallRequest); 8] = [
        &|message| message.id = Bytes::from_static(b"short"),
        &|message| message.last = None,
        &|message| message.membership = None,
        &|message| message.ballot.as_mut().expect("one").term = 5,
        &|message| message.last.as_mut().expect("one").index = 8,
        &|message| message.part = part(SNAPSHOT_PART_BYTES + 1),
        &|message| message.part = part(0),
        &|message| message.membership.as_mut().expect("one").log_id = None,
    ];
    for (number, change) in strange.into_iter().enumerate() {
        let read = with(change);
        assert!(
            matches!(read, Err(Failure::Invalid(_))),
            "{number}: {read:?}"
        );
    }
}

#[test]
fn answers_to_another_question_are_refused() {
    let request = read_append(ROUTE, message()).expect("it is good");
    let (_, asked) = append(ROUTE, request.clone());
    let sent = request.entries.last().expect("one").log_id;
    let beyond = LogId {
        index: sent.index + 1,
        ..sent
    };
    for (reply, is_good) in [
        (AppendEntriesResponse::PartialSuccess(Some(sent)), true),
        (AppendEntriesResponse::PartialSuccess(Some(beyond)), false),
        (AppendEntriesResponse::PartialSuccess(None), false),
        (AppendEntriesResponse::HigherVote(own_vote(8, false)), true),
        (AppendEntriesResponse::HigherVote(own_vote(7, false)), false),
        (AppendEntriesResponse::HigherVote(own_vote(7, true)), false),
    ] {
        let back = read_append_reply(&asked, append_reply(&reply));
        assert_eq!(back.is_ok(), is_good, "{reply:?}");
    }
    let newer = v1::RaftAppendReply {
        outcome: 9,
        ..Default::default()
    };
    assert!(read_append_reply(&asked, newer).is_err());
}

#[test]
fn what_does_not_fit_in_one_message_goes_in_several() {
    let vote = own_vote(7, true);
    let entries = |count: u64, length: usize| -> Vec<Entry> {
        let entry = |index| Entry {
            log_id: LogId {
                leader_id: vote.leader_id,
                index,
            },
            payload: EntryPayload::Normal(mutation(length).into()),
        };
        (0..count).map(entry).collect()
    };
    let many = REPLICATED_ENTRIES_MAX as u64 + 5;
    for (all, fit) in [
        (entries(5, REPLICATED_AT_ONCE_BYTES / 2 - 100), 2),
        (entries(2, REPLICATED_AT_ONCE_BYTES + 1), 1),
        (entries(many, 1), REPLICATED_ENTRIES_MAX),
    ] {
        let request = AppendEntriesRequest {
            vote,
            prev_log_id: None,
            entries: all.clone(),
            leader_commit: None,
        };
        let (message, asked) = append(ROUTE, request);
        assert_eq!(message.entries.len(), fit);
        let done = append_reply(&AppendEntriesResponse::Success);
        let told = read_append_reply(&asked, done);
        let last = Some(all[fit - 1].log_id);
        assert_eq!(told, Ok(AppendEntriesResponse::PartialSuccess(last)));
    }
}
