//! Makes a checkpoint of all parts of a snapshot, and believes none of them unseen.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;
use wolfdisk_common::disk::{Disk, DiskFile, OpenMode};
use wolfdisk_common::ids::{LogIndex, Term};

use super::error::{SnapshotError, at};
use super::format::{BODY_MAX_BYTES, HEAD_BYTES, Head, id_of};
use crate::export::format::Header;
use crate::export::reader::{Item, Reader};
use crate::export::whole::Whole;
use crate::index::checkpoint::Filler;
use crate::index::codec::decode;
use crate::index::key::Key;
use crate::index::record::Voters;
use crate::index::table::Applied;

/// A snapshot that is whole, and the checkpoint that was made of it: durable, and in nobody's way yet.
#[derive(Debug)]
pub struct Built {
    /// What it is of.
    pub applied: Applied,
    /// Who votes there.
    pub voters: Option<Voters>,
    /// The first entry that came with it, or the one after it.
    pub(super) first: LogIndex,
    /// Its parts, of which the entries are read.
    pub(super) parts: PathBuf,
    /// The checkpoint's file.
    pub(super) checkpoint: PathBuf,
}

/// An entry of the log.
pub(super) type LogEntry = (LogIndex, Term, Bytes);

/// Makes the checkpoint at `checkpoint` of the snapshot `id` of `volume`, whose parts are all in the file `parts`.
pub(super) fn build(
    disk: &Arc<dyn Disk>,
    parts: &Path,
    checkpoint: &Path,
    (id, volume): ([u8; 16], Uuid),
    cache_bytes: usize,
) -> Result<Built, SnapshotError> {
    let mut reader = Reader::new(PartsFile::open(&**disk, parts)?)?;
    let applied = applied_of(reader.header());
    if reader.header().volume != volume {
        return Err(SnapshotError::OtherVolume {
            found: reader.header().volume,
            expected: volume,
        });
    }
    if id_of(volume, applied) != id {
        return Err(SnapshotError::OtherPart(0));
    }
    let mut whole = Whole::of(reader.header());
    let mut voters = None;
    let mut filler = Filler::create(disk, checkpoint, cache_bytes, applied)?;
    while let Some(item) = reader.read_next()? {
        match item {
            Item::Entry { index, .. } => whole.entry(index),
            Item::Record { key, value } => {
                if whole.record(&key, &value)? == Key::Voters {
                    let found = decode::<Voters>(value.clone());
                    voters =
                        Some(
                            found.map_err(|source| crate::export::whole::WholeError::Record {
                                key: key.to_vec(),
                                source,
                            })?,
                        );
                }
                filler.record(key, value)?;
            }
        }
    }
    whole.finish()?;
    drop(filler.finish()?);
    Ok(Built {
        applied,
        voters,
        first: whole.first().unwrap_or(LogIndex(applied.index.0 + 1)),
        parts: parts.to_owned(),
        checkpoint: checkpoint.to_owned(),
    })
}

/// The entries of the log that came with a snapshot.
pub(super) fn entries(
    disk: &dyn Disk,
    parts: &Path,
) -> Result<impl Iterator<Item = Result<LogEntry, SnapshotError>> + use<>, SnapshotError> {
    let mut reader = Reader::new(PartsFile::open(disk, parts)?)?;
    Ok(std::iter::from_fn(move || match reader.read_next() {
        Ok(Some(Item::Entry {
            index,
            term,
            payload,
        })) => Some(Ok((index, term, payload))),
        Ok(_) => None,
        Err(error) => Some(Err(error.into())),
    }))
}

/// What a snapshot is of.
pub(super) fn applied_of(header: &Header) -> Applied {
    Applied {
        index: header.index,
        term: header.term,
        version: header.version,
    }
}

/// What parts hold, one behind the other.
struct PartsFile {
    file: Arc<dyn DiskFile>,
    at: u64,
    number: u64,
    body: Bytes,
}

impl PartsFile {
    fn open(disk: &dyn Disk, path: &Path) -> Result<PartsFile, SnapshotError> {
        Ok(PartsFile {
            file: disk.open(path, OpenMode::Read).map_err(at(path))?,
            at: 0,
            number: 0,
            body: Bytes::new(),
        })
    }
}

impl Read for PartsFile {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.body.is_empty() {
            let Some(part) = part_at(&*self.file, self.at)? else {
                return Ok(0);
            };
            let (head, body) = Head::decode(&part).map_err(io::Error::other)?;
            if head.number != self.number {
                return Err(io::Error::other(SnapshotError::OtherPart(self.number)));
            }
            self.at += part.len() as u64;
            self.number += 1;
            self.body = part.slice_ref(body);
        }
        let count = room.len().min(self.body.len());
        let taken = self.body.split_to(count);
        let (first, _) = room.split_at_mut(count);
        first.copy_from_slice(&taken);
        Ok(count)
    }
}

/// The bytes of the part that begins there; none: the file ends, or what is there is no part.
pub(super) fn part_at(file: &dyn DiskFile, at: u64) -> io::Result<Option<Bytes>> {
    let mut head = [0; HEAD_BYTES];
    if file.read_at(&mut head, at)? < HEAD_BYTES {
        return Ok(None);
    }
    let Ok(length) = Head::length(&head) else {
        return Ok(None);
    };
    debug_assert!(length <= BODY_MAX_BYTES);
    let mut part = vec![0; HEAD_BYTES + length];
    match file.read_exact_at(&mut part, at) {
        Ok(()) => Ok(Some(part.into())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
