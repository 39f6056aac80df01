//! Releases of other protocols against this one, in both directions, and members that break the rules behind the handshake.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::member::{MemberKind, Principal, Restrictions, Who};
use zeroize::Zeroizing;

use super::answering::serve_as;
use super::greeting::Terms;
use super::handshake::{Asking, Sealing};
use super::wire::{Arrival, Opening};
use super::{Connection, Door, Guests, PublicKey, Setup, Welcome};
use crate::PROTOCOL_VERSION;
use crate::call::{Call, Caller, Options};
use crate::calls::Calls;
use crate::failure::Failure;
use crate::framed::{self, Dispatch, HEADER_BYTES, Header};

const SERVICE: u8 = 9;

/// Answers with what it was asked.
#[derive(Clone)]
struct Echo;

impl Dispatch for Echo {
    const SERVICE: u8 = SERVICE;
    const NAME: &'static str = "Echo";

    fn calls(&self) -> &Calls {
        static CALLS: LazyLock<Calls> = LazyLock::new(|| Calls::new(&[]));
        &CALLS
    }

    async fn dispatch(&self, call: &mut Call, _: u8, body: Bytes) -> Result<Vec<u8>, Failure> {
        assert_eq!(call.principal.as_ref().map(|who| who.member), Some(1));
        Ok([&[0; HEADER_BYTES][..], &body].concat())
    }
}

struct Open;

impl Door for Open {
    fn shared_key(&self, _: Who) -> Option<Zeroizing<[u8; 32]>> {
        Some(Zeroizing::new([9; 32]))
    }

    fn admit(&self, who: Who, key: &PublicKey, _: SocketAddr) -> Result<Principal, Failure> {
        Ok(Principal {
            who,
            kind: MemberKind::Node,
            member: 1,
            name: "beta".into(),
            public_key: *key,
            restrictions: Restrictions::default(),
        })
    }

    fn welcome(&self) -> Welcome {
        Welcome::default()
    }
}

async fn started(answering: u32) -> (SocketAddr, tokio::task::JoinHandle<std::io::Result<()>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("an address");
    let address = listener.local_addr().expect("an address");
    let setup = Setup {
        static_key: Zeroizing::new([1; 32]),
        door: Arc::new(Open),
        guests: Arc::new(Guests::default()),
        on_close: Arc::new(|_| ()),
    };
    (
        address,
        tokio::spawn(serve_as(listener, Echo, setup, answering)),
    )
}

/// Asks once as one release asks another; gives the protocol that was spoken.
async fn asked(asking: u32, answering: u32, service: u8) -> Result<u32, Failure> {
    let (address, serving) = started(answering).await;
    let call = move || {
        let credentials = Credentials {
            cluster: None,
            who: Who::Node,
            kind: MemberKind::Node,
            name: "beta".into(),
            shared_key: Zeroizing::new([9; 32]),
            static_key: Zeroizing::new([3; 32]),
            node_key: None,
            addresses: Vec::new(),
        };
        let within = Duration::from_secs(10);
        let terms = Terms {
            protocol: asking,
            ..Terms::default()
        };
        let connection = Connection::open_as(address, service, &credentials, within, terms)?;
        let spoken = connection.welcome().protocol;
        let request = [&[0; HEADER_BYTES][..], b"hello"].concat();
        let connection = Mutex::new(connection);
        let answer = connection.call(&mut Options::within(within), SERVICE, 1, &request)?;
        assert_eq!(answer, "hello");
        Ok(spoken)
    };
    let answer = tokio::task::spawn_blocking(call).await.expect("no panic");
    serving.abort();
    answer
}

#[tokio::test]
async fn neighbours_speak_the_lower_of_their_protocols() {
    let (old, new) = (PROTOCOL_VERSION, PROTOCOL_VERSION + 1);
    for (asking, answering) in [(old, old), (old, new), (new, old), (new, new)] {
        let spoken = asked(asking, answering, SERVICE).await;
        assert_eq!(
            spoken,
            Ok(asking.min(answering)),
            "{asking} asks {answering}"
        );
    }
}

