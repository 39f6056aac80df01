//! What the model does not say: single steps of coherence, with their waits and notices.

use super::*;

const READER: SessionId = SessionId(1);
const WRITER: SessionId = SessionId(2);
const FILE: Ino = Ino(5);
const NOW: Duration = Duration::from_secs(1);

fn two_sessions() -> Coherence {
    let mut coherence = Coherence::new(0);
    for session in [READER, WRITER] {
        coherence.open(session, NOW);
        coherence.heartbeat(session, 0, 0, NOW).expect("known");
    }
    coherence
}

fn changed(coherence: &mut Coherence, effect: Effect, version: u64) -> usize {
    let waits = coherence.changed(Some(WRITER), Version(version), &[effect], NOW);
    waits.len()
}

#[test]
fn content_is_cached_however_contested_it_is() {
    let mut coherence = two_sessions();
    let wanted = RightSet::ATTR | RightSet::DATA;
    for version in 1..=4 * u64::from(limits::DAMPING_HITS) {
        let granted = coherence.grant(READER, FILE, wanted, Version(version), NOW);
        assert_eq!(granted, wanted);
        assert_eq!(
            changed(&mut coherence, Effect::Data { ino: FILE }, version),
            1
        );
    }
}

#[test]
fn who_waits_for_a_session_waits_for_its_heir() {
    let mut coherence = two_sessions();
    let heir = SessionId(3);
    coherence.grant(READER, FILE, RightSet::DATA, Version(1), NOW);
    let change = [Effect::Data { ino: FILE }];
    let waits = coherence.changed(Some(WRITER), Version(2), &change, NOW);
    let barrier = coherence.barrier(&waits).expect("the reader is waited for");
    coherence.take_over(READER, heir, Version(3), NOW);
    assert_eq!(coherence.close(READER), []);
    assert_eq!(coherence.openers(FILE, Version(3), Some(WRITER)), [heir]);
    assert_eq!(coherence.openers(FILE, Version(4), Some(WRITER)), []);
    let number = coherence.outgoing(heir, 10, NOW)[0].number;
    let beat = coherence
        .heartbeat(heir, number, number, NOW)
        .expect("known");
    assert_eq!(beat.fallen, [barrier]);
}

#[test]
fn attributes_alone_go_uncached_when_they_are_contested() {
    let mut coherence = two_sessions();
    let mut grant = |version| {
        let granted = coherence.grant(READER, FILE, RightSet::ATTR, Version(version), NOW);
        changed(&mut coherence, Effect::Attr { ino: FILE }, version);
        granted
    };
    for version in 1..=u64::from(limits::DAMPING_HITS) {
        assert_eq!(grant(version), RightSet::ATTR);
    }
    assert_eq!(grant(100), RightSet::NONE);
}

#[test]
fn an_access_time_leaves_the_right_so_that_the_next_change_is_told() {
    let mut coherence = two_sessions();
    coherence.grant(READER, FILE, RightSet::ATTR, Version(1), NOW);
    assert_eq!(
        changed(&mut coherence, Effect::AccessTime { ino: FILE }, 2),
        1
    );
    assert_eq!(changed(&mut coherence, Effect::Attr { ino: FILE }, 3), 1);
    let notices = coherence.outgoing(READER, 10, NOW);
    let notices: Vec<_> = notices.into_iter().map(|item| item.notice).collect();
    assert_eq!(notices, [Notice::AccessTime(FILE), Notice::Attr(FILE)]);
}

#[test]
fn the_next_change_waits_too_until_what_the_last_one_took_is_dropped() {
    let mut coherence = two_sessions();
    coherence.grant(READER, FILE, RightSet::ATTR, Version(1), NOW);
    assert_eq!(changed(&mut coherence, Effect::Attr { ino: FILE }, 2), 1);
    assert_eq!(changed(&mut coherence, Effect::Attr { ino: FILE }, 3), 1);
    let notices = coherence.outgoing(READER, 10, NOW);
    let [notice] = notices.as_slice() else {
        panic!("it is told once: {notices:?}")
    };
    coherence.heartbeat(READER, 0, notice.number, NOW);
    assert_eq!(changed(&mut coherence, Effect::Attr { ino: FILE }, 4), 0);
}

#[test]
fn all_that_open_to_write_wait_until_what_is_buffered_is_there() {
    let mut coherence = two_sessions();
    coherence.open_to_write(READER, FILE, Version(1), NOW);
    assert_eq!(coherence.write_right(READER, FILE, NOW), RightSet::WRITE);
    let opens = |coherence: &mut Coherence| {
        let waits = coherence.open_to_write(WRITER, FILE, Version(1), NOW);
        waits.iter().filter(|wait| wait.written).count()
    };
    assert_eq!((opens(&mut coherence), opens(&mut coherence)), (1, 1));
    let waits = coherence.before_change(WRITER, FILE, true, Version(1), NOW);
    assert_eq!(waits.len(), 1);
    let number = coherence.outgoing(READER, 10, NOW)[0].number;
    coherence.heartbeat(READER, 0, number, NOW);
    assert_eq!(opens(&mut coherence), 1, "it has only heard of it");
    coherence.heartbeat(READER, number, number, NOW);
    assert_eq!(opens(&mut coherence), 0);
}
