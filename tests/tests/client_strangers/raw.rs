//! A machine that speaks for itself: calls over connections of its own, with the keys in a data directory.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wolfdisk_client::KnownNodes;
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::paths::Paths;
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::noise::{Connection, Pool};
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::piece::Source;
use wolfdisk_proto::v1::{self, CHUNK_SERVICE, ChunkClient, META_SERVICE, MetaClient};
use wolfdisk_tests::Cluster;

/// Longest wait for one answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a machine that joined proves itself with.
pub fn credentials(data: &Path) -> Credentials {
    let kept = Credentials::of_member(&Paths::new(data.to_owned()));
    kept.expect("they can be read").expect("it joined")
}

/// Connects and shakes hands once.
pub fn shake(to: &Listener, credentials: &Credentials) -> Result<Connection, Failure> {
    Connection::open(to.address, to.service, credentials, DEADLINE)
}

/// One of the daemons of a node that other machines reach.
#[derive(Clone, Copy, Debug)]
pub struct Listener {
    pub address: SocketAddr,
    service: u8,
    name: &'static str,
}

impl Listener {
    /// wolfdisk-meta and wolfdisk-chunkd of the node that somebody joined.
    pub fn both(member: &Credentials) -> [Listener; 2] {
        let address = member.addresses.first().expect("an address");
        let meta = Listener {
            address: address.parse().expect("an address"),
            service: META_SERVICE,
            name: "meta",
        };
        let welcomed = shake(&meta, member).expect("a member");
        let mut address = meta.address;
        address.set_port(welcomed.welcome().chunk_port);
        let chunkd = Listener {
            address,
            service: CHUNK_SERVICE,
            name: "chunkd",
        };
        [meta, chunkd]
    }

    /// One of its counters, as `wolfdiskctl stats` tells it.
    pub fn counter(&self, cluster: &Cluster, name: &str) -> u64 {
        counter(cluster, &format!("{}.{name}", self.name))
    }
}

