//! The part of the fake daemon that knows objects: keys that lead to its files.

use std::collections::BTreeMap;

use bytes::Bytes;
use wolfdisk_proto::v1::publish::Content;
use wolfdisk_proto::v1::{
    ListKeysReply, LookupObjectReply, LookupObjectRequest, MapRequest, MutateReply, Object, Publish,
};

use super::fake::{File, World, attr, map};

/// What is known of objects, and what the daemon is told to do with them.
#[derive(Default)]
pub struct Objects {
    /// Where keys lead.
    pub keys: BTreeMap<Bytes, u64>,
    /// What was published, with its content when it was.
    pub published: Vec<(Bytes, Vec<u8>)>,
    /// What a publication is answered with instead.
    pub errno: i32,
    /// It is gone before it is answered for.
    pub gone: bool,
    /// What is replaced is held to be open at who replaces it.
    pub holds: bool,
    /// Answers about keys are worked out, but kept back.
    pub held: bool,
    /// The next page of any listing.
    pub page: ListKeysReply,
}

fn object(world: &World, ino: u64) -> Object {
    let attr = attr(world, ino);
    Object {
        s3_version: attr.content_version,
        s3: Some(Bytes::from_static(b"kept")),
        attr: Some(attr),
    }
}

pub(super) fn lookup(world: &mut World, request: &LookupObjectRequest) -> LookupObjectReply {
    let mut reply = LookupObjectReply {
        version: world.version,
        ..LookupObjectReply::default()
    };
    if let Some(ino) = world.objects.keys.get(&request.key).copied() {
        reply.found = true;
        reply.object = Some(object(world, ino));
        if request.open {
            world.opens.push(request.number);
            reply.rights = world.rights;
            let all = MapRequest {
                ino,
                ..MapRequest::default()
            };
            reply.map = Some(map(world, &all));
        }
    }
    reply
}

pub(super) fn publish(world: &mut World, publish: Publish) -> MutateReply {
    if world.objects.errno != 0 {
        return MutateReply {
            errno: world.objects.errno as u32,
            ..MutateReply::default()
        };
    }
    world.version += 1;
    let version = world.version;
    let ino = match publish.content {
        Some(Content::Staged(ino)) => ino,
        Some(Content::Data(data)) => {
            let file = File {
                content: data.to_vec(),
                changed: version,
            };
            world.files.insert(1000 + version, file);
            1000 + version
        }
        None => 1000 + version,
    };
    let content = world.files.get(&ino).cloned().unwrap_or_default().content;
    world.objects.published.push((publish.key.clone(), content));
    let victim = world.objects.keys.insert(publish.key, ino);
    let held = victim.filter(|_| world.objects.holds);
    MutateReply {
        version,
        changed: [ino, publish.root].into_iter().chain(victim).collect(),
        object: (!world.objects.gone).then(|| object(world, ino)),
        held: held.into_iter().collect(),
        ..MutateReply::default()
    }
}
