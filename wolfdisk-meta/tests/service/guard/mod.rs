//! What members of other machines may do, asked of the service as if over their connections.

mod chunks;
mod every;
mod sessions;
mod squash;
mod subdirectory;
mod system;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use wolfdisk_common::member::{MemberKind, Principal, Restrictions, Who};
use wolfdisk_meta::service::Service;
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::{Call, Peer};
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::{self, MetaService};

use crate::daemon::{DEADLINE, Node};

/// Calls a method as somebody.
macro_rules! ask {
    ($world:expr, $who:expr, $method:ident, $request:expr) => {{
        let service = $world.service.clone();
        let (mut call, request) = ($who.call(), $request);
        $world.run(async move { MetaService::$method(&*service, &mut call, request).await })
    }};
}
use ask;

struct World {
    service: Arc<Service>,
    runtime: tokio::runtime::Runtime,
    node: Node,
}

/// Who asks, in a session of its own.
#[derive(Clone)]
struct Asker {
    principal: Option<Arc<Principal>>,
    session: u64,
    root: u64,
    sequence: Arc<std::sync::atomic::AtomicU64>,
}

impl Asker {
    fn call(&self) -> Call {
        let peer = Peer {
            pid: std::process::id() as i32,
            uid: 0,
            gid: 0,
        };
        match &self.principal {
            None => Call::framed(1, peer, Vec::new()),
            Some(principal) => Call::remote(2, principal.clone()),
        }
    }

    /// The same one, naming the session of another.
    fn naming(&self, other: &Asker) -> Asker {
        Asker {
            session: other.session,
            ..self.clone()
        }
    }

    fn request(&self, op: Op) -> v1::MutateRequest {
        let before = self
            .sequence
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        v1::MutateRequest {
            session: self.session,
            sequence: before + 1,
            acknowledged: before.saturating_sub(16),
            op: Some(op),
            ..Default::default()
        }
    }
}

fn principal(number: u64, kind: MemberKind, restrictions: Restrictions) -> Arc<Principal> {
    Arc::new(Principal {
        who: match kind.holds_cluster_key() {
            true => Who::Node,
            false => Who::Member(number),
        },
        kind,
        member: number,
        name: format!("m{number}"),
        public_key: [number as u8; 32],
        restrictions,
    })
}

fn read_only() -> Restrictions {
    Restrictions {
        read_only: true,
        ..Default::default()
    }
}

fn only(subdir: u64) -> Restrictions {
    Restrictions {
        subdir,
        ..Default::default()
    }
}

fn squashed() -> Restrictions {
    Restrictions {
        squash_root: true,
        ..Default::default()
    }
}

impl World {
    fn new() -> World {
        let node = Node::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        World {
            service: node.open(),
            runtime: runtime.expect("a runtime"),
            node,
        }
    }

    fn run<T>(&self, asked: impl Future<Output = T>) -> T {
        self.runtime.block_on(async {
            let answered = async {
                tokio::select! {
                    answer = asked => answer,
                    () = self.service.run_batches() => panic!("the log failed"),
                    () = self.service.run_timer() => panic!("nothing ends this"),
                }
            };
            let answered = tokio::time::timeout(DEADLINE, answered).await;
            answered.expect("answered in time")
        })
    }

    fn try_open(&self, principal: Option<Arc<Principal>>) -> Result<Asker, Failure> {
        let mut asker = Asker {
            principal,
            session: 0,
            root: 0,
            sequence: Arc::default(),
        };
        let request = v1::OpenSessionRequest {
            frontend: "fuse".into(),
            place: "/mnt".into(),
            pid: 77,
            ..Default::default()
        };
        let reply = ask!(self, asker, open_session, request)?;
        (asker.session, asker.root) = (reply.session, reply.root);
        Ok(asker)
    }

    fn local(&self) -> Asker {
        self.try_open(None).expect("a session")
    }

    fn client(&self, number: u64, restrictions: Restrictions) -> Asker {
        let principal = principal(number, MemberKind::Client, restrictions);
        self.try_open(Some(principal)).expect("a session")
    }

    fn send(&self, who: &Asker, request: v1::MutateRequest) -> v1::MutateReply {
        ask!(self, who, mutate, request).expect("an answer")
    }

    fn mutate(&self, who: &Asker, op: Op) -> v1::MutateReply {
        self.send(who, who.request(op))
    }

