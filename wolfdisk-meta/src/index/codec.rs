//! The encoding of everything the index keeps **\[format\]**.
//!
//! A whole value is one version byte ([`FORMAT`]) and then its fields in order, each by its own rule:
//!
//! - unsigned integers: LEB128, at most ten bytes, low bits first; signed ones zigzagged before that;
//! - `bool`: one byte, 0 or 1; hashes and ids of fixed size: their bytes;
//! - byte strings, names, text: length, then the bytes; a list: count, then the elements;
//! - an optional field: one byte 0, or 1 and the field; an enum: one byte that names the variant, then
//!   its fields.
//!
//! Decoders are total: any bytes give a value or a [`DecodeError`], nothing is allocated for a length
//! that the input cannot hold, and bytes left over are an error. Byte strings are slices of the input
//! and not copies, so their place in it can be told ([`place_in`]).

use bytes::Bytes;
use wolfdisk_common::ids::{
    ChunkId, Incarnation, Ino, LogIndex, NodeNumber, PutEpoch, Sequence, SessionId, Term, Version,
};
use wolfdisk_common::name::FileName;
use wolfdisk_common::object_key::ObjectKey;
use wolfdisk_common::time::Timestamp;

/// The version byte that every value begins with.
pub const FORMAT: u8 = 1;

/// Why bytes are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ends inside a field.
    #[error("it ends too early")]
    Short,
    /// Bytes follow the last field.
    #[error("{0} bytes follow its end")]
    Trailing(usize),
    /// A newer release wrote it.
    #[error("it has format {0}, this release reads {FORMAT}")]
    Format(u8),
    /// A field has a value that it cannot have.
    #[error("its {0} is out of range")]
    Range(&'static str),
}

/// What is left of an input.
#[derive(Clone, Debug)]
pub struct Reader {
    input: Bytes,
    /// Where the rest begins.
    at: usize,
}

impl Reader {
    /// Reads from the beginning of `input`.
    pub fn new(input: Bytes) -> Reader {
        Reader { input, at: 0 }
    }

    /// What is left, in bytes.
    fn left(&self) -> usize {
        self.input.len() - self.at
    }

    /// The next byte.
    ///
    /// # Errors
    /// The input has ended.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.input.get(self.at).ok_or(DecodeError::Short)?;
        self.at += 1;
        Ok(byte)
    }

    /// The next `length` bytes, as a slice of the input.
    ///
    /// # Errors
    /// The input has fewer.
    pub fn slice(&mut self, length: u64) -> Result<Bytes, DecodeError> {
        match usize::try_from(length) {
            Ok(length) if length <= self.left() => {
                let end = self.at + length;
                let slice = self.input.slice(self.at..end);
                self.at = end;
                Ok(slice)
            }
            _ => Err(DecodeError::Short),
        }
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// The input has fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let head = *rest.first_chunk::<N>().ok_or(DecodeError::Short)?;
        self.at += N;
        Ok(head)
    }

    /// All that is left.
    pub fn rest(&mut self) -> Bytes {
        let rest = self.input.slice(self.at..);
        self.at = self.input.len();
        rest
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// Says how much is.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing(left)),
        }
    }
}

/// A field that can be written and read back.
pub trait Wire: Sized {
    /// Appends the field.
    fn put(&self, to: &mut Vec<u8>);
    /// Reads the field.
    ///
    /// # Errors
    /// The input is no such field.
    fn take(from: &mut Reader) -> Result<Self, DecodeError>;
}

/// A whole value: version byte and fields.
pub fn encode<T: Wire>(value: &T) -> Bytes {
    encode_sized(value, 128)
}

/// As [`encode`], with room for about `size_bytes`.
pub fn encode_sized<T: Wire>(value: &T, size_bytes: usize) -> Bytes {
    let mut to = Vec::with_capacity(size_bytes);
    to.push(FORMAT);
    value.put(&mut to);
    Bytes::from(to)
}

