//! Both daemons behind a `Caller`: a few files in memory, and hooks for what goes wrong.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};
use prost::Message;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::paths::Paths;
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::{Caller, Options};
use wolfdisk_proto::framed;
use wolfdisk_proto::v1::invalidation::Kind;
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::write_piece::Source;
use wolfdisk_proto::v1::*;

use super::fake_far::{self, Far};
use super::fake_objects::{self, Objects};
use crate::transport::{Line, Transport};
use crate::types::OpenFlags;
use crate::{CacheListener, HandleId, Reach, Volume, VolumeConfig};

pub const DEADLINE: Duration = Duration::from_secs(10);
pub const CHUNK: usize = 64 * 1024;
/// Longer files are refused.
const FILE_MAX: usize = 16 << 20;
const META: u8 = 1;

/// A file of the fake index.
#[derive(Clone, Default)]
pub struct File {
    pub content: Vec<u8>,
    pub changed: u64,
}

/// What the daemons hold, and what they are told to do.
pub struct World {
    pub session: u64,
    pub version: u64,
    pub lease_ms: u32,
    pub rights: u32,
    pub files: HashMap<u64, File>,
    pub chunks: HashMap<Bytes, Bytes>,
    pub puts: Vec<Bytes>,
    /// So many mutations that name chunks are refused.
    pub retry_puts: usize,
    /// So many flushes are answered by a store that does not have what was put, in a life of the same number.
    pub other_stores: usize,
    /// So many lock requests are not answered in time.
    pub lost_locks: usize,
    /// Bytes that were appended, wherever the end was.
    pub appended: usize,
    /// Owners whose locks were released.
    pub unlocked: Vec<u64>,
    /// What a write is answered with instead.
    pub refusal: Option<Result<i32, Failure>>,
    /// Answers about this inode are worked out, but kept back.
    pub held: Option<u64>,
    /// Maps of this inode are worked out, but kept back.
    pub held_map: Option<u64>,
    /// Such answers that are waiting.
    pub holding: usize,
    /// Before a write is answered, all up to this number must be dropped.
    pub barrier: u64,
    pub notices: Vec<Invalidation>,
    pub rolled_back: bool,
    pub confirmed: u64,
    pub told: u64,
    pub asked: HashMap<u8, usize>,
    /// Numbers of opens, in order.
    pub opens: Vec<u64>,
    /// What was told to be closed, with the last open before.
    pub released: Vec<(u64, u64)>,
    /// The answer to a feed that tells of what is closed is kept back.
    pub held_feed: bool,
    pub objects: Objects,
    /// The daemons are on another machine.
    pub far: Option<Far>,
}

/// See the module.
#[derive(Clone)]
pub struct Fake {
    world: Arc<(Mutex<World>, Condvar)>,
}

impl Fake {
    pub fn new() -> Fake {
        let world = World {
            session: 1,
            version: 10,
            lease_ms: 60_000,
            rights: (Right::Names as u32)
                | (Right::Attr as u32)
                | (Right::Data as u32)
                | (Right::Write as u32),
            files: HashMap::new(),
            chunks: HashMap::new(),
            puts: Vec::new(),
            retry_puts: 0,
            other_stores: 0,
            lost_locks: 0,
            appended: 0,
            unlocked: Vec::new(),
            refusal: None,
            held: None,
            held_map: None,
            holding: 0,
            barrier: 0,
            notices: Vec::new(),
            rolled_back: false,
            confirmed: 0,
            told: 0,
            asked: HashMap::new(),
            opens: Vec::new(),
            released: Vec::new(),
            held_feed: false,
            objects: Objects::default(),
            far: None,
        };
        Fake {
            world: Arc::new((Mutex::new(world), Condvar::new())),
        }
    }

    pub fn volume(&self) -> Arc<Volume> {
        self.volume_that(|_| ())
    }

    pub fn volume_that(&self, configure: impl FnOnce(&mut VolumeConfig)) -> Arc<Volume> {
        let mut config =
            VolumeConfig::new(Reach::local(&Paths::new("unused".into())), "fuse", "test");
        configure(&mut config);
        Volume::connect_over(Arc::new(self.clone()), &config).expect("connected")
    }

    /// Changes the world.
    pub fn with<R>(&self, change: impl FnOnce(&mut World) -> R) -> R {
        let result = change(&mut self.world.0.lock());
        self.world.1.notify_all();
        result
    }

