//! The service over its real socket: puts by bytes and by shared memory, segments read by descriptor,
//! refusals with the right code.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use nix::fcntl::{FcntlArg, FdFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use parking_lot::Mutex;
use wolfdisk_chunkd::pool::Pool;
use wolfdisk_chunkd::service::ChunkServer;
use wolfdisk_chunkd::store::{Options as StoreOptions, Store};
use wolfdisk_chunkd::tasks::scrub::{Plan, Scrubber};
use wolfdisk_chunkd::tasks::{Tasks, Upkeep};
use wolfdisk_common::disk::real::RealDisk;
use wolfdisk_common::hash::chunk_id;
use wolfdisk_common::ids::NodeNumber;
use wolfdisk_common::segment::RecordHeader;
use wolfdisk_proto::blocking::Connection;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::server::{Admission, Setup, serve};
use wolfdisk_proto::v1::put_request::Source;
use wolfdisk_proto::v1::{self, ChunkClient, ChunkFramed};

type Client = ChunkClient<Arc<Mutex<Connection>>>;

struct Daemon {
    root: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
    _tasks: Tasks,
}

impl Daemon {
    fn start() -> Daemon {
        let root = tempfile::tempdir().expect("a directory");
        let store = Store::open(StoreOptions {
            disk: Arc::new(RealDisk),
            dir: root.path().join("chunks"),
            volume: [1; 16],
            page_size: 4096,
            segment_bytes: None,
        });
        let store = Arc::new(store.expect("a store"));
        let fatal = Arc::new(|error: &wolfdisk_chunkd::store::StoreError| panic!("{error}"));
        let plan = Plan {
            interval: None,
            bytes_per_second: 0,
        };
        let scrubber = Arc::new(Scrubber::new(&store, plan));
        let tasks = Tasks::start(store.clone(), scrubber.clone(), Upkeep::All, fatal);
        let tasks = tasks.expect("threads");
        let pool = Pool::start().expect("threads");
        let number = NodeNumber(1);
        let server = ChunkServer::new(store, scrubber, pool, number, [1; 16], 4096);
        let server = Arc::new(server);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let (grpc, _) = tokio::sync::mpsc::channel(1);
        let path = root.path().join("chunkd.sock");
        let listener =
            runtime.block_on(async { tokio::net::UnixListener::bind(path).expect("a socket") });
        let closing = server.clone();
        let setup = Setup {
            admission: Admission {
                uids: vec![nix::unistd::geteuid().as_raw()],
                gid: None,
            },
            grpc,
            on_close: Arc::new(move |number| closing.connection_closed(number)),
        };
        runtime.spawn(serve(listener, ChunkFramed(server), setup));
        Daemon {
            root,
            _runtime: runtime,
            _tasks: tasks,
        }
    }

    fn socket(&self) -> PathBuf {
        self.root.path().join("chunkd.sock")
    }

    fn client(&self) -> Client {
        ChunkClient(Arc::new(Mutex::new(
            Connection::open(&self.socket()).expect("a connection"),
        )))
    }
}

fn bytes(length: usize, seed: u8) -> Vec<u8> {
    (0..length)
        .map(|at| (at as u8).wrapping_mul(13) ^ (at >> 8) as u8 ^ seed)
        .collect()
}

fn put(client: &Client, data: &[u8]) -> Result<v1::PutReply, Failure> {
    let source = Some(Source::Data(Bytes::copy_from_slice(data)));
    client.put(
        &mut Options::default(),
        &v1::PutRequest {
            source,
            ..Default::default()
        },
    )
}

fn area(client: &Client, content: &[u8], seals: SealFlag) -> Result<v1::Empty, Failure> {
    let fd =
        memfd_create("area", MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC).expect("a memfd");
    let file = File::from(fd);
    file.set_len(content.len() as u64).expect("a length");
    file.write_all_at(content, 0).expect("bytes");
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).expect("seals");
    let mut options = Options {
        send: vec![OwnedFd::from(file)],
        ..Options::default()
    };
    client.attach_area(
        &mut options,
        &v1::AttachAreaRequest {
            length: content.len() as u64,
        },
    )
}

