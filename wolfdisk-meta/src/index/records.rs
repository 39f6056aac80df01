//! The state as apply and the readers see it: bytes under keys, and records on top.

use bytes::Bytes;

use super::codec::{DecodeError, Wire, decode};
use super::key::{self, Key, KeyRange};
use super::key_bytes::KeyBytes;
use super::overlay::State;
use super::table::{Table, TableError};

/// An ordered map of bytes that is changed key by key.
///
/// Implemented by the overlay over a checkpoint, and by a plain map in tests.
pub trait Records {
    /// The value of a key.
    ///
    /// # Errors
    /// Storage failed.
    fn get(&self, key: &KeyBytes) -> Result<Option<Bytes>, TableError>;

    /// Sets or removes a key.
    fn set(&mut self, key: KeyBytes, value: Option<Bytes>);

    /// Calls `visit` for each entry with `from <= key < to`, in order, until it answers `false`.
    ///
    /// # Errors
    /// Storage failed.
    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), TableError>;
}

/// What can be read key by key and in order: the state, or the state under a mutation that is being
/// worked out.
pub trait Read {
    /// The value of a key.
    ///
    /// # Errors
    /// Storage failed.
    fn bytes(&self, key: &KeyBytes) -> Result<Option<Bytes>, TableError>;

    /// As [`Records::scan`].
    ///
    /// # Errors
    /// Storage failed.
    fn range(
        &self,
        range: &KeyRange,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), TableError>;

    /// The record under a key.
    ///
    /// # Errors
    /// Storage failed, or the record is damaged.
    fn load<T: Wire>(&self, key: &Key) -> Result<Option<T>, TableError> {
        self.load_encoded(&key.encode())
    }

    /// As [`Read::load`].
    ///
    /// # Errors
    /// Storage failed, or the record is damaged.
    fn load_encoded<T: Wire>(&self, key: &KeyBytes) -> Result<Option<T>, TableError> {
        match self.bytes(key)? {
            None => Ok(None),
            Some(value) => decode(value).map(Some).map_err(|error| damaged(key, error)),
        }
    }

    /// Calls `visit` with the records of a range, in order, until it answers `false`.
    ///
    /// # Errors
    /// Storage failed, or a record is damaged.
    fn each<T: Wire>(
        &self,
        range: &KeyRange,
        mut visit: impl FnMut(Key, T) -> bool,
    ) -> Result<(), TableError> {
        let mut failed = None;
        self.range(range, &mut |key, value| {
            let record = decode(Bytes::copy_from_slice(value));
            match Key::decode(key).and_then(|key| record.map(|record| (key, record))) {
                Ok((key, record)) => visit(key, record),
                Err(error) => {
                    failed = Some(damaged(key, error));
                    false
                }
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// As [`Read::each`], past records that are damaged.
    ///
    /// # Errors
    /// Storage failed.
    fn each_readable<T: Wire>(
        &self,
        range: &KeyRange,
        mut visit: impl FnMut(Key, T) -> bool,
    ) -> Result<(), TableError> {
        let (mut from, to) = range.clone();
        loop {
            match self.each(&(from, to.clone()), &mut visit) {
                Err(TableError::Record { key, .. }) => from = key::after(&key),
                other => return other,
            }
        }
    }

    /// The first record of a range.
    ///
    /// # Errors
    /// Storage failed, or the record is damaged.
    fn first<T: Wire>(&self, range: &KeyRange) -> Result<Option<(Key, T)>, TableError> {
        let mut found = None;
        self.each(range, |key, record| {
            found = Some((key, record));
            false
        })?;
        Ok(found)
    }

    /// The keys of a range, at most `limit`.
    ///
    /// # Errors
    /// Storage failed, or a key is damaged.
    fn keys(&self, range: &KeyRange, limit: usize) -> Result<Vec<Key>, TableError> {
        let mut found = Vec::new();
        let mut failed = None;
        if limit == 0 {
            return Ok(found);
        }
        self.range(range, &mut |key, _| match Key::decode(key) {
            Ok(key) => {
                found.push(key);
                found.len() < limit
            }
            Err(error) => {
                failed = Some(damaged(key, error));
                false
            }
        })?;
        failed.map_or(Ok(found), Err)
    }
}

impl<R: Records> Read for R {
    fn bytes(&self, key: &KeyBytes) -> Result<Option<Bytes>, TableError> {
        self.get(key)
    }

    fn range(
        &self,
        range: &KeyRange,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), TableError> {
        self.scan(&range.0, &range.1, visit)
    }
}

impl<T: Table> Records for State<T> {
    fn get(&self, key: &KeyBytes) -> Result<Option<Bytes>, TableError> {
        State::get(self, key)
    }

    fn set(&mut self, key: KeyBytes, value: Option<Bytes>) {
        State::set(self, key, value);
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), TableError> {
        State::scan(self, from, to, visit)
    }
}

/// The error for a record that cannot be read.
pub fn damaged(key: &[u8], error: DecodeError) -> TableError {
    TableError::Record {
        key: key.to_vec(),
        what: error.to_string(),
    }
}

/// The error for a record that must be there and is not.
pub fn missing(key: &Key) -> TableError {
    TableError::Record {
        key: key.encode().to_vec(),
        what: "it is missing".to_owned(),
    }
}

#[cfg(test)]
impl Records for std::collections::BTreeMap<Vec<u8>, Bytes> {
    fn get(&self, key: &KeyBytes) -> Result<Option<Bytes>, TableError> {
        Ok(std::collections::BTreeMap::get(self, &**key).cloned())
    }

    fn set(&mut self, key: KeyBytes, value: Option<Bytes>) {
        match value {
            Some(value) => self.insert(key.to_vec(), value),
            None => self.remove(&*key),
        };
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), TableError> {
        use std::ops::Bound::{Excluded, Included};
        if from < to {
            let bounds = (Included(from), Excluded(to));
            for (key, value) in self.range::<[u8], _>(bounds) {
                if !visit(key, value) {
                    break;
                }
            }
        }
        Ok(())
    }
}