    /// Waits until the world is so.
    pub fn wait(&self, what: &str, is_so: impl Fn(&World) -> bool) {
        let mut world = self.world.0.lock();
        let until = Instant::now() + DEADLINE;
        while !is_so(&world) {
            let late = self.world.1.wait_until(&mut world, until).timed_out();
            assert!(!late, "not in time: {what}");
        }
    }

    /// Somebody else makes a change; gives its version.
    pub fn change(&self, ino: u64, content: &[u8]) -> u64 {
        self.with(|world| {
            world.version += 1;
            let file = world.files.entry(ino).or_default();
            file.content = content.to_vec();
            file.changed = world.version;
            world.version
        })
    }

    /// Sends an invalidation.
    pub fn notify(&self, number: u64, version: u64, kind: Kind, ino: u64) {
        self.send(Invalidation {
            number,
            version,
            kind: kind.into(),
            ino,
            ..Invalidation::default()
        });
    }

    /// Sends an invalidation that says anything.
    pub fn send(&self, invalidation: Invalidation) {
        self.with(|world| world.notices.push(invalidation));
    }

    pub fn asked(&self, method: u8) -> usize {
        self.with(|world| world.asked.get(&method).copied().unwrap_or(0))
    }

    fn meta_call(&self, method: u8, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut world = self.world.0.lock();
        *world.asked.entry(method).or_default() += 1;
        self.world.1.notify_all();
        Ok(match method {
            1 => framed::encode(&OpenSessionReply {
                session: world.session,
                version: world.version,
                lease_ms: world.lease_ms,
                heartbeat_ms: 500,
                chunk_size: CHUNK as u32,
                volume_id: Bytes::new(),
                root: 1,
                ..OpenSessionReply::default()
            }),
            2 => framed::encode(&Empty {}),
            3 => framed::encode(&self.feed(world, &parse(body))?),
            4 => {
                let request: LookupRequest = parse(body);
                live(&world, request.session)?;
                framed::encode(&LookupReply {
                    version: world.version,
                    parent_rights: world.rights,
                    ..LookupReply::default()
                })
            }
            5 => {
                let request: GetAttrRequest = parse(body);
                live(&world, request.session)?;
                let reply = GetAttrReply {
                    version: world.version,
                    attr: Some(attr(&world, request.ino)),
                    rights: world.rights,
                };
                self.keep_back(world, request.ino);
                framed::encode(&reply)
            }
            6 => {
                let request: OpenRequest = parse(body);
                live(&world, request.session)?;
                world.opens.push(request.number);
                framed::encode(&OpenReply {
                    version: world.version,
                    attr: Some(attr(&world, request.ino)),
                    rights: world.rights,
                    map: None,
                })
            }
            7 => {
                let request: MapRequest = parse(body);
                live(&world, request.session)?;
                let reply = map(&mut world, &request);
                self.wait_while(world, |world| world.held_map == Some(request.ino));
                framed::encode(&reply)
            }
            18 => {
                let request: LookupObjectRequest = parse(body);
                live(&world, request.session)?;
                let reply = fake_objects::lookup(&mut world, &request);
                self.wait_while(world, |world| world.objects.held);
                framed::encode(&reply)
            }
            19 => framed::encode(&world.objects.page),
            13 => framed::encode(&self.mutate(world, parse(body))?),
            14 => framed::encode(&SyncReply {
                durable: parse::<SyncRequest>(body).version,
            }),
            other => return Err(Failure::unknown_method("fake", other)),
        })
    }

    fn feed(
        &self,
        mut world: MutexGuard<'_, World>,
        request: &FeedRequest,
    ) -> Result<FeedReply, Failure> {
        live(&world, request.session)?;
        world.confirmed = request.confirmed;
        world.told = request.told;
        let closed = request.released.iter().zip(&request.released_opens);
        world
            .released
            .extend(closed.map(|(ino, opens)| (*ino, *opens)));
        self.world.1.notify_all();
        let until = Instant::now() + Duration::from_millis(request.wait_ms.into());
        while world.notices.is_empty() && !world.rolled_back && world.session == request.session {
            if self.world.1.wait_until(&mut world, until).timed_out() {
                break;
            }
        }
        while world.held_feed && !request.released.is_empty() {
            self.world.1.wait(&mut world);
        }
        live(&world, request.session)?;
        Ok(FeedReply {
            version: world.version,
            lease_ms: world.lease_ms,
            invalidations: std::mem::take(&mut world.notices),
            rolled_back: std::mem::take(&mut world.rolled_back),
            ..FeedReply::default()
        })
    }