fn read_from_segment(client: &Client, id: &Bytes) -> Vec<u8> {
    let request = v1::LocateRequest {
        ids: vec![id.clone()],
    };
    let reply = client
        .locate(&mut Options::default(), &request)
        .expect("a location");
    let [place] = reply.locations.as_slice() else {
        panic!("one location")
    };
    assert!(place.found);
    let mut options = Options::default();
    let request = v1::SegmentRequest {
        segment: place.segment,
    };
    let reply = client.segment(&mut options, &request).expect("a segment");
    assert!(reply.length >= place.payload_offset + u64::from(place.length));
    let [descriptor] = <[OwnedFd; 1]>::try_from(options.received).expect("one descriptor");
    let flags = fcntl(&descriptor, FcntlArg::F_GETFD).expect("flags");
    assert!(FdFlag::from_bits_truncate(flags).contains(FdFlag::FD_CLOEXEC));
    let file = File::from(descriptor);
    let refused = file
        .write_at(b"x", place.payload_offset)
        .expect_err("read-only");
    assert_eq!(refused.raw_os_error(), Some(libc::EBADF));
    let mut record = vec![0; (place.payload_offset - place.record_offset) as usize];
    file.read_exact_at(&mut record, place.record_offset)
        .expect("a header");
    let header = RecordHeader::parse(&record).expect("a header");
    assert_eq!(header.id.0.as_slice(), id.as_ref());
    let mut payload = vec![0; place.length as usize];
    file.read_exact_at(&mut payload, place.payload_offset)
        .expect("a payload");
    header
        .tables(&record)
        .expect("tables")
        .check(0, &payload)
        .expect("checksums");
    assert!(file.as_raw_fd() > 2);
    payload
}

#[test]
fn chunks_go_in_both_ways_and_come_out_of_the_segment() {
    let daemon = Daemon::start();
    let client = daemon.client();
    for length in [1, 4096, 65_536, 65_537, 1 << 20, (1 << 20) + 1, 4 << 20] {
        let data = bytes(length, 1);
        let reply = put(&client, &data).expect("a put");
        assert_eq!(reply.id.as_ref(), chunk_id(&data).0);
        assert!(!reply.deduplicated);
        assert_eq!(read_from_segment(&client, &reply.id), data);
        let flushed = client
            .flush(
                &mut Options::default(),
                &v1::FlushRequest {
                    place: reply.place,
                    ..Default::default()
                },
            )
            .expect("a flush");
        assert!(flushed.durable_place >= reply.place && flushed.incarnation == reply.incarnation);
        let again = put(&client, &data).expect("a put");
        assert!(again.deduplicated && again.place <= flushed.durable_place);
        let read = v1::ReadRequest {
            id: reply.id,
            offset: length as u32 / 3,
            length: length as u32 / 2,
            ..v1::ReadRequest::default()
        };
        let got = client
            .read(&mut Options::default(), &read)
            .expect("a read")
            .data;
        assert_eq!(got.as_ref(), &data[length / 3..length / 3 + length / 2]);
    }
}

#[test]
fn shared_memory_must_be_sealed_and_spans_must_fit() {
    let daemon = Daemon::start();
    let client = daemon.client();
    let content = bytes(5 << 20, 2);
    let span = |offset, length| v1::PutRequest {
        source: Some(Source::Area(v1::AreaSpan { offset, length })),
        ..Default::default()
    };
    let ask = |request: &v1::PutRequest| client.put(&mut Options::default(), request);
    assert!(
        matches!(ask(&span(0, 1)), Err(Failure::Invalid(_))),
        "no area yet"
    );
    assert!(matches!(
        area(&client, &content, SealFlag::F_SEAL_GROW),
        Err(Failure::Invalid(_))
    ));
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    area(&client, &content, seals).expect("an area");
    for (offset, length) in [(0, 4 << 20), (12_345, 3_000_001), (5 * (1 << 20) - 7, 7)] {
        let reply = ask(&span(offset, length)).expect("a put");
        let data = &content[offset as usize..offset as usize + length as usize];
        assert_eq!(reply.id.as_ref(), chunk_id(data).0);
        assert_eq!(read_from_segment(&client, &reply.id), data);
    }
    for (offset, length) in [(0, 0), (0, (4 << 20) + 1), (5 << 20, 1), (u64::MAX, 2)] {
        assert!(
            matches!(ask(&span(offset, length)), Err(Failure::Invalid(_))),
            "{offset} {length}"
        );
    }
    // The area belongs to its connection.
    let other = daemon.client();
    let refused = other.put(&mut Options::default(), &span(0, 1));
    assert!(matches!(refused, Err(Failure::Invalid(_))));
}

