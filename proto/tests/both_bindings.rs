//! One socket answers frames and gRPC with the same service: replies, failures, descriptors, large
//! messages, and who may connect.

mod common;

use std::time::Duration;

use common::{Server, held, holding};
use wolfdisk_common::limits;
use wolfdisk_proto::Failure;
use wolfdisk_proto::blocking::Pool;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::server::Admission;
use wolfdisk_proto::v1::chunk_client::ChunkClient as GrpcClient;
use wolfdisk_proto::v1::{self, ChunkClient};

fn started() -> (tempfile::TempDir, Server, ChunkClient<Pool>) {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(&directory.path().join("chunkd.sock"));
    let client = ChunkClient(Pool::new(server.path.clone()));
    (directory, server, client)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(work)
}

async fn grpc(server: &Server) -> GrpcClient<tonic::transport::Channel> {
    let address = format!("unix://{}", server.path.display());
    let endpoint = tonic::transport::Endpoint::from_shared(address).expect("an address");
    GrpcClient::new(endpoint.connect().await.expect("a connection"))
}

#[test]
fn both_bindings_answer_alike() {
    let (_directory, server, client) = started();
    let framed = client
        .hello(&mut Options::default(), &v1::Empty {})
        .expect("an answer");
    assert_eq!(
        framed.node,
        nix::unistd::geteuid().as_raw(),
        "the peer's user is known"
    );
    block_on(async {
        let mut other = grpc(&server).await;
        let reply = other
            .hello(v1::Empty {})
            .await
            .expect("an answer")
            .into_inner();
        assert_eq!(reply, framed);
        let request = v1::PutRequest {
            claimed_id: vec![9; 32].into(),
            ..Default::default()
        };
        let reply = other
            .put(request.clone())
            .await
            .expect("an answer")
            .into_inner();
        assert_eq!((reply.place, &reply.id), (1, &request.claimed_id));
        let reply = client
            .put(&mut Options::default(), &request)
            .expect("an answer");
        assert_eq!((reply.place, &reply.id), (2, &request.claimed_id));
    });
}

#[test]
fn both_bindings_fail_alike() {
    let (_directory, server, client) = started();
    let no_retry = || Options {
        retry: false,
        ..Options::default()
    };
    let full = client.flush(&mut no_retry(), &v1::FlushRequest::default());
    assert_eq!(full, Err(Failure::Errno(libc::ENOSPC)));
    let starting = client.status(&mut no_retry(), &v1::Empty {});
    assert_eq!(starting, Err(Failure::Unavailable("still starting".into())));
    let other = client.locate(&mut no_retry(), &v1::LocateRequest::default());
    assert!(matches!(other, Err(Failure::Unsupported(_))), "{other:?}");
    block_on(async {
        let mut client = grpc(&server).await;
        let full = client
            .flush(v1::FlushRequest::default())
            .await
            .map_err(Failure::from);
        assert_eq!(full.err(), Some(Failure::Errno(libc::ENOSPC)));
        // A call that needs a descriptor cannot be answered here.
        let segment = client
            .segment(v1::SegmentRequest { segment: 1 })
            .await
            .map_err(Failure::from);
        assert!(
            matches!(segment, Err(Failure::Unsupported(_))),
            "{segment:?}"
        );
    });
}

#[test]
fn descriptors_travel_both_ways() {
    let (_directory, _server, client) = started();
    for count in [1, 2, limits::FRAME_FDS_MAX] {
        let mut options = Options::default();
        let reply = client
            .segment(
                &mut options,
                &v1::SegmentRequest {
                    segment: count as u32,
                },
            )
            .expect("an answer");
        assert_eq!(reply.segment as usize, count);
        let texts: Vec<String> = options.received.into_iter().map(held).collect();
        let numbers: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        assert_eq!(texts, numbers);
    }
    let given = holding("");
    let kept = given.try_clone().expect("a second descriptor");
    let mut options = Options {
        send: vec![given],
        ..Options::default()
    };
    client
        .attach_area(&mut options, &v1::AttachAreaRequest { length: 4711 })
        .expect("an answer");
    assert_eq!(held(kept), "4711");
    // The next answer of the same connection carries none.
    let mut options = Options::default();
    client
        .hello(&mut options, &v1::Empty {})
        .expect("an answer");
    assert!(options.received.is_empty());
}

