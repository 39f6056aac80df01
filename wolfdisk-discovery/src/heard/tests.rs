//! Whom to believe, with made-up times.

use std::net::Ipv4Addr;

use super::*;
use crate::beacon::tests::{key, presence};
use crate::limits::{ADDRESSES_MAX, CLOCK_SKEW_MAX, SILENT_AFTER, SOURCE_RATE};

const WALL_MS: u64 = 1_800_000_000_000;

fn at(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        wall_ms: WALL_MS,
    }
}

fn from(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 40_000))
}

fn holder() -> Heard {
    let trust = Trust {
        cluster: Some(Uuid::from_bytes([1; 16])),
        key: Some(key()),
    };
    Heard::new(trust, None)
}

fn node(name: &str) -> Heard {
    let myself = Myself {
        node: NodeId::parse(name).expect("an id"),
        start: 1,
    };
    Heard::new(holder().trust, Some(myself))
}

fn hear(heard: &mut Heard, seconds: u64, host: u8, presence: &Presence) -> Reaction {
    heard.receive(at(seconds), from(host), &presence.encode(&key()))
}

/// A life of `alpha`, answering a question that is asked now.
fn answer(heard: &mut Heard, seconds: u64, host: u8, start: u64, counter: u64) -> Reaction {
    let question = heard.ask(Duration::from_secs(seconds), seconds << 8 | start);
    let answer = Presence {
        answers: Some(question.nonce),
        ..presence("alpha", start, counter)
    };
    hear(heard, seconds, host, &answer)
}

#[test]
fn who_announces_itself_is_found_where_it_is() {
    let mut heard = holder();
    assert_eq!(
        hear(&mut heard, 5, 2, &presence("alpha", 7, 1)),
        Reaction::New
    );
    assert_eq!(
        hear(&mut heard, 6, 3, &presence("alpha", 7, 2)),
        Reaction::Nothing
    );
    let now = Duration::from_secs(6);
    let expected = [([10, 0, 0, 2], 9500).into(), ([10, 0, 0, 3], 9500).into()];
    assert_eq!(heard.addresses(now), expected);
    let sights = heard.sights(now);
    assert_eq!(sights.len(), 1);
    assert!(sights[0].own && sights[0].is_live() && sights[0].trouble.is_none());
    assert!(!heard.sights(now + SILENT_AFTER * 2)[0].is_live());
    heard.forget(now + FORGOTTEN_AFTER);
    assert!(heard.sights(now).is_empty());
}

#[test]
fn a_node_is_news_again_when_it_is_known_where_it_is() {
    let mut heard = holder();
    let near = |counter| {
        let mut near = presence("alpha", 7, counter);
        near.about.listens = Ipv4Addr::LOCALHOST.into();
        near.encode(&key())
    };
    // Its loopback address is of no use to other machines.
    assert_eq!(heard.receive(at(5), from(2), &near(1)), Reaction::New);
    assert!(heard.addresses(Duration::from_secs(5)).is_empty());
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000));
    assert_eq!(heard.receive(at(5), loopback, &near(2)), Reaction::New);
    assert_eq!(heard.addresses(Duration::from_secs(5)).len(), 1);
    assert_eq!(heard.receive(at(6), loopback, &near(3)), Reaction::Nothing);
}

#[test]
fn what_was_heard_before_is_dropped_and_counted() {
    let mut heard = holder();
    let (first, second) = (presence("alpha", 7, 1), presence("alpha", 7, 2));
    // The second overtakes the first on another network.
    hear(&mut heard, 5, 2, &second);
    hear(&mut heard, 5, 3, &first);
    assert_eq!(heard.counts().accepted, 2);
    for _ in 0..3 {
        assert_eq!(hear(&mut heard, 60, 9, &second), Reaction::Nothing);
    }
    assert_eq!(heard.counts().replayed, 3);
    // It moved nothing, and made nobody live.
    let now = Duration::from_secs(60);
    assert!(!heard.addresses(now).contains(&([10, 0, 0, 9], 9500).into()));
    assert!(!heard.sights(now)[0].is_live());
}