    fn mutate(
        &self,
        mut world: MutexGuard<'_, World>,
        request: MutateRequest,
    ) -> Result<MutateReply, Failure> {
        live(&world, request.session)?;
        let mut reply = MutateReply::default();
        let ino = match request.op.expect("an operation") {
            Op::Write(write) => {
                let chunks = |piece: &WritePiece| matches!(piece.source, Some(Source::Chunk(_)));
                if world.retry_puts > 0 && write.pieces.iter().any(chunks) {
                    world.retry_puts -= 1;
                    reply.retry_put = true;
                    return Ok(reply);
                }
                match world.refusal.clone() {
                    Some(Ok(errno)) => {
                        reply.errno = errno as u32;
                        return Ok(reply);
                    }
                    Some(Err(failure)) => return Err(failure),
                    None => {}
                }
                world.version += 1;
                for piece in write.pieces {
                    let data = match piece.source.expect("a source") {
                        Source::Data(data) => data,
                        Source::Chunk(chunk) => {
                            fake_far::named(&mut world, &chunk);
                            world.chunks[&chunk.id].clone()
                        }
                    };
                    let changed = world.version;
                    let file = world.files.entry(write.ino).or_default();
                    let end = (piece.offset as usize).saturating_add(data.len());
                    if end > FILE_MAX {
                        reply.errno = libc::EFBIG as u32;
                        return Ok(reply);
                    }
                    file.content.resize(file.content.len().max(end), 0);
                    file.content[piece.offset as usize..end].copy_from_slice(&data);
                    file.changed = changed;
                }
                write.ino
            }
            Op::Setattr(change) => {
                world.version += 1;
                let changed = world.version;
                let file = world.files.entry(change.ino).or_default();
                if let Some(size) = change.size {
                    file.content.resize(FILE_MAX.min(size as usize), 0);
                }
                file.changed = changed;
                change.ino
            }
            Op::Stage(_) => {
                world.version += 1;
                let (ino, changed) = (1000 + world.version, world.version);
                world.files.entry(ino).or_default().changed = changed;
                ino
            }
            Op::Publish(publish) => return Ok(fake_objects::publish(&mut world, publish)),
            Op::Append(append) => {
                world.version += 1;
                let changed = world.version;
                let file = world.files.entry(append.ino).or_default();
                reply.offset = file.content.len() as u64;
                let appended = append.data.len();
                file.content.extend_from_slice(&append.data);
                file.changed = changed;
                world.appended += appended;
                append.ino
            }
            Op::Lock(_) if world.lost_locks > 0 => {
                world.lost_locks -= 1;
                return Err(Failure::Deadline("played".into()));
            }
            Op::Lock(lock) => {
                if lock.r#type() == set_lock::Type::Unlock {
                    world.unlocked.push(lock.owner);
                }
                lock.ino
            }
            other => panic!("not played: {other:?}"),
        };
        reply.version = world.version;
        reply.rights = world.rights;
        reply.attrs.push(attr(&world, ino));
        self.world.1.notify_all();
        while world.told < world.barrier && world.session == request.session {
            self.world.1.wait(&mut world);
        }
        self.keep_back(world, ino);
        Ok(reply)
    }

    fn keep_back(&self, world: MutexGuard<'_, World>, ino: u64) {
        self.wait_while(world, |world| world.held == Some(ino));
    }

    fn wait_while(&self, mut world: MutexGuard<'_, World>, held: impl Fn(&World) -> bool) {
        world.holding += 1;
        self.world.1.notify_all();
        while held(&world) {
            self.world.1.wait(&mut world);
        }
        world.holding -= 1;
    }

    fn chunk_call(&self, method: u8, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut world = self.world.0.lock();
        self.world.1.notify_all();
        Ok(match method {
            2 => {
                let request: PutRequest = parse(body);
                let Some(put_request::Source::Data(data)) = request.source else {
                    return Err(Failure::Unsupported("areas".into()));
                };
                let mut id = [0; 32];
                id[..8].copy_from_slice(&(world.puts.len() as u64).to_le_bytes());
                let far = fake_far::put(&world, &data);
                let id = far
                    .as_ref()
                    .map_or_else(|| Bytes::copy_from_slice(&id), |far| far.id.clone());
                world.puts.push(data.clone());
                world.chunks.insert(id.clone(), data);
                let (place, incarnation, epoch) = (world.puts.len() as u64, 1, 1);
                framed::encode(&PutReply {
                    id,
                    place,
                    incarnation,
                    epoch,
                    deduplicated: false,
                    node: 1,
                    ..far.unwrap_or_default()
                })
            }
            3 => {
                let is_other = world.other_stores > 0;
                world.other_stores = world.other_stores.saturating_sub(1);
                framed::encode(&FlushReply {
                    durable_place: u64::MAX,
                    incarnation: 1,
                    node: if is_other { 2 } else { 1 },
                })
            }
            8 if world.far.is_some() => framed::encode(&fake_far::read(&mut world, parse(body))?),
            other => return Err(Failure::Unsupported(format!("method {other}"))),
        })
    }
}