/// Reads a whole value.
///
/// # Errors
/// The bytes are no such value, of another format, or more than one.
pub fn decode<T: Wire>(input: Bytes) -> Result<T, DecodeError> {
    let mut reader = Reader::new(input);
    match reader.byte()? {
        FORMAT => {}
        other => return Err(DecodeError::Format(other)),
    }
    let value = T::take(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// The same value with another stamp, which is the first field of every record.
///
/// # Errors
/// It is no value of a record.
pub fn restamp(value: Bytes, stamp: Version) -> Result<Bytes, DecodeError> {
    let mut reader = Reader::new(value);
    match reader.byte()? {
        FORMAT => {}
        other => return Err(DecodeError::Format(other)),
    }
    Version::take(&mut reader)?;
    let rest = reader.rest();
    let mut to = Vec::with_capacity(rest.len() + 11);
    to.push(FORMAT);
    stamp.put(&mut to);
    to.extend_from_slice(&rest);
    Ok(Bytes::from(to))
}

/// Where `part`, a slice of `whole`, begins in it.
///
/// # Errors
/// `part` is no slice of `whole`.
pub fn place_in(whole: &Bytes, part: &Bytes) -> Result<u32, DecodeError> {
    let outside = DecodeError::Range("place");
    let offset = (part.as_ptr() as usize)
        .checked_sub(whole.as_ptr() as usize)
        .ok_or(outside)?;
    if offset.saturating_add(part.len()) > whole.len() {
        return Err(outside);
    }
    u32::try_from(offset).map_err(|_| outside)
}

/// The longest LEB128 of 64 bits.
const INTEGER_MAX_BYTES: usize = 10;

impl Wire for u64 {
    fn put(&self, to: &mut Vec<u8>) {
        if *self < 0x80 {
            return to.push(*self as u8);
        }
        // Written in one go: a check for room at each byte costs more than the bytes.
        let mut bytes = [0; INTEGER_MAX_BYTES];
        let (mut left, mut length) = (*self, 0);
        for byte in &mut bytes {
            length += 1;
            if left < 0x80 {
                *byte = left as u8;
                break;
            }
            *byte = left as u8 | 0x80;
            left >>= 7;
        }
        to.extend_from_slice(bytes.split_at(length).0);
    }

    fn take(from: &mut Reader) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = from.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Range("integer"))
    }
}

impl Wire for u32 {
    fn put(&self, to: &mut Vec<u8>) {
        u64::from(*self).put(to);
    }

    fn take(from: &mut Reader) -> Result<u32, DecodeError> {
        u32::try_from(u64::take(from)?).map_err(|_| DecodeError::Range("integer"))
    }
}

impl Wire for i64 {
    fn put(&self, to: &mut Vec<u8>) {
        (((*self << 1) ^ (*self >> 63)) as u64).put(to);
    }

    fn take(from: &mut Reader) -> Result<i64, DecodeError> {
        let raw = u64::take(from)?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }
}

impl Wire for i32 {
    fn put(&self, to: &mut Vec<u8>) {
        i64::from(*self).put(to);
    }

    fn take(from: &mut Reader) -> Result<i32, DecodeError> {
        i32::try_from(i64::take(from)?).map_err(|_| DecodeError::Range("integer"))
    }
}

impl Wire for bool {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }

    fn take(from: &mut Reader) -> Result<bool, DecodeError> {
        match from.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Range("flag")),
        }
    }
}

impl Wire for Bytes {
    fn put(&self, to: &mut Vec<u8>) {
        (self.len() as u64).put(to);
        to.extend_from_slice(self);
    }

    fn take(from: &mut Reader) -> Result<Bytes, DecodeError> {
        let length = u64::take(from)?;
        from.slice(length)
    }
}

impl Wire for String {
    fn put(&self, to: &mut Vec<u8>) {
        (self.len() as u64).put(to);
        to.extend_from_slice(self.as_bytes());
    }

    fn take(from: &mut Reader) -> Result<String, DecodeError> {
        let bytes = Bytes::take(from)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| DecodeError::Range("text"))
    }
}

impl Wire for FileName {
    fn put(&self, to: &mut Vec<u8>) {
        (self.as_bytes().len() as u64).put(to);
        to.extend_from_slice(self.as_bytes());
    }

    fn take(from: &mut Reader) -> Result<FileName, DecodeError> {
        FileName::new(&Bytes::take(from)?).map_err(|_| DecodeError::Range("name"))
    }
}

impl Wire for ObjectKey {
    fn put(&self, to: &mut Vec<u8>) {
        Bytes::from(self.to_bytes()).put(to);
    }

    fn take(from: &mut Reader) -> Result<ObjectKey, DecodeError> {
        ObjectKey::parse(&Bytes::take(from)?).map_err(|_| DecodeError::Range("key"))
    }
}

impl Wire for Timestamp {
    fn put(&self, to: &mut Vec<u8>) {
        self.seconds.put(to);
        self.nanos.put(to);
    }

    fn take(from: &mut Reader) -> Result<Timestamp, DecodeError> {
        let time = Timestamp {
            seconds: i64::take(from)?,
            nanos: u32::take(from)?,
        };
        if time.nanos >= 1_000_000_000 {
            return Err(DecodeError::Range("time"));
        }
        Ok(time)
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn put(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self);
    }

    fn take(from: &mut Reader) -> Result<[u8; N], DecodeError> {
        from.array()
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            None => to.push(0),
            Some(value) => {
                to.push(1);
                value.put(to);
            }
        }
    }

    fn take(from: &mut Reader) -> Result<Option<T>, DecodeError> {
        Ok(match bool::take(from)? {
            false => None,
            true => Some(T::take(from)?),
        })
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, to: &mut Vec<u8>) {
        (self.len() as u64).put(to);
        self.iter().for_each(|item| item.put(to));
    }

    fn take(from: &mut Reader) -> Result<Vec<T>, DecodeError> {
        let count = u64::take(from)?;
        // Every element takes at least one byte: a count above that is a lie.
        if count > from.left() as u64 {
            return Err(DecodeError::Short);
        }
        (0..count).map(|_| T::take(from)).collect()
    }
}

