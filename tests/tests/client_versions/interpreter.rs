//! Stands between a member and its node and lets either believe that the other speaks another protocol: it shakes hands
//! with both, with the keys of the member, and passes on every record that follows.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use snow::{Builder, StatelessTransportState};
use wolfdisk_common::credentials::Credentials;
use wolfdisk_proto::noise::Welcome;
use wolfdisk_proto::noise::wire::Opening;
use wolfdisk_proto::v1::{CHUNK_SERVICE, META_SERVICE};

/// As docs/formats.md has it.
const PATTERN: &str = "Noise_XXpsk3_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE: &[u8] = b"wolfdisk noise v1";
const SHARED_KEY_AT: u8 = 3;
const HANDSHAKE_MAX_BYTES: usize = 1024;
const RECORD_MAX_BYTES: usize = u16::MAX as usize;
/// A member takes every node that holds the key that they share.
const OWN_KEY: [u8; 32] = [5; 32];

/// The protocols that the sides are said to speak.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    /// The member, to the node.
    pub member: u32,
    /// The node, to the member.
    pub node: u32,
}

/// See the module. Ends with the test's process.
pub struct Interpreter {
    address: SocketAddr,
    talks: Arc<Talks>,
}

/// What all conversations share.
struct Talks {
    keys: Credentials,
    said: Said,
    meta: SocketAddr,
    /// wolfdisk-chunkd of the node, once wolfdisk-meta has told where it is.
    chunkd: OnceLock<SocketAddr>,
    /// Where members find it here.
    chunk_port: u16,
    /// Those in which both have proven their keys, of either daemon.
    with_meta: AtomicU32,
    with_chunkd: AtomicU32,
}

impl Interpreter {
    /// Between a member with these keys and the node that it joined.
    pub fn between(keys: &Credentials, said: Said) -> Interpreter {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let [address, chunkd] = [0, 1].map(|at| {
            let listener: &TcpListener = &listeners[at];
            listener.local_addr().expect("an address")
        });
        let node = keys.addresses.first().expect("an address");
        let talks = Arc::new(Talks {
            keys: keys.clone(),
            said,
            meta: node.parse().expect("an address"),
            chunkd: OnceLock::new(),
            chunk_port: chunkd.port(),
            with_meta: AtomicU32::new(0),
            with_chunkd: AtomicU32::new(0),
        });
        for listener in listeners {
            let talks = talks.clone();
            thread::spawn(move || {
                for asking in listener.incoming() {
                    let (asking, talks) = (asking.expect("accepted"), talks.clone());
                    // One of them that ends early is what a refusal looks like here.
                    thread::spawn(move || talks.interpret(asking));
                }
            });
        }
        Interpreter { address, talks }
    }

    /// Where it answers for wolfdisk-meta.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Conversations in which both sides have proven their keys: with wolfdisk-meta and with wolfdisk-chunkd.
    pub fn conversations(&self) -> (u32, u32) {
        let read = |count: &AtomicU32| count.load(Ordering::Relaxed);
        (read(&self.talks.with_meta), read(&self.talks.with_chunkd))
    }
}

impl Talks {
    fn interpret(&self, mut asking: TcpStream) -> io::Result<()> {
        let builder = || {
            let builder = Builder::new(PATTERN.parse().expect("a pattern"));
            builder.prologue(PROLOGUE).expect("a prologue")
        };
        let here = builder().local_private_key(&OWN_KEY).expect("a key");
        let mut here = here.build_responder().expect("a state");
        let mut room = [0; HANDSHAKE_MAX_BYTES];

        let length = here.read_message(&receive(&mut asking)?, &mut room);
        let opening = Opening::parse(&room[..length.expect("an opening")]).expect("an opening");
        let (node, count) = match opening.service {
            META_SERVICE => (self.meta, &self.with_meta),
            CHUNK_SERVICE => (*self.chunkd.wait(), &self.with_chunkd),
            other => panic!("service {other}"),
        };
        let mut answering = TcpStream::connect(node)?;
        let there = builder().psk(SHARED_KEY_AT, &self.keys.shared_key);
        let there = there.and_then(|there| there.local_private_key(self.keys.static_key.as_ref()));
        let mut there = there.and_then(Builder::build_initiator).expect("a state");
        let opening = Opening {
            protocol: self.said.member,
            ..opening
        };
        let length = there.write_message(&opening.to_bytes(), &mut room);
        send(&mut answering, &room[..length.expect("written")])?;

        let length = there.read_message(&receive(&mut answering)?, &mut room);
        let welcome = Welcome::parse(&room[..length.expect("a welcome")]).expect("a welcome");
        let chunkd = SocketAddr::new(node.ip(), welcome.chunk_port);
        self.chunkd.get_or_init(|| chunkd);
        let welcome = Welcome {
            protocol: self.said.node,
            chunk_port: self.chunk_port,
            ..welcome
        };
        let shared = here.set_psk(SHARED_KEY_AT.into(), self.keys.shared_key.as_ref());
        shared.expect("a place for it");
        let length = here.write_message(&welcome.to_bytes(), &mut room);
        send(&mut asking, &room[..length.expect("written")])?;

        // Nobody comes when the member does not want that node.
        let length = here.read_message(&receive(&mut asking)?, &mut room);
        let arrival = room[..length.expect("an arrival")].to_vec();
        let length = there.write_message(&arrival, &mut room);
        send(&mut answering, &room[..length.expect("written")])?;
        count.fetch_add(1, Ordering::Relaxed);

        let both = [here, there].map(|side| {
            let sealing = side.into_stateless_transport_mode();
            Arc::new(sealing.expect("both have shaken hands"))
        });
        let [here, there] = both;
        let (from, to) = (asking.try_clone()?, answering.try_clone()?);
        let sealing = (here.clone(), there.clone());
        thread::spawn(move || pass_on(from, &sealing.0, to, &sealing.1));
        pass_on(answering, &there, asking, &here);
        Ok(())
    }
}

/// Until either side ends.
fn pass_on(
    mut from: TcpStream,
    opens: &StatelessTransportState,
    mut to: TcpStream,
    seals: &StatelessTransportState,
) {
    let (mut plain, mut sealed) = (vec![0; RECORD_MAX_BYTES], vec![0; RECORD_MAX_BYTES]);
    for number in 0.. {
        let Ok(record) = receive(&mut from) else {
            break;
        };
        let length = opens.read_message(number, &record, &mut plain);
        let length = length.expect("sealed by the other side");
        let length = seals.write_message(number, &plain[..length], &mut sealed);
        if send(&mut to, &sealed[..length.expect("sealed")]).is_err() {
            break;
        }
    }
    for side in [from, to] {
        match side.shutdown(Shutdown::Both) {
            Err(error) if error.kind() != ErrorKind::NotConnected => panic!("{error}"),
            _ => {}
        }
    }
}

/// A message of the handshake, or a record.
fn receive(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = [0; 2];
    from.read_exact(&mut head)?;
    let mut message = vec![0; usize::from(u16::from_le_bytes(head))];
    from.read_exact(&mut message)?;
    Ok(message)
}

fn send(to: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let head = (message.len() as u16).to_le_bytes();
    to.write_all(&[&head, message].concat())
}