fn parse<M: Message + Default>(body: &[u8]) -> M {
    M::decode(&body[framed::HEADER_BYTES..]).expect("a message")
}

fn live(world: &World, session: u64) -> Result<(), Failure> {
    if session == world.session {
        Ok(())
    } else {
        Err(Failure::StaleSession)
    }
}

pub(super) fn attr(world: &World, ino: u64) -> Attr {
    let file = world.files.get(&ino).cloned().unwrap_or_default();
    Attr {
        ino,
        mode: libc::S_IFREG | 0o644,
        nlink: 1,
        size: file.content.len() as u64,
        content_version: file.changed,
        attr_version: file.changed,
        ..Attr::default()
    }
}

pub(super) fn map(world: &mut World, request: &MapRequest) -> MapReply {
    if world.far.is_some() {
        return fake_far::map(world, request);
    }
    let file = world.files.get(&request.ino).cloned().unwrap_or_default();
    let from = (request.offset as usize).min(file.content.len());
    let data = Bytes::copy_from_slice(&file.content[from..]);
    let piece = Piece {
        offset: request.offset,
        length: data.len() as u64,
        source: Some(piece::Source::Data(data.clone())),
    };
    MapReply {
        version: world.version,
        offset: request.offset,
        covered_to: u64::MAX,
        pieces: (!data.is_empty()).then_some(piece).into_iter().collect(),
        size: file.content.len() as u64,
        content_version: file.changed,
        rights: world.rights,
    }
}

impl Caller for Fake {
    fn call(
        &self,
        _options: &mut Options,
        service: u8,
        method: u8,
        body: &[u8],
    ) -> Result<Bytes, Failure> {
        let frame = match service {
            META => self.meta_call(method, body)?,
            _ => self.chunk_call(method, body)?,
        };
        Ok(Bytes::from(frame).slice(framed::HEADER_BYTES..))
    }
}

impl Transport for Fake {
    fn meta(&self) -> Line {
        Line::new(Arc::new(self.clone()))
    }

    fn chunk(&self) -> Line {
        Line::new(Arc::new(self.clone()))
    }

    fn chunk_connection(&self) -> Result<Line, Failure> {
        Ok(self.chunk())
    }

    fn is_remote(&self) -> bool {
        self.with(|world| world.far.is_some())
    }
}

/// Opens a file for reading and writing.
pub fn open(volume: &Volume, ino: u64) -> HandleId {
    let flags = OpenFlags {
        read: true,
        write: true,
        ..OpenFlags::default()
    };
    volume.open(Ino(ino), flags).expect("open").handle
}

pub fn content(volume: &Volume, handle: HandleId) -> Vec<u8> {
    let data = volume.read(handle, 0, 1 << 20).expect("read");
    let mut bytes = Vec::new();
    data.for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// A kernel that can be stopped.
#[derive(Default)]
pub struct Kernel {
    state: Mutex<(Vec<u64>, bool)>,
    changed: Condvar,
}

impl Kernel {
    pub fn stick(&self, stuck: bool) {
        self.state.lock().1 = stuck;
        self.changed.notify_all();
    }

    /// How often it was told of `ino`.
    pub fn told(&self, ino: u64) -> usize {
        let state = self.state.lock();
        state.0.iter().filter(|told| **told == ino).count()
    }

    /// Waits until it was told of `ino`, be it stuck or not.
    pub fn wait_told(&self, ino: u64) {
        let mut state = self.state.lock();
        let waits = |state: &mut (Vec<u64>, bool)| !state.0.contains(&ino);
        let late = self.changed.wait_while_for(&mut state, waits, DEADLINE);
        assert!(!late.timed_out(), "the kernel was not told");
    }
}

impl CacheListener for Kernel {
    fn invalidate_entry(&self, _parent: Ino, _name: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn overtake(&self) {}

    fn invalidate_inode(&self, ino: Ino, _data: bool) -> std::io::Result<()> {
        let mut state = self.state.lock();
        state.0.push(ino.0);
        self.changed.notify_all();
        self.changed
            .wait_while_for(&mut state, |state| state.1, DEADLINE);
        Ok(())
    }
}
