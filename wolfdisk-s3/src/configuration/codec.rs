//! The bytes of records: a version, the kind, then values one after the other. Numbers have their lowest byte first; a
//! text has its length before it (u16), a list the number of its items (u16), what may be absent a byte that says so.

use crate::stored::Unreadable;

const VERSION: u8 = 1;

/// A record being written.
#[derive(Debug)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(kind: u8) -> Writer {
        Writer(vec![VERSION, kind])
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn number<const N: usize>(&mut self, bytes: [u8; N]) {
        self.0.extend_from_slice(&bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(count(text.len()).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn list<T>(&mut self, items: &[T], item: impl Fn(&mut Writer, &T)) {
        self.number(count(items.len()).to_le_bytes());
        items.iter().for_each(|one| item(self, one));
    }

    pub(super) fn optional<T>(&mut self, value: Option<T>, some: impl Fn(&mut Writer, T)) {
        self.number([u8::from(value.is_some())]);
        if let Some(value) = value {
            some(self, value);
        }
    }
}

/// Texts and lists are bounded far below by what was checked before.
fn count(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// What is left to read of a record.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], kind: u8) -> Result<Reader<'a>, Unreadable> {
        let mut reader = Reader(bytes);
        if reader.number()? != [VERSION] {
            return Err(Unreadable("a version that this build does not know"));
        }
        match reader.number()? == [kind] {
            true => Ok(reader),
            false => Err(Unreadable("it is of another kind")),
        }
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let parts = self.0.split_at_checked(length);
        let (taken, rest) = parts.ok_or(Unreadable("it is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn number<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let taken = self.slice(N)?.try_into();
        taken.map_err(|_| Unreadable("it is cut off"))
    }

    pub(super) fn flag(&mut self) -> Result<bool, Unreadable> {
        match self.number()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [_] => Err(Unreadable("neither yes nor no")),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, Unreadable> {
        let length = u16::from_le_bytes(self.number()?);
        let bytes = self.slice(usize::from(length))?.to_vec();
        String::from_utf8(bytes).map_err(|_| Unreadable("a text that is no UTF-8"))
    }

    pub(super) fn list<T>(
        &mut self,
        item: impl Fn(&mut Reader<'a>) -> Result<T, Unreadable>,
    ) -> Result<Vec<T>, Unreadable> {
        let count = u16::from_le_bytes(self.number()?);
        // Nothing is taken for a count before its items are there.
        (0..count).map(|_| item(self)).collect()
    }

    pub(super) fn optional<T>(
        &mut self,
        some: impl Fn(&mut Reader<'a>) -> Result<T, Unreadable>,
    ) -> Result<Option<T>, Unreadable> {
        match self.flag()? {
            true => some(self).map(Some),
            false => Ok(None),
        }
    }

    pub(super) fn end(&self) -> Result<(), Unreadable> {
        match self.0 {
            [] => Ok(()),
            _ => Err(Unreadable("bytes that belong to nothing")),
        }
    }
}