/// A counter of the node, as `wolfdiskctl stats` tells it.
pub fn counter(cluster: &Cluster, name: &str) -> u64 {
    let told = cluster.ask(&["stats", "--once", "--json"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let all: serde_json::Value = serde_json::from_str(&told.stdout).expect("JSON");
    let value = all.get(name).and_then(serde_json::Value::as_u64);
    value.unwrap_or_else(|| panic!("no counter {name}: {all}"))
}

/// A range of a chunk, and what lets a member read it.
#[derive(Clone, Debug)]
pub struct Span {
    pub id: Bytes,
    pub offset: u32,
    pub length: u32,
    pub ticket: Bytes,
}

/// A member in a session of its own.
pub struct Raw {
    meta: MetaClient<Pool>,
    chunkd: ChunkClient<Pool>,
    session: u64,
    pub root: u64,
    sequence: u64,
}

fn once() -> Options {
    Options {
        retry: false,
        ..Options::within(DEADLINE)
    }
}

impl Raw {
    /// The machine that joined.
    pub fn of(data: &Path) -> Raw {
        let own = credentials(data);
        let daemons = Listener::both(&own);
        Raw::with(own, daemons)
    }

    /// The same; it speaks to wolfdisk-chunkd through somebody who listens there.
    pub fn through(data: &Path, address: SocketAddr) -> Raw {
        let own = credentials(data);
        let [meta, chunkd] = Listener::both(&own);
        Raw::with(own, [meta, Listener { address, ..chunkd }])
    }

    fn with(own: Credentials, daemons: [Listener; 2]) -> Raw {
        let own = Arc::new(own);
        let pools = daemons.map(|listener| {
            let nodes = KnownNodes::new(vec![listener.address.to_string()]);
            Pool::new(own.clone(), listener.service, Arc::new(nodes))
        });
        let [meta, chunkd] = pools;
        let (meta, chunkd) = (MetaClient(meta), ChunkClient(chunkd));
        let request = v1::OpenSessionRequest {
            frontend: "fuse".to_owned(),
            ..Default::default()
        };
        let opened = meta.open_session(&mut once(), &request).expect("a session");
        Raw {
            meta,
            chunkd,
            session: opened.session,
            root: opened.root,
            sequence: 0,
        }
    }

    pub fn attributes(&self, ino: u64) -> Result<v1::Attr, Failure> {
        let session = self.session;
        let request = v1::GetAttrRequest { session, ino };
        let reply = self.meta.get_attr(&mut once(), &request)?;
        Ok(reply.attr.expect("attributes"))
    }

    pub fn look_up(&self, parent: u64, name: &str) -> Result<Option<u64>, Failure> {
        let request = v1::LookupRequest {
            session: self.session,
            parent,
            name: Bytes::copy_from_slice(name.as_bytes()),
        };
        let reply = self.meta.lookup(&mut once(), &request)?;
        Ok(reply.attr.map(|attr| attr.ino))
    }

    pub fn open(&self, ino: u64, write: bool) -> Result<(), Failure> {
        let request = v1::OpenRequest {
            session: self.session,
            ino,
            write,
            with_map: true,
            number: 1,
        };
        self.meta.open(&mut once(), &request).map(drop)
    }

    pub fn list(&self, ino: u64) -> Result<usize, Failure> {
        let request = v1::ReadDirRequest {
            session: self.session,
            ino,
            max_entries: 10,
            ..Default::default()
        };
        let reply = self.meta.read_dir(&mut once(), &request);
        reply.map(|reply| reply.entries.len())
    }

    /// The chunk at the beginning of a file.
    pub fn map(&self, ino: u64) -> Result<Span, Failure> {
        let request = v1::MapRequest {
            session: self.session,
            ino,
            length: 1,
            max_pieces: 1,
            ..Default::default()
        };
        let reply = self.meta.map(&mut once(), &request)?;
        let piece = reply.pieces.first().expect("a piece");
        match piece.source.as_ref().expect("a source") {
            Source::Chunk(chunk) => Ok(Span {
                id: chunk.id.clone(),
                offset: chunk.offset,
                length: piece.length as u32,
                ticket: chunk.ticket.clone(),
            }),
            other => panic!("no chunk but {other:?}"),
        }
    }

    /// The errno that a change ends with.
    pub fn change(&mut self, op: Op) -> Result<u32, Failure> {
        self.sequence += 1;
        let request = v1::MutateRequest {
            session: self.session,
            sequence: self.sequence,
            op: Some(op),
            ..Default::default()
        };
        let reply = self.meta.mutate(&mut once(), &request);
        reply.map(|reply| reply.errno)
    }

    /// Whether the daemon answers at all.
    pub fn status(&self) -> Result<(), Failure> {
        self.meta.status(&mut once(), &v1::Empty {}).map(drop)
    }

    pub fn read(&self, span: &Span) -> Result<Bytes, Failure> {
        let request = v1::ReadRequest {
            id: span.id.clone(),
            offset: span.offset,
            length: span.length,
            ticket: span.ticket.clone(),
            ticket_offset: span.offset,
            ticket_length: span.length,
            with_leaves: false,
            ..Default::default()
        };
        let reply = self.chunkd.read(&mut once(), &request);
        reply.map(|reply| reply.data)
    }

    pub fn put(&self, bytes: &[u8]) -> Result<(), Failure> {
        let request = v1::PutRequest {
            source: Some(v1::put_request::Source::Data(Bytes::copy_from_slice(bytes))),
            ..Default::default()
        };
        self.chunkd.put(&mut once(), &request).map(drop)
    }
}

/// Writes to the beginning of a file.
pub fn write(ino: u64, bytes: &'static [u8]) -> Op {
    let piece = v1::WritePiece {
        offset: 0,
        length: bytes.len() as u64,
        source: Some(v1::write_piece::Source::Data(Bytes::from_static(bytes))),
    };
    Op::Write(v1::Write {
        ino,
        pieces: vec![piece],
        ..Default::default()
    })
}

/// Takes a name away.
pub fn unlink(parent: u64, name: &'static str) -> Op {
    Op::Unlink(v1::Unlink {
        parent,
        name: Bytes::from_static(name.as_bytes()),
        directory: false,
    })
}

/// Makes a file.
pub fn create(parent: u64, name: &'static str) -> Op {
    Op::Create(v1::Create {
        parent,
        name: Bytes::from_static(name.as_bytes()),
        mode: libc::S_IFREG | 0o666,
        ..Default::default()
    })
}
