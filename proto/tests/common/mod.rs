//! A toy chunk service on a Unix socket, answered over both bindings by one single-threaded reactor
//! on a thread of its own. Dropping it ends the thread and closes every connection.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio_stream::wrappers::ReceiverStream;
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::calls::Calls;
use wolfdisk_proto::framed::{HEADER_BYTES, Header, PREFACE};
use wolfdisk_proto::server::{Admission, Setup, serve};
use wolfdisk_proto::v1::{self, ChunkFramed, ChunkOverGrpc, ChunkService};

/// A read of this offset panics in the service.
pub const PANIC_AT: u32 = 0xdead;
/// A read of this offset is answered after [`Toy::SLOW`].
pub const SLOW_AT: u32 = 0x5104;

/// Answers with what it was asked.
pub struct Toy {
    pub puts: AtomicU64,
    pub closed: AtomicUsize,
    pub calls: Calls,
}

impl Default for Toy {
    fn default() -> Toy {
        Toy {
            puts: AtomicU64::new(0),
            closed: AtomicUsize::new(0),
            calls: Calls::new(v1::CHUNK_METHODS),
        }
    }
}

impl Toy {
    pub const SLOW: Duration = Duration::from_secs(2);
}

fn refused<T>() -> Result<T, Failure> {
    Err(Failure::Unsupported("not a toy's business".into()))
}

fn broken(error: std::io::Error) -> Failure {
    Failure::Errno(error.raw_os_error().unwrap_or(libc::EIO))
}

impl ChunkService for Toy {
    fn calls(&self) -> &Calls {
        &self.calls
    }

    async fn hello(&self, call: &mut Call, _: v1::Empty) -> Result<v1::ChunkHello, Failure> {
        let uid = call.peer.map_or(u32::MAX, |peer| peer.uid);
        Ok(v1::ChunkHello {
            node: uid,
            page_size: 4096,
            ..Default::default()
        })
    }

    async fn put(&self, _: &mut Call, request: v1::PutRequest) -> Result<v1::PutReply, Failure> {
        let place = self.puts.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(v1::PutReply {
            id: request.claimed_id,
            place,
            ..Default::default()
        })
    }

    async fn flush(&self, _: &mut Call, _: v1::FlushRequest) -> Result<v1::FlushReply, Failure> {
        Err(Failure::Errno(libc::ENOSPC))
    }

    /// Writes the length's number into the file that it was given.
    async fn attach_area(
        &self,
        call: &mut Call,
        request: v1::AttachAreaRequest,
    ) -> Result<v1::Empty, Failure> {
        for fd in call.received.drain(..) {
            let mut file = File::from(fd);
            file.write_all(request.length.to_string().as_bytes())
                .map_err(broken)?;
        }
        Ok(v1::Empty {})
    }

    async fn locate(&self, _: &mut Call, _: v1::LocateRequest) -> Result<v1::LocateReply, Failure> {
        refused()
    }

    /// Hands over as many descriptors as the segment's number says, each with its number inside.
    async fn segment(
        &self,
        call: &mut Call,
        request: v1::SegmentRequest,
    ) -> Result<v1::SegmentReply, Failure> {
        for number in 0..request.segment {
            call.attach(holding(&number.to_string()))?;
        }
        Ok(v1::SegmentReply {
            segment: request.segment,
            length: 1,
        })
    }

    async fn retired(
        &self,
        _: &mut Call,
        _: v1::RetiredRequest,
    ) -> Result<v1::RetiredReply, Failure> {
        refused()
    }

    /// Answers with as many bytes as were asked for.
    async fn read(&self, _: &mut Call, request: v1::ReadRequest) -> Result<v1::ReadReply, Failure> {
        match request.offset {
            PANIC_AT => panic!("as the test asked"),
            SLOW_AT => tokio::time::sleep(Toy::SLOW).await,
            _ => {}
        }
        Ok(v1::ReadReply {
            data: vec![7; request.length as usize].into(),
            ..v1::ReadReply::default()
        })
    }

    async fn advance_epoch(
        &self,
        _: &mut Call,
        _: v1::Empty,
    ) -> Result<v1::AdvanceEpochReply, Failure> {
        refused()
    }

    async fn inventory(
        &self,
        _: &mut Call,
        _: v1::InventoryRequest,
    ) -> Result<v1::InventoryReply, Failure> {
        refused()
    }

    async fn free(&self, _: &mut Call, _: v1::FreeRequest) -> Result<v1::FreeReply, Failure> {
        refused()
    }

