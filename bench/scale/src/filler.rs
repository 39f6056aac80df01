//! A session that makes files in a directory of its own.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use wolfdisk_proto::blocking::Pool;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::{
    ChunkClient, ChunkPlace, CloseSessionRequest, Create, FlushRequest, LookupRequest, MetaClient,
    MutateReply, MutateRequest, OpenSessionRequest, PutReply, PutRequest, Receipt, Write,
    WritePiece, put_request, write_piece,
};

/// Names in a directory.
const IN_DIRECTORY: u64 = 1000;
/// Chunks that are made durable together.
const BATCH: u64 = 256;
/// Longer than what is kept in the extent itself.
const CHUNK_BYTES: usize = 600;
const DEADLINE: Duration = Duration::from_secs(60);

/// See the module.
pub struct Filler {
    meta: MetaClient<Pool>,
    chunkd: ChunkClient<Pool>,
    session: u64,
    sequence: u64,
    number: u64,
    top: u64,
    directories: HashMap<u64, u64>,
    count: u64,
}

impl Filler {
    /// Finds the files of filler `number`, or makes its directory.
    pub fn open(meta: &Path, chunkd: &Path, number: u64) -> anyhow::Result<Filler> {
        let meta = MetaClient(Pool::new(meta.to_owned()));
        let opening = OpenSessionRequest {
            frontend: "scale".to_owned(),
            place: format!("filler {number}"),
            pid: std::process::id(),
            ..OpenSessionRequest::default()
        };
        let opened = meta.open_session(&mut Options::within(DEADLINE), &opening)?;
        let mut filler = Filler {
            meta,
            chunkd: ChunkClient(Pool::new(chunkd.to_owned())),
            session: opened.session,
            sequence: 0,
            number,
            top: 0,
            directories: HashMap::new(),
            count: 0,
        };
        filler.top = filler.directory(opened.root, &format!("scale-{number}"))?;
        filler.count = filler.find_count()?;
        Ok(filler)
    }

    /// Files that it has made.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The number of files is found by halving: they have no gaps.
    fn find_count(&mut self) -> anyhow::Result<u64> {
        let (mut some, mut none) = (0, 1);
        while self.exists(none - 1)? {
            (some, none) = (none, none * 2);
        }
        while none - some > 1 {
            let middle = some + (none - some) / 2;
            match self.exists(middle - 1)? {
                true => some = middle,
                false => none = middle,
            }
        }
        Ok(some)
    }

    fn exists(&mut self, file: u64) -> anyhow::Result<bool> {
        let directory = format!("d{}", file / IN_DIRECTORY);
        match self.find(self.top, &directory)? {
            Some(directory) => Ok(self.find(directory, &format!("f{file}"))?.is_some()),
            None => Ok(false),
        }
    }

    /// Makes files until there are `count`, each with a chunk.
    pub fn fill_up_to(mut self, count: u64) -> anyhow::Result<()> {
        while self.count < count {
            let batch = BATCH.min(count - self.count);
            let stored = (self.count..self.count + batch)
                .map(|file| self.put(file))
                .collect::<anyhow::Result<Vec<_>>>()?;
            let place = stored.iter().map(|put| put.place).max().unwrap_or(0);
            let flush = FlushRequest {
                place,
                ..Default::default()
            };
            let flushed = (self.chunkd).flush(&mut Options::within(DEADLINE), &flush)?;
            ensure!(flushed.durable_place >= place, "a flush that did nothing");
            for put in stored {
                let ino = self.create()?;
                self.write(ino, put)?;
            }
        }
        self.close()
    }

    fn put(&self, file: u64) -> anyhow::Result<PutReply> {
        let mut data = vec![0; CHUNK_BYTES];
        data[..8].copy_from_slice(&self.number.to_le_bytes());
        data[8..16].copy_from_slice(&file.to_le_bytes());
        let request = PutRequest {
            source: Some(put_request::Source::Data(data.into())),
            ..PutRequest::default()
        };
        Ok(self.chunkd.put(&mut Options::within(DEADLINE), &request)?)
    }