#[test]
fn received_descriptors_do_not_survive_an_exec() {
    use std::os::fd::AsRawFd;
    let (_directory, _server, client) = started();
    let mut options = Options::default();
    client
        .segment(&mut options, &v1::SegmentRequest { segment: 1 })
        .expect("an answer");
    let fd = options.received.first().expect("a descriptor").as_raw_fd();
    let flags = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).expect("fdinfo");
    let line = flags
        .lines()
        .find(|line| line.starts_with("flags:"))
        .expect("flags");
    let bits = i32::from_str_radix(line.trim_start_matches("flags:").trim(), 8).expect("octal");
    assert_ne!(bits & libc::O_CLOEXEC, 0, "{line}");
}

#[test]
fn a_whole_chunk_fits_in_a_frame_in_both_directions() {
    let (_directory, _server, client) = started();
    for length in [0, 1, 16_370, 16_384, 100_000, limits::CHUNK_SIZE_MAX_BYTES] {
        let request = v1::ReadRequest {
            length: length as u32,
            ..Default::default()
        };
        let reply = client
            .read(&mut Options::default(), &request)
            .expect("an answer");
        assert!(reply.data.len() == length && reply.data.iter().all(|&byte| byte == 7));
        let source = v1::put_request::Source::Data(vec![1; length].into());
        let request = v1::PutRequest {
            source: Some(source),
            ..Default::default()
        };
        client
            .put(&mut Options::default(), &request)
            .expect("an answer");
    }
}

#[test]
fn what_fits_in_no_frame_is_refused_at_once_on_the_side_that_made_it() {
    let (_directory, server, client) = started();
    let options = || Options::within(Duration::from_secs(5));
    let source = v1::put_request::Source::Data(vec![1; limits::FRAME_MAX_BYTES].into());
    let request = v1::PutRequest {
        source: Some(source),
        ..Default::default()
    };
    let refused = client.put(&mut options(), &request);
    assert!(matches!(refused, Err(Failure::Invalid(_))), "{refused:?}");
    assert_eq!(server.toy.puts.load(std::sync::atomic::Ordering::SeqCst), 0);

    let request = v1::ReadRequest {
        length: limits::FRAME_MAX_BYTES as u32,
        ..Default::default()
    };
    let refused = client.read(&mut options(), &request);
    assert!(matches!(refused, Err(Failure::Invalid(_))), "{refused:?}");

    let request = v1::SegmentRequest {
        segment: limits::FRAME_FDS_MAX as u32 + 1,
    };
    let refused = client.segment(&mut options(), &request);
    assert!(matches!(refused, Err(Failure::Invalid(_))), "{refused:?}");

    let send = (0..=limits::FRAME_FDS_MAX).map(|_| holding("")).collect();
    let mut many = Options { send, ..options() };
    let refused = client.attach_area(&mut many, &v1::AttachAreaRequest { length: 1 });
    assert!(matches!(refused, Err(Failure::Invalid(_))), "{refused:?}");

    client
        .hello(&mut options(), &v1::Empty {})
        .expect("the server goes on");
}

#[test]
fn a_process_of_another_user_is_turned_away() {
    let directory = tempfile::tempdir().expect("a directory");
    let nobody = Admission {
        uids: vec![65_533],
        gid: None,
    };
    let server = Server::start_for(&directory.path().join("chunkd.sock"), nobody);
    let client = ChunkClient(Pool::new(server.path.clone()));
    let mut options = Options {
        retry: false,
        ..Options::default()
    };
    let refused = client.hello(&mut options, &v1::Empty {});
    assert!(
        matches!(refused, Err(Failure::Disconnected(_))),
        "{refused:?}"
    );
    drop(server);

    let group = Admission {
        uids: vec![],
        gid: Some(nix::unistd::getegid().as_raw()),
    };
    let server = Server::start_for(&directory.path().join("chunkd.sock"), group);
    client
        .hello(&mut Options::default(), &v1::Empty {})
        .expect("the group is admitted");
    drop(server);
}