    fn errno(&self, who: &Asker, op: Op) -> i32 {
        self.mutate(who, op).errno as i32
    }

    /// Makes something; answers its inode.
    fn make(&self, who: &Asker, op: v1::Create) -> u64 {
        let reply = self.mutate(who, Op::Create(op));
        assert_eq!(reply.errno, 0);
        reply.attrs.first().expect("attributes").ino
    }

    fn attr(&self, who: &Asker, ino: u64) -> Result<v1::Attr, Failure> {
        let session = who.session;
        let reply = ask!(self, who, get_attr, v1::GetAttrRequest { session, ino })?;
        Ok(reply.attr.expect("attributes"))
    }

    fn lookup(&self, who: &Asker, parent: u64, name: &str) -> Result<v1::LookupReply, Failure> {
        let request = v1::LookupRequest {
            session: who.session,
            parent,
            name: text(name),
        };
        ask!(self, who, lookup, request)
    }

    fn map(&self, who: &Asker, ino: u64) -> Result<v1::MapReply, Failure> {
        let request = v1::MapRequest {
            session: who.session,
            ino,
            length: u64::MAX,
            max_pieces: 8,
            ..Default::default()
        };
        ask!(self, who, map, request)
    }

    fn open(&self, who: &Asker, ino: u64, write: bool) -> Result<v1::OpenReply, Failure> {
        let request = v1::OpenRequest {
            session: who.session,
            ino,
            write,
            with_map: true,
            number: 1,
        };
        ask!(self, who, open, request)
    }

    fn list_keys(&self, who: &Asker, root: u64) -> Result<Vec<Bytes>, Failure> {
        let request = v1::ListKeysRequest {
            session: who.session,
            root,
            max: 100,
            ..Default::default()
        };
        let reply = ask!(self, who, list_keys, request)?;
        Ok(reply.entries.into_iter().map(|entry| entry.key).collect())
    }

    /// Ends the session: nobody waits for it to let go of what it caches.
    fn close(&self, who: Asker) {
        let session = who.session;
        ask!(
            self,
            who,
            close_session,
            v1::CloseSessionRequest { session }
        )
        .expect("closed");
    }
}

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn create(parent: u64, name: &str, mode: u32, owner: u32) -> v1::Create {
    v1::Create {
        parent,
        name: text(name),
        mode,
        uid: owner,
        gid: owner,
        ..Default::default()
    }
}

fn file(parent: u64, name: &str, permissions: u32, owner: u32) -> v1::Create {
    create(parent, name, libc::S_IFREG | permissions, owner)
}

fn directory(parent: u64, name: &str, permissions: u32, owner: u32) -> v1::Create {
    create(parent, name, libc::S_IFDIR | permissions, owner)
}

fn link(ino: u64, parent: u64, name: &str) -> Op {
    let name = text(name);
    Op::Link(v1::Link { ino, parent, name })
}

fn unlink(parent: u64, name: &str) -> Op {
    Op::Unlink(v1::Unlink {
        parent,
        name: text(name),
        directory: false,
    })
}

fn rename(parent: u64, name: &str, new_parent: u64, new_name: &str) -> Op {
    Op::Rename(v1::Rename {
        parent,
        name: text(name),
        new_parent,
        new_name: text(new_name),
        ..Default::default()
    })
}

/// A volume with a part and what is beside it, all of one user.
struct Halves {
    world: World,
    inside: u64,
    file: u64,
    sub: u64,
    deep: u64,
    outside: u64,
    secret: u64,
}

const USER: u32 = 1000;

fn halves() -> Halves {
    let world = World::new();
    let local = world.local();
    let make = |op| world.make(&local, op);
    let inside = make(directory(1, "in", 0o755, USER));
    let file_in = make(file(inside, "file", 0o644, USER));
    let sub = make(directory(inside, "sub", 0o755, USER));
    let deep = make(file(sub, "deep", 0o644, USER));
    let outside = make(directory(1, "out", 0o755, USER));
    let secret = make(file(outside, "secret", 0o644, USER));
    for ino in [file_in, deep, secret] {
        let written = world.mutate(&local, crate::daemon::write(ino, 0, b"content"));
        assert_eq!(written.errno, 0);
    }
    world.close(local);
    Halves {
        world,
        inside,
        file: file_in,
        sub,
        deep,
        outside,
        secret,
    }
}
