//! Two front-ends of one daemon: nobody serves what another has changed.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::daemon::{DEADLINE, Node, Session, create, lock, options, truncate, unlink, write};
use wolfdisk_proto::v1::invalidation::Kind;
use wolfdisk_proto::v1::set_lock::Type;
use wolfdisk_proto::v1::{self, Right};

fn has(rights: u32, right: Right) -> bool {
    rights & right as u32 != 0
}

/// Runs something on a thread and gives its answer through a channel.
fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver
}

#[test]
fn a_name_that_another_misses_is_created_only_once_that_other_knows() {
    let node = Node::new();
    let daemon = node.start();
    let (writer, reader) = (daemon.session("w"), daemon.session("r"));
    let missing = reader.lookup("new");
    assert!(!missing.found && has(missing.parent_rights, Right::Names));
    let created = beside(move || writer.create("new"));
    let told = reader.told(0);
    let [item] = told.invalidations.as_slice() else {
        panic!("one notice: {told:?}")
    };
    assert_eq!(
        (item.kind(), item.ino, &item.name[..]),
        (Kind::Name, 1, &b"new"[..])
    );
    assert!(item.version > missing.version);
    // Told is not confirmed.
    assert!(created.try_recv().is_err());
    reader.feed(item.number, Duration::ZERO);
    created.recv_timeout(DEADLINE).expect("created");
    assert!(reader.lookup("new").found);
}

#[test]
fn a_silent_front_end_holds_a_mutation_up_for_its_lease_at_the_most() {
    let node = Node::new();
    let daemon = node.start();
    let (writer, silent) = (daemon.session("w"), daemon.session("r"));
    silent.lookup("new");
    let began = Instant::now();
    writer.create("new");
    assert!(
        began.elapsed() > Duration::from_millis(1500),
        "it must wait for the lease"
    );
    assert!(began.elapsed() < Duration::from_secs(4), "but not longer");
    // When it speaks again it is told to drop everything, and gets no lease before it has.
    let told = silent.told(0);
    assert!(told.rolled_back);
    assert_eq!(told.lease_ms, 0);
    let number = told.invalidations.last().expect("a number").number;
    assert!(silent.feed(number, Duration::ZERO).lease_ms > 0);
}

/// The number of the one notice that `session` gets: to write back what it has buffered of `ino`.
fn told_to_write_back(session: &Session, ino: u64) -> u64 {
    let told = session.told(0);
    let [item] = told.invalidations.as_slice() else {
        panic!("one notice: {told:?}")
    };
    assert_eq!((item.kind(), item.ino), (Kind::WriteBack, ino));
    item.number
}

#[test]
fn of_two_writers_neither_buffers_until_one_has_closed() {
    let node = Node::new();
    let daemon = node.start();
    let (first, second) = (daemon.session("1"), daemon.session("2"));
    let ino = first.create("file");
    assert!(has(first.open_file(ino, true).rights, Right::Write));
    let other = second.clone();
    let opened = beside(move || other.open_file(ino, true));
    let number = told_to_write_back(&first, ino);
    first.feed(number, Duration::ZERO);
    let opened = opened.recv_timeout(DEADLINE).expect("opened");
    assert!(!has(opened.rights, Right::Write));
    let request = v1::FeedRequest {
        session: first.id,
        confirmed: number,
        dropped: vec![ino],
        ..Default::default()
    };
    first.meta.feed(&mut options(), &request).expect("a feed");
    assert!(has(second.open_file(ino, true).rights, Right::Write));
}