#[tokio::test]
async fn releases_that_are_further_apart_name_both_protocols() {
    let (old, new) = (PROTOCOL_VERSION, PROTOCOL_VERSION + 2);
    for (asking, answering) in [(old, new), (new, old)] {
        match asked(asking, answering, SERVICE).await {
            Err(Failure::Unsupported(text)) => {
                assert!(text.contains(&format!("protocol {answering}")), "{text}");
                assert!(text.contains(&format!("release {asking}")), "{text}");
            }
            other => panic!("{asking} asks {answering}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn whoever_asks_for_another_service_learns_that_it_is_not_here() {
    let answer = asked(PROTOCOL_VERSION, PROTOCOL_VERSION, 2).await;
    assert!(
        matches!(&answer, Err(Failure::Unsupported(text)) if text.contains("service 2")),
        "{answer:?}"
    );
}

/// A member without our client.
fn raw(address: SocketAddr) -> (TcpStream, Sealing) {
    let mut stream = TcpStream::connect(address).expect("connected");
    let timeout = Some(Duration::from_secs(10));
    stream.set_read_timeout(timeout).expect("set");
    let opening = Opening {
        protocol: PROTOCOL_VERSION,
        service: SERVICE,
        who: Who::Node,
    };
    let (mut asking, first) = Asking::begin(&[3; 32], &[9; 32], opening).expect("begun");
    send(&mut stream, &first);
    asking
        .read_welcome(&received(&mut stream))
        .expect("welcomed");
    let (mut sealing, third) = asking.end(&Arrival::default()).expect("ended");
    send(&mut stream, &third);
    let mut verdict = Vec::new();
    let record = received(&mut stream);
    sealing.open(&record, &mut verdict).expect("opened");
    assert_eq!(verdict, [0]);
    (stream, sealing)
}

fn send(stream: &mut TcpStream, message: &[u8]) {
    let head = (message.len() as u16).to_le_bytes();
    stream.write_all(&[&head, message].concat()).expect("sent");
}

fn received(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("a length");
    let mut message = vec![0; usize::from(u16::from_le_bytes(head))];
    stream.read_exact(&mut message).expect("a message");
    message
}

fn sealed(sealing: &mut Sealing, plain: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    sealing.seal(plain, &mut bytes).expect("sealed");
    bytes
}

fn request(body: &[u8]) -> Vec<u8> {
    let mut frame = [&[0; HEADER_BYTES][..], body].concat();
    framed::seal(&mut frame, SERVICE, 1, 0, 1_000);
    frame
}

#[tokio::test]
async fn a_member_that_breaks_the_rules_is_cut_off_alone() {
    let (address, serving) = started(PROTOCOL_VERSION).await;
    let tried = move || {
        let (mut good, mut keys) = raw(address);
        let header = Header {
            body: 5,
            kind: SERVICE,
            number: 1,
            fds: 0,
            argument: 1_000,
        };
        let huge = Header {
            body: u32::MAX as usize - 8,
            ..header
        };
        let with_descriptors = Header { fds: 1, ..header };
        let longer = [&header.to_bytes()[..], b"hello and more"].concat();
        let plain = [
            huge.to_bytes().to_vec(),
            [&with_descriptors.to_bytes()[..], b"hello"].concat(),
            longer,
        ];
        for bytes in plain {
            let (mut stream, mut keys) = raw(address);
            let record = sealed(&mut keys, &bytes);
            stream.write_all(&record).expect("sent");
            assert_cut(stream);
        }
        for record in [
            &[0, 0][..],
            &[15, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        ] {
            let (mut stream, _) = raw(address);
            stream.write_all(record).expect("sent");
            assert_cut(stream);
        }
        // A request that is sent twice, and one with a bit changed.
        let (mut stream, mut own) = raw(address);
        let record = sealed(&mut own, &request(b"hello"));
        stream.write_all(&record).expect("sent");
        received(&mut stream);
        stream.write_all(&record).expect("sent");
        assert_cut(stream);
        let (mut stream, mut own) = raw(address);
        let mut record = sealed(&mut own, &request(b"hello"));
        record[20] ^= 1;
        stream.write_all(&record).expect("sent");
        assert_cut(stream);
        // The first one is answered still, byte by byte, and in records of any length.
        for _ in 0..2 {
            let mut bytes = sealed(&mut keys, &[]);
            let frame = request(b"hello");
            let (start, rest) = frame.split_at(HEADER_BYTES - 1);
            bytes.extend(sealed(&mut keys, start));
            bytes.extend(sealed(&mut keys, rest));
            for byte in bytes {
                good.write_all(&[byte]).expect("sent");
            }
            let mut answer = Vec::new();
            let record = received(&mut good);
            keys.open(&record, &mut answer).expect("opened");
            assert_eq!(answer.get(HEADER_BYTES..), Some(&b"hello"[..]));
        }
    };
    tokio::task::spawn_blocking(tried).await.expect("no panic");
    serving.abort();
}

/// The other side ends it, and says nothing more.
fn assert_cut(mut stream: TcpStream) {
    match stream.read(&mut [0; 16]) {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}
