//! The bytes of a [`Stored`]. Numbers are little-endian; a text is its length in two bytes and UTF-8; a field is its
//! number in one byte, the length of its body in four, and the body.

use std::collections::BTreeMap;

use super::{Headers, OfContent, PartSizes, Stored, Unreadable, UploadOf};
use crate::checksum::{Algorithm, Checksum, Scope};
use crate::etag::ETag;
use crate::limits::STORED_MAX_BYTES;
use crate::tags::Tags;

const VERSION: u8 = 1;

const CONTENT_TYPE: u8 = 1;
const CACHE_CONTROL: u8 = 2;
const CONTENT_DISPOSITION: u8 = 3;
const CONTENT_ENCODING: u8 = 4;
const CONTENT_LANGUAGE: u8 = 5;
const EXPIRES: u8 = 6;
const WEBSITE_REDIRECT: u8 = 7;
const METADATA: u8 = 8;
const TAGS: u8 = 9;
const ETAG: u8 = 10;
const CHECKSUM: u8 = 11;
const PARTS: u8 = 12;
const UPLOAD: u8 = 13;

pub(super) fn encode(stored: &Stored) -> Vec<u8> {
    let mut out = vec![VERSION];
    let headers = &stored.headers;
    for (number, header) in [
        (CONTENT_TYPE, &headers.content_type),
        (CACHE_CONTROL, &headers.cache_control),
        (CONTENT_DISPOSITION, &headers.content_disposition),
        (CONTENT_ENCODING, &headers.content_encoding),
        (CONTENT_LANGUAGE, &headers.content_language),
        (EXPIRES, &headers.expires),
        (WEBSITE_REDIRECT, &headers.website_redirect_location),
    ] {
        if let Some(text) = header {
            field(&mut out, number, text.as_bytes());
        }
    }
    if !stored.metadata.is_empty() {
        let pairs = stored
            .metadata
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        field(&mut out, METADATA, &pairs_body(pairs));
    }
    if !stored.tags.is_empty() {
        let pairs = stored.tags.pairs().iter();
        field(
            &mut out,
            TAGS,
            &pairs_body(pairs.map(|(key, value)| (key.as_str(), value.as_str()))),
        );
    }
    encode_content(stored, &mut out);
    if let Some(upload) = &stored.upload {
        let (number, whole) = match upload.checksum {
            None => (0, 0),
            Some((algorithm, whole)) => (algorithm_number(algorithm), u8::from(whole)),
        };
        field(
            &mut out,
            UPLOAD,
            &[&[number, whole], upload.key.as_bytes()].concat(),
        );
    }
    out
}

/// What goes when a mount changes the content.
fn encode_content(stored: &Stored, out: &mut Vec<u8>) {
    match stored.etag {
        Some(ETag::Md5(md5)) => field(out, ETAG, &md5),
        Some(ETag::Parts { md5, count }) => {
            field(out, ETAG, &[md5.as_slice(), &count.to_le_bytes()].concat());
        }
        // It follows from the inode.
        Some(ETag::Opaque { .. }) | None => {}
    }
    if let Some(checksum) = &stored.checksum {
        let count = match checksum.scope {
            Scope::Whole => 0,
            Scope::Composite(count) => count,
        };
        let head = [
            &[algorithm_number(checksum.algorithm)][..],
            &count.to_le_bytes(),
        ]
        .concat();
        field(out, CHECKSUM, &[head.as_slice(), &checksum.value].concat());
    }
    if !stored.parts.0.is_empty() {
        let mut body = Vec::with_capacity(stored.parts.0.len() * 10);
        for (size, count) in &stored.parts.0 {
            body.extend_from_slice(&size.to_le_bytes());
            body.extend_from_slice(&count.to_le_bytes());
        }
        field(out, PARTS, &body);
    }
}

fn field(out: &mut Vec<u8>, number: u8, body: &[u8]) {
    out.push(number);
    // Bodies are bounded far below by what was checked before.
    out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(body);
}

fn pairs_body<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut body = Vec::new();
    for text in pairs.flat_map(|(name, value)| [name, value]) {
        body.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
        body.extend_from_slice(text.as_bytes());
    }
    body
}

fn algorithm_number(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Crc32 => 1,
        Algorithm::Crc32c => 2,
        Algorithm::Crc64Nvme => 3,
        Algorithm::Sha1 => 4,
        Algorithm::Sha256 => 5,
    }
}

fn algorithm(number: u8) -> Result<Algorithm, Unreadable> {
    let same = |known: &Algorithm| algorithm_number(*known) == number;
    let found = Algorithm::ALL.into_iter().find(same);
    found.ok_or(Unreadable("an unknown checksum"))
}

pub(super) fn decode(bytes: &[u8]) -> Result<Stored, Unreadable> {
    let mut stored = Stored::default();
    each_field(bytes, |number, body| {
        decode_field(&mut stored, number, body)
    })?;
    Ok(stored)
}

