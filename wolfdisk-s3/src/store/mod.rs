//! The volume as the operations use it: its blocking calls on threads of their own, never on the reactor, and what
//! is always the same about what they write.

pub mod buckets;
pub mod configuration;
pub mod copy;
pub mod download;
pub mod publish;
mod sending;
pub mod tag;
pub mod upload;
pub mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use wolfdisk_client::{
    HandleId, KeyPage, Level, ListKeys, NewObject, Object, ObjectKey, SessionState, Volume,
};
use wolfdisk_common::ids::Ino;

use self::buckets::Maps;
use self::tag::ToLearn;
use crate::digest::{Ending, Hashing};
use crate::error::{Failure, Result};

/// Permissions of what S3 clients write: everybody on the mounts may read it.
const FILE_MODE: u32 = 0o644;
/// Permissions of the directories on the way to it.
const DIRECTORY_MODE: u32 = 0o755;

/// See the module. Clones are the same.
#[derive(Clone, Debug)]
pub struct Store {
    volume: Arc<Volume>,
    owner: (u32, u32),
    hashing: Hashing,
    maps: Arc<Maps>,
    to_learn: Arc<ToLearn>,
}

impl Store {
    /// Over `volume`; what is written belongs to `owner`, a user and a group.
    pub fn new(volume: Arc<Volume>, owner: (u32, u32)) -> Store {
        Store {
            volume,
            owner,
            hashing: Hashing::default(),
            maps: Arc::default(),
            to_learn: Arc::default(),
        }
    }

    /// Runs a call of the volume on a thread that may block.
    ///
    /// # Errors
    /// What it gave.
    pub async fn run<T, F>(&self, call: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Volume) -> Result<T> + Send + 'static,
    {
        let volume = Arc::clone(&self.volume);
        let done = tokio::task::spawn_blocking(move || call(&volume)).await;
        done.map_err(|_| Failure::from(Ending))?
    }

    /// The directory of the gateways' own state.
    ///
    /// # Errors
    /// It cannot be made.
    pub async fn system_root(&self) -> Result<Ino> {
        self.run(|volume| Ok(volume.system_root()?)).await
    }

    /// What is at a key.
    ///
    /// # Errors
    /// Nothing is: [`Failure::NoSuchKey`].
    pub async fn object(&self, root: Ino, key: ObjectKey) -> Result<Object> {
        self.find(root, key).await?.ok_or(Failure::NoSuchKey)
    }

    /// The same; none if nothing is.
    ///
    /// # Errors
    /// What the volume gave.
    pub async fn find(&self, root: Ino, key: ObjectKey) -> Result<Option<Object>> {
        let found = self.run(move |volume| Ok(volume.object(root, &key)?)).await;
        match found.map_err(Failure::missing_if_impossible) {
            Err(Failure::NoSuchKey) => Ok(None),
            other => other,
        }
    }

    /// A page of a listing.
    ///
    /// # Errors
    /// What the volume gave.
    pub async fn list(&self, root: Ino, request: ListKeys) -> Result<KeyPage> {
        self.run(move |volume| Ok(volume.list_keys(root, &request)?))
            .await
    }

    /// What is the same about all that is written.
    pub fn new_object(&self, s3: Vec<u8>) -> NewObject {
        NewObject {
            mode: FILE_MODE,
            directory_mode: DIRECTORY_MODE,
            uid: self.owner.0,
            gid: self.owner.1,
            s3: Bytes::from(s3),
            mtime: None,
        }
    }

    /// A new file without a name, for content of a key below `root`.
    ///
    /// # Errors
    /// What the volume gave.
    pub async fn stage(&self, root: Ino) -> Result<OpenFile> {
        let (uid, gid) = self.owner;
        let handle = self
            .run(move |volume| Ok(volume.stage(root, FILE_MODE, uid, gid)?))
            .await?;
        Ok(self.opened(handle))
    }

    /// A handle that is released when nobody uses it any more.
    pub fn opened(&self, handle: HandleId) -> OpenFile {
        OpenFile(Arc::new(Opened {
            volume: Arc::clone(&self.volume),
            handle,
        }))
    }

    /// MD5s that are wanted.
    fn to_learn(&self) -> &ToLearn {
        &self.to_learn
    }

    /// What the volume has counted, by name.
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        self.volume.counters()
    }

    /// What the volume holds now.
    pub fn levels(&self) -> Vec<Level> {
        self.volume.levels()
    }

    /// How the volume stands with wolfdisk-meta.
    pub fn session_state(&self) -> SessionState {
        self.volume.session_state()
    }

    /// Threads for hashing.
    pub fn hashing(&self) -> &Hashing {
        &self.hashing
    }
}

/// A file that is open, until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct OpenFile(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    volume: Arc<Volume>,
    handle: HandleId,
}

impl OpenFile {
    /// Its handle, good as long as this lives.
    pub fn handle(&self) -> HandleId {
        self.0.handle
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let (volume, handle) = (Arc::clone(&self.volume), self.handle);
        let release = move || {
            if let Err(error) = volume.release(handle) {
                tracing::debug!(%error, "a file could not be closed");
            }
        };
        // It may write back and wait, which a reactor's thread must not; at the end of the process there is none.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(release)),
            Err(_) => release(),
        }
    }
}