#[test]
fn an_open_that_overtakes_the_word_of_the_last_close_counts() {
    let node = Node::new();
    let daemon = node.start();
    let (first, second) = (daemon.session("1"), daemon.session("2"));
    let ino = first.create("file");
    assert!(has(first.open_file(ino, true).rights, Right::Write));
    let before = first.last_open();
    first.open_file(ino, true);
    let closed_as_of = |opens| {
        let request = v1::FeedRequest {
            session: first.id,
            released: vec![ino],
            released_opens: vec![opens],
            ..Default::default()
        };
        first.meta.feed(&mut options(), &request).expect("a feed");
    };
    closed_as_of(before);
    let other = second.clone();
    let opened = beside(move || other.open_file(ino, true));
    let number = told_to_write_back(&first, ino);
    first.feed(number, Duration::ZERO);
    let opened = opened.recv_timeout(DEADLINE).expect("opened");
    assert!(!has(opened.rights, Right::Write), "two writers");
    closed_as_of(first.last_open());
    assert!(has(second.open_file(ino, true).rights, Right::Write));
}

#[test]
fn a_change_by_who_is_not_known_to_write_waits_for_what_is_buffered() {
    let node = Node::new();
    let daemon = node.start();
    let (first, second) = (daemon.session("1"), daemon.session("2"));
    let ino = first.create("file");
    assert!(has(first.open_file(ino, true).rights, Right::Write));
    let other = second.clone();
    let cut = beside(move || other.mutate(truncate(ino, 0)));
    let number = told_to_write_back(&first, ino);
    assert_eq!(first.mutate(write(ino, 0, b"buffered")).errno, 0);
    first.feed(number, Duration::ZERO);
    let told = first.told(number);
    let number = told.invalidations.last().expect("the truncation").number;
    first.feed(number, Duration::ZERO);
    assert_eq!(cut.recv_timeout(DEADLINE).expect("an answer").errno, 0);
    assert_eq!(second.content(ino), b"", "the truncation came last");
}

#[test]
fn an_open_file_outlives_its_name_until_it_is_released() {
    let node = Node::new();
    let daemon = node.start();
    let (holder, remover) = (daemon.session("h"), daemon.session("r"));
    let ino = remover.create("file");
    assert_eq!(remover.mutate(write(ino, 0, b"kept")).errno, 0);
    holder.open_file(ino, false);
    let removing = remover.clone();
    let removed = beside(move || removing.mutate(unlink("file")));
    let told = holder.told(0);
    assert!(told.invalidations.iter().any(|item| item.ino == ino));
    let number = told.invalidations.last().expect("a notice").number;
    holder.feed(number, Duration::ZERO);
    let removed = removed.recv_timeout(DEADLINE).expect("an answer");
    assert!(removed.errno == 0 && removed.removed);
    assert_eq!(holder.content(ino), b"kept");
    let request = v1::FeedRequest {
        session: holder.id,
        released: vec![ino],
        ..Default::default()
    };
    holder.meta.feed(&mut options(), &request).expect("a feed");
    let until = Instant::now() + DEADLINE;
    while holder.attr(ino).is_some() {
        assert!(Instant::now() < until, "the inode must go");
    }
}

#[test]
fn after_a_restart_a_mutation_waits_for_the_rights_of_before() {
    let node = Node::new();
    let daemon = node.start();
    let (writer, reader) = (daemon.session("w"), daemon.session("r"));
    reader.lookup("new");
    daemon.kill();
    let daemon = node.start();
    let created = beside(move || writer.create("new"));
    let told = reader.told(0);
    assert!(told.rolled_back);
    let number = told.invalidations.last().expect("a number").number;
    let began = Instant::now();
    reader.feed(number, Duration::ZERO);
    created.recv_timeout(DEADLINE).expect("created");
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "confirmed is enough"
    );
    drop(daemon);
}