#[test]
fn what_is_wrong_is_refused_with_its_code() {
    let daemon = Daemon::start();
    let client = daemon.client();
    let options = || Options::default();
    let mut lie = v1::PutRequest {
        source: Some(Source::Data(Bytes::from_static(b"bytes"))),
        claimed_id: Bytes::copy_from_slice(&chunk_id(b"other").0),
        ..Default::default()
    };
    assert_eq!(
        client.put(&mut options(), &lie),
        Err(Failure::Errno(libc::EBADMSG))
    );
    lie.claimed_id = Bytes::copy_from_slice(&chunk_id(b"bytes").0);
    let reply = client.put(&mut options(), &lie).expect("a put");
    lie.claimed_id = Bytes::from_static(b"short");
    assert!(matches!(
        client.put(&mut options(), &lie),
        Err(Failure::Invalid(_))
    ));

    let unknown = Bytes::copy_from_slice(&[9; 32]);
    let located = client.locate(
        &mut options(),
        &v1::LocateRequest {
            ids: vec![unknown.clone()],
        },
    );
    assert!(!located.expect("an answer").locations[0].found);
    let many = v1::LocateRequest {
        ids: vec![unknown.clone(); 2000],
    };
    assert!(matches!(
        client.locate(&mut options(), &many),
        Err(Failure::Invalid(_))
    ));
    let read = v1::ReadRequest {
        id: unknown,
        offset: 0,
        length: 1,
        ..v1::ReadRequest::default()
    };
    assert_eq!(
        client.read(&mut options(), &read),
        Err(Failure::Errno(libc::ENOENT))
    );
    let beyond = v1::ReadRequest {
        id: reply.id.clone(),
        offset: 3,
        length: 3,
        ..v1::ReadRequest::default()
    };
    assert!(matches!(
        client.read(&mut options(), &beyond),
        Err(Failure::Invalid(_))
    ));
    let place = u64::MAX;
    assert!(matches!(
        client.flush(
            &mut options(),
            &v1::FlushRequest {
                place,
                ..Default::default()
            }
        ),
        Err(Failure::Invalid(_))
    ));
    let gone = client.segment(&mut options(), &v1::SegmentRequest { segment: 99 });
    assert_eq!(gone, Err(Failure::Errno(libc::ESTALE)));
    let retired = client.retired(&mut options(), &v1::RetiredRequest { held: vec![1, 99] });
    assert_eq!(retired.expect("an answer").retired, vec![99]);

    let ended = client
        .advance_epoch(&mut options(), &v1::Empty {})
        .expect("an epoch");
    assert_eq!(
        (ended.swept, ended.incarnation),
        (reply.epoch, reply.incarnation)
    );
    let free = |swept, incarnation| {
        let request = v1::FreeRequest {
            swept,
            incarnation,
            ids: vec![reply.id.clone()],
        };
        client.free(&mut options(), &request)
    };
    assert_eq!(
        free(ended.swept, ended.incarnation + 1),
        Err(Failure::Errno(libc::ESTALE))
    );
    assert!(matches!(
        free(ended.swept + 1, ended.incarnation),
        Err(Failure::Invalid(_))
    ));
    let inventory = v1::InventoryRequest {
        stamp_at_most: ended.swept,
        max: 10,
        ..Default::default()
    };
    let listed = client
        .inventory(&mut options(), &inventory)
        .expect("an inventory");
    assert_eq!((listed.ids, listed.end), (vec![reply.id.clone()], true));
    let later = v1::InventoryRequest {
        stamp_above: ended.swept,
        stamp_at_most: u64::MAX,
        ..inventory
    };
    let listed = client
        .inventory(&mut options(), &later)
        .expect("an inventory");
    assert_eq!((listed.ids.len(), listed.end), (0, true));
    assert_eq!(
        free(ended.swept, ended.incarnation).expect("freed").freed,
        vec![reply.id.clone()]
    );
    let status = client
        .status(&mut options(), &v1::Empty {})
        .expect("a status");
    assert_eq!(
        (status.chunks, status.live_bytes, status.reasons.len()),
        (0, 0, 0)
    );
}