#[test]
fn an_earlier_life_does_not_come_back() {
    let mut heard = holder();
    let mut newer = presence("alpha", 8, 1);
    newer.about.incarnation = 2;
    hear(&mut heard, 5, 2, &newer);
    hear(&mut heard, 6, 9, &presence("alpha", 7, 1000));
    assert_eq!(heard.counts().replayed, 1);
    assert_eq!(heard.addresses(Duration::from_secs(6)).len(), 1);
    // Nor does an answer that was recorded.
    let mut recorded = presence("alpha", 7, 1001);
    recorded.answers = Some(3);
    assert_eq!(hear(&mut heard, 7, 9, &recorded), Reaction::Nothing);
    assert_eq!(heard.counts().replayed, 2);
    let question = heard.ask(Duration::from_secs(8), 3);
    assert_eq!(question.nonce, 3);
    let late = 8 + ANSWER_DEADLINE.as_secs();
    assert_eq!(hear(&mut heard, late, 9, &recorded), Reaction::Nothing);
    assert_eq!(heard.counts().replayed, 3);
}

#[test]
fn who_does_not_hold_the_key_is_not_believed() {
    let mut heard = holder();
    let other = crate::beacon::BeaconKey::from_bytes([9; 32]);
    let forged = presence("alpha", 7, 1).encode(&other);
    assert_eq!(heard.receive(at(5), from(9), &forged), Reaction::Nothing);
    assert_eq!(
        heard.receive(at(5), from(9), b"what is this"),
        Reaction::Nothing
    );
    let mut later = forged.clone();
    later[4] = 9;
    heard.receive(at(5), from(9), &later);
    let counts = heard.counts();
    assert_eq!(
        (counts.forged, counts.malformed, counts.other_version),
        (1, 1, 1)
    );
    assert!(heard.sights(Duration::from_secs(5)).is_empty());
    // To a member without the key it is a hint, if it names its cluster.
    let mut member = Heard::new(
        Trust {
            key: None,
            ..holder().trust
        },
        None,
    );
    assert_eq!(member.receive(at(5), from(9), &forged), Reaction::New);
    assert_eq!(member.addresses(Duration::from_secs(5)).len(), 1);
}

#[test]
fn who_holds_the_key_alone_learns_its_cluster_from_its_nodes() {
    let mut heard = Heard::new(
        Trust {
            cluster: None,
            ..holder().trust
        },
        None,
    );
    let mut other = presence("beta", 9, 1);
    other.cluster = Uuid::from_bytes([2; 16]);
    let theirs = other.encode(&crate::beacon::BeaconKey::from_bytes([9; 32]));
    heard.receive(at(5), from(9), &theirs);
    hear(&mut heard, 5, 2, &presence("alpha", 7, 1));
    let own: Vec<_> = heard.sights(Duration::from_secs(5));
    assert_eq!(own.iter().filter(|sight| sight.own).count(), 1);
    assert_eq!(own[0].cluster, Uuid::from_bytes([1; 16]));
}

#[test]
fn another_cluster_is_named_and_nothing_is_wrong() {
    let mut heard = holder();
    for number in 0..1000_u32 {
        let mut stranger = presence(&format!("n{number}"), u64::from(number), 1);
        stranger.cluster = Uuid::from_bytes([2; 16]);
        let seconds = u64::from(number / SOURCE_RATE);
        assert_eq!(
            hear(&mut heard, seconds * 2, 9, &stranger),
            Reaction::Foreign
        );
    }
    let now = Duration::from_secs(38);
    assert_eq!(heard.sights(now).len(), STRANGERS_MAX);
    assert!(heard.addresses(now).is_empty() && heard.troubles(now).is_empty());
    let notes = heard.notes(now);
    assert!(
        notes.len() == 1 && notes[0].contains("02020202"),
        "{notes:?}"
    );
    assert!(heard.notes(now + SILENT_AFTER * 2).is_empty());
}

#[test]
fn two_machines_of_one_name_are_noticed_and_a_restart_is_not() {
    let mut heard = holder();
    for counter in 1..4 {
        answer(&mut heard, counter, 2, 7, counter);
    }
    // It starts again, elsewhere, as the same life of its index: a copy of its disk.
    for counter in 4..6 {
        answer(&mut heard, counter, 3, 8, counter);
    }
    assert!(heard.troubles(Duration::from_secs(5)).is_empty());
    // But the first lives on.
    answer(&mut heard, 6, 2, 7, 9);
    answer(&mut heard, 7, 3, 8, 9);
    let troubles = heard.troubles(Duration::from_secs(7));
    assert_eq!(troubles.len(), 1, "{troubles:?}");
    assert!(
        troubles[0].contains("10.0.0.2 and 10.0.0.3, run as node alpha"),
        "{troubles:?}"
    );
    assert_eq!(heard.sights(Duration::from_secs(7)).len(), 2);
    // Until one is stopped.
    assert!(heard.troubles(Duration::from_secs(60)).is_empty());
}

