//! Answers that no daemon gives: each call ends, with a value or an error, and no thread panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use wolfdisk_common::ids::Ino;
use wolfdisk_common::object_key::ObjectKey;
use wolfdisk_common::paths::Paths;
use wolfdisk_proto::call::{Caller, Options};
use wolfdisk_proto::v1::*;
use wolfdisk_proto::{Failure, framed};

use super::fake::{CHUNK, Fake};
use crate::transport::{Line, Transport};
use crate::types::{OpenFlags, SetAttr};
use crate::{Content, Expected, HandleId, NewObject, Reach, Volume, VolumeConfig};

const FILE: u64 = 5;
const ROUNDS: usize = 2000;
const STEPS: usize = 20;
/// One number of so many is another one.
const SPOILED: u32 = 12;
/// Numbers at which arithmetic goes wrong.
const NUMBERS: [u64; 10] = [
    0,
    1,
    4095,
    4096,
    u32::MAX as u64 - 1,
    u32::MAX as u64,
    1 << 32,
    i64::MAX as u64,
    u64::MAX - 4095,
    u64::MAX,
];

/// Both daemons, whose answers are changed on the way.
#[derive(Clone)]
struct Hostile {
    fake: Fake,
    random: Arc<Mutex<StdRng>>,
}

/// Changes numbers of a message.
struct Spoiler<'a>(&'a mut StdRng);

impl Spoiler<'_> {
    fn hits(&mut self) -> bool {
        self.0.random_ratio(1, SPOILED)
    }

    fn number(&mut self) -> u64 {
        let near = self.0.random_range(0..3_u64);
        NUMBERS[self.0.random_range(0..NUMBERS.len())].wrapping_add(near)
    }

    fn spoil<const N: usize>(&mut self, numbers: [&mut u64; N]) {
        for number in numbers {
            if self.hits() {
                *number = self.number();
            }
        }
    }

    fn attr(&mut self, attr: &mut Option<Attr>) {
        let Some(attr) = attr else { return };
        self.spoil([
            &mut attr.ino,
            &mut attr.size,
            &mut attr.allocated,
            &mut attr.content_version,
            &mut attr.attr_version,
            &mut attr.parent,
        ]);
        if self.hits() {
            attr.mtime_ns = self.number() as u32;
            attr.mtime_s = self.number() as i64;
        }
        if self.hits() {
            attr.mode = self.number() as u32;
        }
    }

    fn object(&mut self, object: &mut Option<Object>) {
        if let Some(object) = object {
            self.attr(&mut object.attr);
            self.spoil([&mut object.s3_version]);
        }
        if self.hits() {
            *object = None;
        }
    }

    fn map(&mut self, map: &mut MapReply) {
        if self.hits() {
            map.pieces.clear();
            let mut at = map.offset;
            for _ in 0..self.0.random_range(0..4) {
                let piece = self.piece(at);
                at = at.wrapping_add(piece.length);
                map.pieces.push(piece);
            }
            map.covered_to = at;
        }
        for piece in &mut map.pieces {
            self.spoil([&mut piece.offset, &mut piece.length]);
        }
        self.spoil([
            &mut map.version,
            &mut map.offset,
            &mut map.covered_to,
            &mut map.size,
            &mut map.content_version,
        ]);
    }

    fn piece(&mut self, offset: u64) -> Piece {
        let source = match self.0.random_range(0..3) {
            0 => piece::Source::Hole(Hole { allocated: true }),
            1 => piece::Source::Data(Bytes::from_static(b"data")),
            _ => piece::Source::Chunk(ChunkSpan {
                id: Bytes::from_static(&[7; 32]),
                offset: self.number() as u32,
                chunk_length: CHUNK as u32,
                ..ChunkSpan::default()
            }),
        };
        let length = match self.0.random_range(0..3) {
            0 => self.number(),
            1 => 4,
            _ => 1 << self.0.random_range(0..40_u32),
        };
        Piece {
            offset,
            length,
            source: Some(source),
        }
    }
}

fn changed<M: Message + Default>(body: Bytes, change: impl FnOnce(&mut M)) -> Bytes {
    let mut message = M::decode(body).expect("a message");
    change(&mut message);
    Bytes::from(framed::encode(&message)).slice(framed::HEADER_BYTES..)
}