#[test]
fn a_lock_waits_is_granted_in_turn_and_never_deadlocks() {
    let node = Node::new();
    let daemon = node.start();
    let (one, two) = (daemon.session("1"), daemon.session("2"));
    let (a, b) = (one.create("a"), one.create("b"));
    assert_eq!(one.mutate(lock(a, 1, Type::Write, 0)).errno, 0);
    assert_eq!(two.mutate(lock(b, 1, Type::Write, 0)).errno, 0);
    assert_eq!(
        two.mutate(lock(a, 1, Type::Write, 0)).errno,
        libc::EAGAIN as u32
    );
    assert_eq!(
        two.mutate(lock(a, 1, Type::Write, 50)).errno,
        libc::EAGAIN as u32
    );
    let waiting = two.clone();
    let granted = beside(move || waiting.mutate(lock(a, 1, Type::Write, 10_000)));
    let until = Instant::now() + DEADLINE;
    while one.counter("lock_waits") < 2 {
        assert!(Instant::now() < until, "the other must wait");
    }
    // The other waits for `a`, so waiting for `b` would never end.
    let refused = one.mutate(lock(b, 1, Type::Write, 10_000));
    assert_eq!(refused.errno, libc::EDEADLK as u32);
    assert!(granted.try_recv().is_err());
    assert_eq!(one.mutate(lock(a, 1, Type::Unlock, 0)).errno, 0);
    assert_eq!(granted.recv_timeout(DEADLINE).expect("an answer").errno, 0);
}

#[test]
fn a_closed_session_is_stale_and_its_locks_are_free() {
    let node = Node::new();
    let daemon = node.start();
    let (one, two) = (daemon.session("1"), daemon.session("2"));
    let ino = one.create("a");
    assert_eq!(one.mutate(lock(ino, 1, Type::Write, 0)).errno, 0);
    let request = v1::CloseSessionRequest { session: one.id };
    one.meta
        .close_session(&mut options(), &request)
        .expect("closed");
    let stale = one.meta.mutate(&mut options(), &one.request(create("x")));
    assert_eq!(stale, Err(wolfdisk_proto::Failure::StaleSession));
    assert_eq!(two.mutate(lock(ino, 1, Type::Write, 0)).errno, 0);
}

#[test]
fn a_successor_gets_locks_and_may_ask_twice() {
    let node = Node::new();
    let daemon = node.start();
    let (one, two) = (daemon.session("1"), daemon.session("2"));
    let ino = one.create("a");
    assert_eq!(one.mutate(lock(ino, 7, Type::Write, 0)).errno, 0);
    let request = v1::OpenSessionRequest {
        frontend: "1".into(),
        take_over: one.id,
        heritable: true,
        ..Default::default()
    };
    let mut last = one.id;
    for _ in 0..2 {
        // The second time as if the first answer had not arrived.
        let reply = one.meta.open_session(&mut options(), &request);
        let reply = reply.expect("a session");
        assert!(reply.taken_over && reply.session > last);
        assert_eq!(reply.locks, [v1::LockOwner { ino, owner: 7 }]);
        last = reply.session;
    }
    let late = one.meta.mutate(&mut options(), &one.request(create("x")));
    assert_eq!(late, Err(wolfdisk_proto::Failure::StaleSession));
    let refused = two.mutate(lock(ino, 7, Type::Write, 0));
    assert_eq!(refused.errno, libc::EAGAIN as u32);
    let unknown = v1::OpenSessionRequest {
        frontend: "3".into(),
        take_over: u64::MAX,
        ..Default::default()
    };
    let fresh = one.meta.open_session(&mut options(), &unknown);
    assert!(!fresh.expect("a session").taken_over);
}

#[test]
fn of_two_that_take_over_one_session_at_once_one_is_the_heir_of_the_other() {
    let node = Node::new();
    let daemon = node.start();
    let askers = ["1", "2"].map(|name| daemon.session(name));
    let open = |asker: &Session, take_over| {
        let request = v1::OpenSessionRequest {
            frontend: "mount".into(),
            take_over,
            heritable: true,
            ..Default::default()
        };
        let reply = asker.meta.open_session(&mut options(), &request);
        reply.expect("a session")
    };
    let mut last = open(&askers[0], 0).session;
    for round in 0..200 {
        // As of a process that was killed after it had asked, and of the next one.
        let start = std::sync::Barrier::new(askers.len());
        let replies = std::thread::scope(|scope| {
            let ask = |asker: &Session| {
                start.wait();
                open(asker, last)
            };
            let threads = askers
                .each_ref()
                .map(|asker| scope.spawn(move || ask(asker)));
            threads.map(|thread| thread.join().expect("an answer"))
        });
        assert!(replies.iter().all(|reply| reply.taken_over), "{round}");
        last = replies
            .iter()
            .map(|reply| reply.session)
            .max()
            .expect("two");
    }
}