macro_rules! wire_newtype {
    ($($name:ident($inner:ty)),+ $(,)?) => {
        $(impl Wire for $name {
            fn put(&self, to: &mut Vec<u8>) {
                self.0.put(to);
            }

            fn take(from: &mut Reader) -> Result<$name, DecodeError> {
                <$inner>::take(from).map($name)
            }
        })+
    };
}

wire_newtype!(
    Ino(u64),
    Version(u64),
    LogIndex(u64),
    Term(u64),
    SessionId(u64),
    Sequence(u64),
    NodeNumber(u32),
    Incarnation(u64),
    PutEpoch(u64),
    ChunkId([u8; 32]),
);

/// Writes and reads the named fields of a struct in the order given.
macro_rules! wire_struct {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        impl $crate::index::codec::Wire for $name {
            fn put(&self, to: &mut Vec<u8>) {
                $($crate::index::codec::Wire::put(&self.$field, to);)+
            }

            fn take(
                from: &mut $crate::index::codec::Reader,
            ) -> Result<$name, $crate::index::codec::DecodeError> {
                $(let $field = $crate::index::codec::Wire::take(from)?;)+
                Ok($name { $($field),+ })
            }
        }
    };
}

/// Writes and reads an enum: the byte given for each variant, then its named fields in order.
macro_rules! wire_enum {
    ($name:ident { $($tag:literal => $variant:ident $({ $($field:ident),* $(,)? })? ),+ $(,)? }) => {
        impl $crate::index::codec::Wire for $name {
            fn put(&self, to: &mut Vec<u8>) {
                match self {
                    $($name::$variant $({ $($field),* })? => {
                        to.push($tag);
                        $($($crate::index::codec::Wire::put($field, to);)*)?
                    })+
                }
            }

            fn take(
                from: &mut $crate::index::codec::Reader,
            ) -> Result<$name, $crate::index::codec::DecodeError> {
                match from.byte()? {
                    $($tag => {
                        $($(let $field = $crate::index::codec::Wire::take(from)?;)*)?
                        Ok($name::$variant $({ $($field),* })?)
                    })+
                    _ => Err($crate::index::codec::DecodeError::Range(stringify!($name))),
                }
            }
        }
    };
}

pub(crate) use {wire_enum, wire_struct};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fields_come_back_as_they_went(
            a in any::<u64>(), b in any::<i64>(), c in any::<u32>(), d in any::<Option<bool>>(),
            e in any::<Vec<u8>>(), f in any::<String>(), seconds in any::<i64>(), nanos in 0u32..1_000_000_000,
        ) {
            let mut to = Vec::new();
            a.put(&mut to);
            b.put(&mut to);
            c.put(&mut to);
            d.put(&mut to);
            Bytes::from(e.clone()).put(&mut to);
            f.put(&mut to);
            Timestamp { seconds, nanos }.put(&mut to);
            let mut from = Reader::new(Bytes::from(to));
            prop_assert_eq!(u64::take(&mut from), Ok(a));
            prop_assert_eq!(i64::take(&mut from), Ok(b));
            prop_assert_eq!(u32::take(&mut from), Ok(c));
            prop_assert_eq!(<Option<bool> as Wire>::take(&mut from), Ok(d));
            prop_assert_eq!(Bytes::take(&mut from), Ok(Bytes::from(e)));
            prop_assert_eq!(String::take(&mut from), Ok(f));
            prop_assert_eq!(Timestamp::take(&mut from), Ok(Timestamp { seconds, nanos }));
            prop_assert_eq!(from.finish(), Ok(()));
        }

        #[test]
        fn any_bytes_are_a_value_or_an_error(input in any::<Vec<u8>>()) {
            let input = Bytes::from(input);
            let _ = decode::<u64>(input.clone());
            let _ = decode::<Vec<Option<String>>>(input.clone());
            let _ = decode::<Timestamp>(input);
        }
    }

    #[test]
    fn a_list_longer_than_its_input_allocates_nothing() {
        let mut input = vec![FORMAT];
        u64::MAX.put(&mut input);
        assert_eq!(
            decode::<Vec<u64>>(Bytes::from(input)),
            Err(DecodeError::Short)
        );
    }

    #[test]
    fn trailing_bytes_and_newer_formats_are_refused() {
        assert_eq!(
            decode::<bool>(Bytes::from_static(&[1, 1, 9])),
            Err(DecodeError::Trailing(1))
        );
        assert_eq!(
            decode::<bool>(Bytes::from_static(&[2, 1])),
            Err(DecodeError::Format(2))
        );
    }

    #[test]
    fn a_slice_knows_its_place() {
        let whole = Bytes::from_static(b"0123456789");
        assert_eq!(place_in(&whole, &whole.slice(3..5)), Ok(3));
        assert!(place_in(&whole.slice(4..), &whole.slice(3..5)).is_err());
    }
}