impl Caller for Hostile {
    fn call(
        &self,
        options: &mut Options,
        service: u8,
        method: u8,
        body: &[u8],
    ) -> Result<Bytes, Failure> {
        let reply = self.fake.call(options, service, method, body)?;
        let mut random = self.random.lock();
        let mut spoiler = Spoiler(&mut random);
        Ok(match (service, method) {
            (1, 5) => changed(reply, |reply: &mut GetAttrReply| {
                spoiler.spoil([&mut reply.version]);
                spoiler.attr(&mut reply.attr);
            }),
            (1, 6) => changed(reply, |reply: &mut OpenReply| {
                spoiler.spoil([&mut reply.version]);
                spoiler.attr(&mut reply.attr);
                if spoiler.hits() {
                    let mut map = MapReply::default();
                    spoiler.map(&mut map);
                    reply.map = Some(map);
                }
            }),
            (1, 7) => changed(reply, |reply| spoiler.map(reply)),
            (1, 13) => changed(reply, |reply: &mut MutateReply| {
                spoiler.spoil([&mut reply.version, &mut reply.offset]);
                let mut attr = reply.attrs.pop();
                spoiler.attr(&mut attr);
                reply.attrs.extend(attr);
                spoiler.object(&mut reply.object);
                for ino in reply.changed.iter_mut().chain(&mut reply.held) {
                    spoiler.spoil([ino]);
                }
            }),
            (1, 18) => changed(reply, |reply: &mut LookupObjectReply| {
                spoiler.spoil([&mut reply.version]);
                spoiler.object(&mut reply.object);
                if let Some(map) = &mut reply.map {
                    spoiler.map(map);
                }
            }),
            _ => reply,
        })
    }
}

impl Transport for Hostile {
    fn meta(&self) -> Line {
        Line::new(Arc::new(self.clone()))
    }

    fn chunk(&self) -> Line {
        self.meta()
    }

    fn chunk_connection(&self) -> Result<Line, Failure> {
        Ok(self.chunk())
    }
}

/// The same of an object store: by the end of it everything is closed.
fn object_step(volume: &Volume, random: &mut StdRng) -> crate::Result<()> {
    let key = ObjectKey::parse(b"k").expect("a key");
    let new = NewObject {
        mode: 0o644,
        directory_mode: 0o755,
        uid: 0,
        gid: 0,
        s3: Bytes::new(),
        mtime: None,
    };
    if random.random() {
        let staged = volume.stage(Ino(1), 0o600, 0, 0)?;
        let _ = volume.write(staged, 0, b"staged", false);
        let content = Content::Staged(staged);
        let _ = volume.publish(Ino(1), &key, content, new, Expected::Anything);
        return volume.release(staged);
    }
    let content = Content::Bytes(Bytes::from_static(b"bytes"));
    let _ = volume.publish(Ino(1), &key, content, new, Expected::Anything);
    let Some((_, handle)) = volume.open_object(Ino(1), &key)? else {
        return Ok(());
    };
    let _ = volume
        .read(handle, 0, 100)
        .map(|data| data.for_each(|_| {}));
    volume.release(handle)
}

/// What an application does; refusals are as good as success.
fn step(volume: &Volume, handle: HandleId, random: &mut StdRng) {
    let at = random.random_range(0..3 * CHUNK as u64);
    let _ = match random.random_range(0..10) {
        8 | 9 => object_step(volume, random),
        0 => volume.getattr(Ino(FILE)).map(|_| ()),
        1 => volume.write(handle, at, b"written", false).map(|_| ()),
        2 => volume.write(handle, 0, b"appended", true).map(|_| ()),
        3 => volume.flush(handle, None),
        4 => volume.seek_data(handle, at).map(|_| ()),
        5 => volume.seek_hole(handle, at).map(|_| ()),
        6 => volume
            .setattr(
                Ino(FILE),
                SetAttr {
                    size: Some(at),
                    ..SetAttr::default()
                },
            )
            .map(|_| ()),
        _ => volume
            .read(handle, at, 70_000)
            .map(|data| data.for_each(|_| {})),
    };
}

#[test]
fn no_answer_makes_it_panic_or_hang() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        usual(panic);
    }));
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..ROUNDS {
        let fake = Fake::new();
        fake.change(FILE, &vec![7; 2 * CHUNK + 77]);
        let hostile = Hostile {
            fake,
            random: Arc::new(Mutex::new(StdRng::seed_from_u64(random.random()))),
        };
        let config = VolumeConfig::new(Reach::local(&Paths::new("unused".into())), "fuse", "test");
        let volume = Volume::connect_over(Arc::new(hostile), &config).expect("connected");
        let flags = OpenFlags {
            read: true,
            write: true,
            ..OpenFlags::default()
        };
        if let Ok(opened) = volume.open(Ino(FILE), flags) {
            for _ in 0..STEPS {
                step(&volume, opened.handle, &mut random);
            }
        }
        assert_eq!(PANICS.load(Ordering::SeqCst), 0, "round {round}");
    }
}