/// The kernel of its mount holds what the session had.
#[test]
fn a_successor_whose_session_is_gone_is_told_to_drop_everything() {
    let node = Node::new();
    let daemon = node.start();
    let request = v1::OpenSessionRequest {
        frontend: "1".into(),
        take_over: u64::MAX,
        heritable: true,
        ..Default::default()
    };
    let asker = daemon.session("2");
    let fresh = asker.meta.open_session(&mut options(), &request);
    let fresh = fresh.expect("a session");
    assert!(!fresh.taken_over);
    let request = v1::FeedRequest {
        session: fresh.session,
        ..Default::default()
    };
    let told = asker
        .meta
        .feed(&mut options(), &request)
        .expect("an answer");
    assert!(told.rolled_back, "{told:?}");
}

#[test]
fn the_successor_of_an_exclusive_session_that_is_gone_is_refused() {
    let node = Node::new();
    let daemon = node.start();
    let exclusive = |take_over| v1::OpenSessionRequest {
        frontend: "1".into(),
        take_over,
        exclusive: true,
        ..Default::default()
    };
    let other = daemon.session("2");
    let close = |session| {
        let request = v1::CloseSessionRequest { session };
        let closed = other.meta.close_session(&mut options(), &request);
        closed.expect("closed");
    };
    let open = |take_over| (other.meta).open_session(&mut options(), &exclusive(take_over));
    close(other.id);
    let first = open(0).expect("alone").session;
    let second = open(first).expect("its heir");
    assert!(second.taken_over);
    close(second.session);
    // Others may have come and gone: its kernel holds what was true before.
    let refused = open(second.session);
    assert!(
        matches!(&refused, Err(wolfdisk_proto::Failure::Denied(_))),
        "{refused:?}"
    );
    assert!(!open(0).expect("a new mount").taken_over);
}

#[test]
fn a_file_that_loses_its_last_two_names_at_once_stays_for_who_has_it_open() {
    let node = Node::new();
    let daemon = node.start();
    let (reader, writers) = (daemon.session("r"), [0; 2].map(|_| daemon.session("w")));
    let creator = daemon.session("c");
    for round in 0..100 {
        let ino = creator.create("one");
        let link = v1::Link {
            ino,
            parent: 1,
            name: "other".into(),
        };
        creator.mutate(v1::mutate_request::Op::Link(link));
        creator.mutate(write(ino, 0, b"content"));
        reader.open_file(ino, false);
        let gone = std::sync::atomic::AtomicUsize::new(0);
        let both = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            for (writer, name) in writers.iter().zip(["one", "other"]) {
                let (both, gone) = (&both, &gone);
                scope.spawn(move || {
                    both.wait();
                    assert_eq!(writer.mutate(unlink(name)).errno, 0);
                    gone.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                });
            }
            let mut confirmed = 0;
            while gone.load(std::sync::atomic::Ordering::SeqCst) < 2 {
                let told = reader.feed(confirmed, Duration::from_millis(5));
                // It keeps nothing of what it was given.
                creator.feed(u64::MAX >> 1, Duration::ZERO);
                confirmed = told
                    .invalidations
                    .last()
                    .map_or(confirmed, |item| item.number);
            }
        });
        assert_eq!(reader.content(ino), b"content", "round {round}");
    }
}