#[test]
fn a_node_notices_another_of_its_name() {
    let mut heard = node("alpha");
    // Its own voice is no news.
    assert_eq!(
        hear(&mut heard, 5, 1, &presence("alpha", 1, 1)),
        Reaction::Nothing
    );
    // Another's is to be asked: its beacon alone may be one of this node's earlier life.
    assert_eq!(
        hear(&mut heard, 5, 2, &presence("alpha", 7, 1)),
        Reaction::New
    );
    assert!(heard.troubles(Duration::from_secs(5)).is_empty());
    answer(&mut heard, 6, 2, 7, 2);
    let troubles = heard.troubles(Duration::from_secs(6));
    assert!(
        troubles[0].contains("10.0.0.2, also runs as node alpha"),
        "{troubles:?}"
    );
}

#[test]
fn questions_are_answered_by_nodes_of_that_cluster() {
    let ask = |cluster| Question { cluster, nonce: 99 }.encode();
    let mut alpha = node("alpha");
    let reaction = alpha.receive(at(5), from(2), &ask(Uuid::nil()));
    assert_eq!(reaction, Reaction::Answer(99));
    let own = ask(Uuid::from_bytes([1; 16]));
    assert_eq!(alpha.receive(at(5), from(2), &own), Reaction::Answer(99));
    assert_eq!(holder().receive(at(5), from(2), &own), Reaction::Nothing);
    let foreign = ask(Uuid::from_bytes([2; 16]));
    assert_eq!(alpha.receive(at(5), from(2), &foreign), Reaction::Nothing);
    // What it asked itself it does not answer.
    let question = alpha.ask(Duration::from_secs(5), 4).encode();
    assert_eq!(alpha.receive(at(5), from(1), &question), Reaction::Nothing);
    assert_eq!(alpha.counts().questions, 3);
}

#[test]
fn a_flood_is_counted_and_leaves_others_heard() {
    let mut heard = holder();
    for _ in 0..10_000 {
        heard.receive(at(5), from(9), b"flood");
    }
    let counts = heard.counts();
    assert_eq!(counts.malformed, u64::from(SOURCE_RATE));
    assert_eq!(counts.malformed + counts.flooded, 10_000);
    assert_eq!(
        hear(&mut heard, 5, 2, &presence("alpha", 7, 1)),
        Reaction::New
    );
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut heard = holder();
    for number in 0..2000_u32 {
        let one = presence(&format!("n{number}"), u64::from(number), 1);
        hear(&mut heard, u64::from(number), (number % 200) as u8, &one);
    }
    assert_eq!(heard.lives.len(), NODES_MAX);
    for number in 0..2000_u64 {
        let moving = presence("n1999", 1999, 2 + number);
        hear(&mut heard, 3000 + number, (number % 200) as u8, &moving);
    }
    let moved = heard.sights(Duration::from_secs(5000));
    let moved = moved.iter().find(|sight| sight.node.to_string() == "n1999");
    assert_eq!(
        moved.map(|sight| sight.addresses.len()),
        Some(ADDRESSES_MAX)
    );
    for nonce in 0..2000 {
        heard.ask(Duration::from_secs(5), nonce);
    }
    assert_eq!(heard.questions.len(), QUESTIONS_MAX);
}

#[test]
fn a_distant_release_and_a_wrong_clock_are_named() {
    let mut heard = holder();
    let mut later = presence("beta", 5, 1);
    later.about.protocol += 2;
    hear(&mut heard, 5, 2, &later);
    let now = Duration::from_secs(5);
    assert!(heard.troubles(now)[0].contains("node beta: it speaks protocol"));
    let mut heard = holder();
    let question = heard.ask(now, 3);
    let mut late = presence("gamma", 6, 1);
    late.answers = Some(question.nonce);
    late.about.wall_ms = WALL_MS - 2 * 3_600_000;
    hear(&mut heard, 5, 3, &late);
    let troubles = heard.troubles(now);
    assert!(
        troubles[0].contains("gamma is 7200 s behind"),
        "{troubles:?}"
    );
    let question = heard.ask(now, 4);
    late.answers = Some(question.nonce);
    late.counter = 2;
    late.about.wall_ms = WALL_MS + CLOCK_SKEW_MAX.as_millis() as u64;
    hear(&mut heard, 5, 3, &late);
    assert!(heard.troubles(now).is_empty());
}
