//! What machines say to each other before either trusts the other. The first byte of an input says which message it is.

use wolfdisk_common::member::Who;
use wolfdisk_proto::Failure;
use wolfdisk_proto::noise::Welcome;
use wolfdisk_proto::noise::wire::{Arrival, Opening, read_verdict, verdict};

use super::engine::{MEMORY_BYTES, Target, as_it_is, fuzz};

#[test]
fn messages_of_a_handshake_are_read_or_refused() {
    fuzz(&Target {
        name: "handshake",
        seeds,
        reseal: |bytes| {
            if let Some(which) = bytes.first_mut() {
                *which %= 4;
            }
        },
        expand: as_it_is,
        memory_bytes: MEMORY_BYTES,
        check,
    });
}

/// Bytes behind the known fields are a newer release's, so not the bytes are compared but what they say.
fn check(bytes: &[u8]) -> bool {
    let Some((which, bytes)) = bytes.split_first() else {
        return false;
    };
    match which {
        0 => Opening::parse(bytes).is_ok_and(|read| {
            assert_eq!(Opening::parse(&read.to_bytes()), Ok(read));
            true
        }),
        1 => Welcome::parse(bytes).is_ok_and(|read| {
            assert_eq!(Welcome::parse(&read.to_bytes()), Ok(read));
            true
        }),
        2 => Arrival::parse(bytes).is_ok_and(|read| {
            assert_eq!(Arrival::parse(&read.to_bytes()), Ok(read));
            true
        }),
        3 => {
            let read = read_verdict(bytes);
            let again = verdict(read.as_ref().copied());
            assert_eq!(read_verdict(&again), read);
            true
        }
        _ => false,
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let opening = |who| Opening {
        protocol: 1,
        service: 2,
        who,
    };
    let welcome = Welcome {
        protocol: 1,
        features: 6,
        cluster: [4; 16],
        node: "alpha".into(),
        incarnation: 9,
        generation: 2,
        chunk_port: 9502,
        release: "0.1.0".into(),
    };
    let arrival = Arrival {
        features: 1,
        name: "desk".into(),
        release: "0.1.0".into(),
    };
    let denied = Failure::Denied("removed".into());
    let all = [
        (0, opening(Who::Node).to_bytes()),
        (0, opening(Who::Member(7)).to_bytes()),
        (0, opening(Who::Joining(8)).to_bytes()),
        (1, welcome.to_bytes()),
        (2, arrival.to_bytes()),
        (3, verdict(Ok(()))),
        (3, verdict(Err(&denied))),
    ];
    let tagged = all.map(|(which, bytes)| [&[which][..], &bytes].concat());
    tagged.to_vec()
}