    async fn scrub(&self, _: &mut Call, _: v1::ScrubRequest) -> Result<v1::ScrubReply, Failure> {
        refused()
    }

    async fn damaged(
        &self,
        _: &mut Call,
        _: v1::DamagedRequest,
    ) -> Result<v1::DamagedReply, Failure> {
        refused()
    }

    async fn admit(&self, _: &mut Call, _: v1::AdmitRequest) -> Result<v1::Empty, Failure> {
        refused()
    }

    async fn peers(&self, _: &mut Call, _: v1::PeersRequest) -> Result<v1::Empty, Failure> {
        refused()
    }

    async fn status(&self, _: &mut Call, _: v1::Empty) -> Result<v1::ChunkStatus, Failure> {
        Err(Failure::Unavailable("still starting".into()))
    }

    async fn compact(&self, _: &mut Call, _: v1::Empty) -> Result<v1::CompactReply, Failure> {
        refused()
    }
}

/// A descriptor of an unnamed file that holds `text`.
pub fn holding(text: &str) -> OwnedFd {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file.into()
}

/// What the file behind a descriptor holds, from its beginning.
pub fn held(fd: OwnedFd) -> String {
    let mut file = File::from(fd);
    let mut text = String::new();
    std::io::Seek::rewind(&mut file).expect("a seekable file");
    file.read_to_string(&mut text).expect("readable");
    text
}

/// A running server.
pub struct Server {
    pub toy: Arc<Toy>,
    pub path: PathBuf,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    pub fn start(path: &Path) -> Server {
        let own = nix::unistd::geteuid().as_raw();
        Server::start_for(
            path,
            Admission {
                uids: vec![own],
                gid: None,
            },
        )
    }

    pub fn start_for(path: &Path, admission: Admission) -> Server {
        let _ = std::fs::remove_file(path);
        let toy = Arc::new(Toy::default());
        let listener = wolfdisk_common::socket::listen(path).expect("a listener");
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let served = toy.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    () = answer(listener, served, admission) => {}
                    _ = stopped => {}
                }
            });
        });
        Server {
            toy,
            path: path.to_owned(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// A raw connection with the prefaces exchanged.
    pub fn raw(&self) -> UnixStream {
        let mut stream = UnixStream::connect(&self.path).expect("a connection");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout");
        stream.write_all(&PREFACE).expect("written");
        stream.write_all(&1_u32.to_le_bytes()).expect("written");
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).expect("a preface");
        assert_eq!(answer.first_chunk(), Some(&PREFACE));
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the reactor's thread does not panic");
        }
    }
}

async fn answer(listener: std::os::unix::net::UnixListener, toy: Arc<Toy>, admission: Admission) {
    listener.set_nonblocking(true).expect("a listener");
    let listener = tokio::net::UnixListener::from_std(listener).expect("a listener");
    let (grpc, incoming) = tokio::sync::mpsc::channel(16);
    let counted = toy.clone();
    let on_close = Arc::new(move |_| {
        counted.closed.fetch_add(1, Ordering::SeqCst);
    });
    let service = v1::chunk_server::ChunkServer::new(ChunkOverGrpc(toy.clone()));
    let over_grpc = tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(ReceiverStream::new(incoming));
    let framed = serve(
        listener,
        ChunkFramed(toy),
        Setup {
            admission,
            grpc,
            on_close,
        },
    );
    let (framed, over_grpc) = tokio::join!(framed, over_grpc);
    panic!("the server ended: {framed:?} {over_grpc:?}");
}

/// A whole request frame.
pub fn frame(kind: u8, number: u8, fds: u8, body: &[u8]) -> Vec<u8> {
    let header = Header {
        body: body.len(),
        kind,
        number,
        fds,
        argument: 1_000,
    };
    let mut frame = header.to_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// The next reply frame, or none when the server has closed the connection.
pub fn reply(stream: &mut UnixStream) -> Option<(Header, Vec<u8>)> {
    let mut head = [0; HEADER_BYTES];
    if stream.read_exact(&mut head).is_err() {
        return None;
    }
    let header = Header::parse(&head).expect("a server's header is right");
    let mut body = vec![0; header.body];
    stream.read_exact(&mut body).expect("a whole body");
    Some((header, body))
}

/// Waits for the server to close the connection.
pub fn assert_closed(mut stream: &UnixStream) {
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
}

/// Waits until `condition` holds, at the longest for ten seconds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::yield_now();
    }
}
