//! How long calls take, end to end over the socket. Run alone, with `--ignored --nocapture`.

use std::time::{Duration, Instant};

use crate::daemon::{Node, create, options, write};
use wolfdisk_proto::v1;

fn median(count: u32, mut call: impl FnMut(u32)) -> Duration {
    let mut took: Vec<_> = (0..count)
        .map(|number| {
            let began = Instant::now();
            call(number);
            began.elapsed()
        })
        .collect();
    took.sort();
    took[took.len() / 2]
}

#[test]
#[ignore = "a measurement: needs an idle machine"]
fn medians() {
    let node = Node::new();
    let daemon = node.start();
    let session = daemon.session("a");
    let ino = session.create("file");
    let getattr = median(20_000, |_| {
        session.attr(ino).expect("attributes");
    });
    let creating = median(10_000, |number| {
        assert_eq!(session.mutate(create(&format!("c{number}"))).errno, 0);
    });
    let data = [7; 4096];
    let writing = median(5_000, |number| {
        assert_eq!(
            session
                .mutate(write(ino, u64::from(number) * 4096, &data))
                .errno,
            0
        );
    });
    let fsync = median(500, |_| {
        let request = v1::MutateRequest {
            durable: true,
            ..session.request(write(ino, 0, &data))
        };
        assert_eq!(session.send(&request).errno, 0);
    });
    let status = session
        .meta
        .status(&mut options(), &v1::Empty {})
        .expect("a status");
    println!(
        "getattr {getattr:?}, create {creating:?}, write 4 KiB {writing:?}, and durable {fsync:?}"
    );
    println!("batches {:?}", status.counters);
}