    fn write(&mut self, ino: u64, put: PutReply) -> anyhow::Result<()> {
        let chunk = ChunkPlace {
            id: put.id,
            chunk_length: CHUNK_BYTES as u32,
            offset: 0,
            receipts: vec![Receipt {
                node: put.node,
                incarnation: put.incarnation,
                epoch: put.epoch,
                ..Receipt::default()
            }],
        };
        let write = Write {
            ino,
            pieces: vec![WritePiece {
                offset: 0,
                length: CHUNK_BYTES as u64,
                source: Some(write_piece::Source::Chunk(chunk)),
            }],
            ..Write::default()
        };
        self.mutate(Op::Write(write)).map(drop)
    }

    /// Makes the next file, empty.
    pub fn create_next(&mut self) -> anyhow::Result<()> {
        self.create().map(drop)
    }

    fn create(&mut self) -> anyhow::Result<u64> {
        let file = self.count;
        let number = file / IN_DIRECTORY;
        let parent = match self.directories.get(&number) {
            Some(parent) => *parent,
            None => {
                let made = self.directory(self.top, &format!("d{number}"))?;
                self.directories.insert(number, made);
                made
            }
        };
        let ino = self.make(parent, &format!("f{file}"), 0o100_644)?;
        self.count += 1;
        Ok(ino)
    }

    /// Looks one of its files up by its name; the directory is known.
    pub fn look_up(&mut self, file: u64) -> anyhow::Result<()> {
        let number = file / IN_DIRECTORY;
        let parent = match self.directories.get(&number) {
            Some(parent) => *parent,
            None => {
                let found = self.find(self.top, &format!("d{number}"))?;
                let found = found.context("a directory that was made is missing")?;
                self.directories.insert(number, found);
                found
            }
        };
        let found = self.find(parent, &format!("f{file}"))?;
        found.map(drop).context("a file that was made is missing")
    }

    fn directory(&mut self, parent: u64, name: &str) -> anyhow::Result<u64> {
        match self.find(parent, name)? {
            Some(found) => Ok(found),
            None => self.make(parent, name, 0o040_755),
        }
    }

    fn find(&self, parent: u64, name: &str) -> anyhow::Result<Option<u64>> {
        let request = LookupRequest {
            session: self.session,
            parent,
            name: name.as_bytes().to_vec().into(),
        };
        let reply = self.meta.lookup(&mut Options::within(DEADLINE), &request)?;
        Ok(reply.attr.filter(|_| reply.found).map(|attr| attr.ino))
    }

    fn make(&mut self, parent: u64, name: &str, mode: u32) -> anyhow::Result<u64> {
        let reply = self.mutate(Op::Create(Create {
            parent,
            name: name.as_bytes().to_vec().into(),
            mode,
            ..Create::default()
        }))?;
        let made = reply.attrs.first().map(|attr| attr.ino);
        made.context("a creation without its inode")
    }

    fn mutate(&mut self, op: Op) -> anyhow::Result<MutateReply> {
        self.sequence += 1;
        let request = MutateRequest {
            session: self.session,
            sequence: self.sequence,
            acknowledged: self.sequence - 1,
            op: Some(op),
            ..MutateRequest::default()
        };
        let reply = self.meta.mutate(&mut Options::within(DEADLINE), &request)?;
        if reply.errno != 0 || reply.retry_put {
            bail!(
                "a mutation was refused: errno {}, put again: {}",
                reply.errno,
                reply.retry_put
            );
        }
        Ok(reply)
    }

    /// Says goodbye.
    pub fn close(self) -> anyhow::Result<()> {
        let session = self.session;
        let request = CloseSessionRequest { session };
        self.meta
            .close_session(&mut Options::within(DEADLINE), &request)?;
        Ok(())
    }
}