pub(super) fn decode_of_content(bytes: &[u8]) -> Result<OfContent, Unreadable> {
    let mut content = OfContent::default();
    each_field(bytes, |number, body| {
        match number {
            ETAG => content.etag = Some(decode_etag(body)?),
            CHECKSUM => content.checksum = Some(decode_checksum(body)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(content)
}

/// Hands on each field, with its number.
fn each_field(
    bytes: &[u8],
    mut take: impl FnMut(u8, &[u8]) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    if bytes.len() > STORED_MAX_BYTES {
        return Err(Unreadable("it is longer than any that is written"));
    }
    let mut rest = Reader(bytes);
    if rest.take::<1>()? != [VERSION] {
        return Err(Unreadable("a version that this build does not know"));
    }
    let mut last = 0;
    while !rest.0.is_empty() {
        let [number] = rest.take()?;
        if number <= last {
            return Err(Unreadable("fields out of order"));
        }
        last = number;
        let length = u32::from_le_bytes(rest.take()?);
        take(number, rest.slice(length as usize)?)?;
    }
    Ok(())
}

fn decode_field(stored: &mut Stored, number: u8, body: &[u8]) -> Result<(), Unreadable> {
    let headers: &mut Headers = &mut stored.headers;
    match number {
        CONTENT_TYPE => headers.content_type = Some(text(body)?),
        CACHE_CONTROL => headers.cache_control = Some(text(body)?),
        CONTENT_DISPOSITION => headers.content_disposition = Some(text(body)?),
        CONTENT_ENCODING => headers.content_encoding = Some(text(body)?),
        CONTENT_LANGUAGE => headers.content_language = Some(text(body)?),
        EXPIRES => headers.expires = Some(text(body)?),
        WEBSITE_REDIRECT => headers.website_redirect_location = Some(text(body)?),
        METADATA => {
            let pairs = decode_pairs(body)?;
            let count = pairs.len();
            stored.metadata = pairs.into_iter().collect::<BTreeMap<_, _>>();
            if stored.metadata.len() != count || count == 0 {
                return Err(Unreadable("metadata twice"));
            }
        }
        TAGS => {
            let tags = Tags::new(decode_pairs(body)?);
            stored.tags = tags.map_err(|_| Unreadable("tags that break a rule"))?;
        }
        ETAG => stored.etag = Some(decode_etag(body)?),
        CHECKSUM => stored.checksum = Some(decode_checksum(body)?),
        PARTS => stored.parts = decode_parts(body)?,
        UPLOAD => stored.upload = Some(decode_upload(body)?),
        _ => return Err(Unreadable("a field that this build does not know")),
    }
    Ok(())
}

fn decode_pairs(body: &[u8]) -> Result<Vec<(String, String)>, Unreadable> {
    let mut rest = Reader(body);
    let mut pairs = Vec::new();
    while !rest.0.is_empty() {
        pairs.push((rest.text()?, rest.text()?));
    }
    Ok(pairs)
}

fn decode_etag(body: &[u8]) -> Result<ETag, Unreadable> {
    let mut rest = Reader(body);
    let md5 = rest.take()?;
    if rest.0.is_empty() {
        return Ok(ETag::Md5(md5));
    }
    let count = u16::from_le_bytes(rest.take()?);
    rest.end()?;
    Ok(ETag::Parts { md5, count })
}

fn decode_checksum(body: &[u8]) -> Result<Checksum, Unreadable> {
    let mut rest = Reader(body);
    let [number] = rest.take()?;
    let algorithm = algorithm(number)?;
    let scope = match u16::from_le_bytes(rest.take()?) {
        0 => Scope::Whole,
        count => Scope::Composite(count),
    };
    let value = rest.slice(algorithm.length())?.to_vec();
    rest.end()?;
    Ok(Checksum {
        algorithm,
        scope,
        value,
    })
}

fn decode_parts(body: &[u8]) -> Result<PartSizes, Unreadable> {
    let mut rest = Reader(body);
    let mut runs = Vec::new();
    while !rest.0.is_empty() {
        let size = u64::from_le_bytes(rest.take()?);
        let count = u16::from_le_bytes(rest.take()?);
        runs.push((size, count));
    }
    Ok(PartSizes(runs))
}

fn decode_upload(body: &[u8]) -> Result<UploadOf, Unreadable> {
    let mut rest = Reader(body);
    let [number, whole] = rest.take()?;
    let checksum = match (number, whole) {
        (0, 0) => None,
        (number, 0 | 1) => Some((algorithm(number)?, whole == 1)),
        (_, _) => return Err(Unreadable("an upload's checksum")),
    };
    Ok(UploadOf {
        key: text(rest.0)?,
        checksum,
    })
}

fn text(bytes: &[u8]) -> Result<String, Unreadable> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Unreadable("a text that is no UTF-8"))
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn slice(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(Unreadable("it is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        self.slice(N)?
            .try_into()
            .map_err(|_| Unreadable("it is cut off"))
    }

    fn text(&mut self) -> Result<String, Unreadable> {
        let length = u16::from_le_bytes(self.take()?);
        text(self.slice(usize::from(length))?)
    }

    fn end(&self) -> Result<(), Unreadable> {
        match self.0 {
            [] => Ok(()),
            _ => Err(Unreadable("bytes that belong to nothing")),
        }
    }
}
