//! The index: the records, and the state machine that changes them entry by entry.
//!
//! The state after an entry is a function of the state before and of the entry alone. An entry either
//! does all that it says or, with an errno, nothing but keep its answer. Only what changes something
//! counts as a mutation and moves the version.

use bytes::Bytes;
use wolfdisk_common::ids::{Ino, LogIndex, Sequence, Term, Version};
use wolfdisk_common::limits::SESSION_WINDOW;
use wolfdisk_common::time::Timestamp;

use super::apply::{self, Fail};
use super::codec::{DecodeError, encode};
use super::key::Key;
use super::op::{Answer, Entry, Kind, Op, Origin, Outcome};
use super::recent::Recent;
use super::record::{Counters, Inode, Kept, NewInode, Usage, Volume};
use super::records::{Read, Records};
use super::table::TableError;
use super::tx::{Tx, Worked};

/// What the first state of a volume is made from; the same on every node and at every start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The volume's name.
    pub volume_id: [u8; 16],
    /// When it was made.
    pub created: Timestamp,
    /// Whose the root directory is.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Why an entry could not be applied. The daemon ends: the state would no longer follow the log.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The state could not be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The entry is none, or of a newer release.
    #[error("log entry {index} cannot be applied: {source}")]
    Entry {
        /// The entry.
        index: LogIndex,
        /// What is wrong with it.
        source: DecodeError,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Index<R> {
    records: R,
    recent: Recent,
    counters: Counters,
}

/// The root directory's permissions.
const ROOT_PERMISSIONS: u32 = 0o755;

/// Where the answer to a mutation is kept.
pub(crate) fn slot_of(sequence: Sequence) -> u16 {
    (sequence.0 % SESSION_WINDOW) as u16
}

impl<R: Records> Index<R> {
    /// The index over `records`; an empty one gets a root directory.
    ///
    /// # Errors
    /// Storage failed or holds a damaged record.
    pub fn open(mut records: R, genesis: &Genesis) -> Result<Index<R>, TableError> {
        if let Some(counters) = Read::load::<Counters>(&records, &Key::Counters)? {
            return Ok(Index::with(records, counters));
        }
        let counters = Counters {
            time: genesis.created,
            ..Counters::default()
        };
        let stamp = counters.stamp;
        let root = NewInode {
            kind: Kind::Directory,
            permissions: ROOT_PERMISSIONS,
            uid: genesis.uid,
            gid: genesis.gid,
            rdev: 0,
            symlink: Bytes::new(),
            parent: Ino::ROOT,
            name: Bytes::new(),
            project: 0,
        };
        let root = Inode::new(root, stamp, genesis.created);
        let volume = Volume {
            stamp,
            id: genesis.volume_id,
            created: genesis.created,
        };
        let usage = Usage {
            stamp,
            bytes: 0,
            inodes: 1,
        };
        records.set(Key::Inode { ino: Ino::ROOT }.encode(), Some(encode(&root)));
        records.set(Key::Volume.encode(), Some(encode(&volume)));
        records.set(Key::Usage { project: 0 }.encode(), Some(encode(&usage)));
        records.set(Key::Counters.encode(), Some(encode(&counters)));
        Ok(Index::with(records, counters))
    }

    fn with(records: R, counters: Counters) -> Index<R> {
        Index {
            records,
            recent: Recent::default(),
            counters,
        }
    }

    /// What need not be read.
    pub(super) fn recent(&self) -> &Recent {
        &self.recent
    }

    /// The records, for readers.
    pub fn records(&self) -> &R {
        &self.records
    }

    /// The records, for whoever freezes and checkpoints them. Their content is not to be changed.
    pub fn records_mut(&mut self) -> &mut R {
        &mut self.records
    }

    /// Mutations applied.
    pub fn version(&self) -> Version {
        self.counters.stamp
    }

    /// The time of the last entry: the leader's clock must not give an earlier one.
    pub fn time(&self) -> Timestamp {
        self.counters.time
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Applies one entry of the log.
    ///
    /// # Errors
    /// The entry is none, or the state cannot be read: nothing was changed.
    pub fn apply(
        &mut self,
        index: LogIndex,
        term: Term,
        payload: Bytes,
    ) -> Result<Outcome, ApplyError> {
        let bad = |source| ApplyError::Entry { index, source };
        let entry = Entry::decode(payload.clone()).map_err(bad)?;
        if let Some(outcome) = self.repeat_or_refuse(&entry)? {
            return Ok(outcome);
        }
        let mut tx = Tx::new(
            &self.records,
            &self.recent,
            &self.counters,
            (index, term),
            entry.time,
        );
        match apply::run(&mut tx, &entry, &payload) {
            Ok(mut answer) => {
                answer.version = tx.version();
                Ok(self.finish(&entry, answer, tx.into_worked()))
            }
            Err(Fail::Table(error)) => Err(error.into()),
            Err(Fail::Entry(error)) => Err(bad(error)),
            Err(Fail::Errno(errno)) => Ok(self.refuse(
                &entry,
                Answer {
                    errno,
                    ..Answer::default()
                },
            )),
            Err(Fail::RetryPut) => Ok(self.refuse(
                &entry,
                Answer {
                    retry_put: true,
                    ..Answer::default()
                },
            )),
        }
    }

    /// The kept answer of a mutation that was applied before, or the refusal of one that may not be.
    fn repeat_or_refuse(&mut self, entry: &Entry) -> Result<Option<Outcome>, TableError> {
        let Some(Origin {
            session,
            sequence,
            acknowledged,
        }) = entry.origin
        else {
            return Ok(None);
        };
        let version = self.version();
        let refusal = |errno| {
            let answer = Answer {
                version,
                errno,
                ..Answer::default()
            };
            Some(Outcome {
                answer,
                effects: Vec::new(),
                repeated: false,
            })
        };
        let Some(owner) = self.recent.session(&self.records, session)? else {
            return Ok(refusal(libc::ESTALE));
        };
        let key = Key::Answer {
            session,
            slot: slot_of(sequence),
        };
        if sequence <= owner.newest
            && let Some(kept) = self.records.load::<Kept>(&key)?
            && kept.sequence >= sequence
        {
            if kept.sequence > sequence {
                return Ok(refusal(libc::EINVAL));
            }
            return Ok(Some(Outcome {
                answer: kept.answer,
                effects: Vec::new(),
                repeated: true,
            }));
        }
        let last = acknowledged.0.saturating_add(SESSION_WINDOW);
        if sequence <= acknowledged || sequence.0 > last {
            return Ok(refusal(libc::EINVAL));
        }
        let harmless = matches!(entry.op, Op::SetLock { .. } | Op::Release { .. });
        Ok(if owner.read_only && !harmless {
            refusal(libc::EROFS)
        } else {
            None
        })
    }

    /// Keeps the answer of an entry that did nothing. The version stays.
    fn refuse(&mut self, entry: &Entry, mut answer: Answer) -> Outcome {
        answer.version = self.version();
        self.keep(entry, &answer);
        Outcome {
            answer,
            effects: Vec::new(),
            repeated: false,
        }
    }

    fn finish(&mut self, entry: &Entry, answer: Answer, worked: Worked) -> Outcome {
        let Worked {
            changes,
            written,
            effects,
            counters,
        } = worked;
        // The one place where a mutation reaches the state: history will write its pre-images here.
        for (key, value) in changes {
            self.recent.changed(&key);
            self.records.set(key, value);
        }
        for (ino, inode) in written.inodes {
            self.recent.keep_inode(ino, inode);
        }
        for (project, usage) in written.usages {
            self.recent.keep_usage(project, usage);
        }
        self.counters = counters;
        self.records
            .set(Key::Counters.encode(), Some(encode(&self.counters)));
        self.keep(entry, &answer);
        Outcome {
            answer,
            effects,
            repeated: false,
        }
    }

    fn keep(&mut self, entry: &Entry, answer: &Answer) {
        if let Some(origin) = entry.origin {
            let Origin {
                session, sequence, ..
            } = origin;
            self.recent.answered(origin);
            let kept = Kept {
                stamp: answer.version,
                sequence,
                answer: answer.clone(),
            };
            let key = Key::Answer {
                session,
                slot: slot_of(sequence),
            };
            self.records.set(key.encode(), Some(encode(&kept)));
        }
    }
}
