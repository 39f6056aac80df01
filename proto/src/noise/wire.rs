//! What the two sides say in the handshake **\[format\]**. Integers are little-endian, texts have a byte of length before
//! them. What follows the known fields is from a newer release and is left unread.

use wolfdisk_common::member::Who;

use super::Welcome;
use crate::failure::Failure;

/// First bytes of the first message.
const MAGIC: [u8; 4] = *b"WDN1";

/// The first message: not secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The protocol of who asks.
    pub protocol: u32,
    /// The service that will be asked.
    pub service: u8,
    /// By which key it proves itself.
    pub who: Who,
}

/// The third message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Bits of what it knows.
    pub features: u64,
    /// What it calls itself.
    pub name: String,
    /// Its release.
    pub release: String,
}

impl Opening {
    /// The bytes of it.
    pub fn to_bytes(self) -> Vec<u8> {
        let (kind, number) = match self.who {
            Who::Node => (1, 0),
            Who::Member(number) => (2, number),
            Who::Joining(number) => (3, number),
        };
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.protocol.to_le_bytes());
        bytes.push(self.service);
        bytes.push(kind);
        bytes.extend_from_slice(&u64::to_le_bytes(number));
        bytes
    }

    /// Reads them.
    ///
    /// # Errors
    /// They are none.
    pub fn parse(bytes: &[u8]) -> Result<Opening, Failure> {
        let mut rest = Rest(bytes);
        if rest.take::<4>()? != MAGIC {
            return Err(Failure::Invalid("this is no WolfDisk process".into()));
        }
        let protocol = u32::from_le_bytes(rest.take()?);
        let [service, kind] = rest.take()?;
        let number = u64::from_le_bytes(rest.take()?);
        let who = match kind {
            1 => Who::Node,
            2 => Who::Member(number),
            3 => Who::Joining(number),
            other => return Err(Failure::Unsupported(format!("a key of kind {other}"))),
        };
        Ok(Opening {
            protocol,
            service,
            who,
        })
    }
}

impl Welcome {
    /// The bytes of it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.protocol.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.features.to_le_bytes());
        bytes.extend_from_slice(&self.cluster);
        bytes.extend_from_slice(&self.incarnation.to_le_bytes());
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.chunk_port.to_le_bytes());
        put_text(&mut bytes, &self.node);
        put_text(&mut bytes, &self.release);
        bytes
    }

    /// Reads them.
    ///
    /// # Errors
    /// They are none.
    pub fn parse(bytes: &[u8]) -> Result<Welcome, Failure> {
        let mut rest = Rest(bytes);
        Ok(Welcome {
            protocol: u32::from_le_bytes(rest.take()?),
            features: u64::from_le_bytes(rest.take()?),
            cluster: rest.take()?,
            incarnation: u64::from_le_bytes(rest.take()?),
            generation: u64::from_le_bytes(rest.take()?),
            chunk_port: u16::from_le_bytes(rest.take()?),
            node: rest.text()?,
            release: rest.text()?,
        })
    }
}

impl Arrival {
    /// The bytes of it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.features.to_le_bytes().to_vec();
        put_text(&mut bytes, &self.name);
        put_text(&mut bytes, &self.release);
        bytes
    }

    /// Reads them.
    ///
    /// # Errors
    /// They are none.
    pub fn parse(bytes: &[u8]) -> Result<Arrival, Failure> {
        let mut rest = Rest(bytes);
        Ok(Arrival {
            features: u64::from_le_bytes(rest.take()?),
            name: rest.text()?,
            release: rest.text()?,
        })
    }
}

/// Whether somebody is let in, as the first message behind the handshake: 0, or code, errno and text of a failure.
pub fn verdict(admitted: Result<(), &Failure>) -> Vec<u8> {
    let Err(failure) = admitted else {
        return vec![0];
    };
    let mut bytes = vec![failure.code()];
    bytes.extend_from_slice(&failure.errno().to_le_bytes());
    bytes.extend_from_slice(failure.detail().as_bytes());
    bytes
}

/// Reads what [`verdict`] made.
///
/// # Errors
/// The failure, or that it is none.
pub fn read_verdict(bytes: &[u8]) -> Result<(), Failure> {
    let mut rest = Rest(bytes);
    match rest.take::<1>()? {
        [0] => Ok(()),
        [code] => {
            let errno = i32::from_le_bytes(rest.take()?);
            let text = String::from_utf8_lossy(rest.0).into_owned();
            Err(Failure::from_wire(code, errno, text))
        }
    }
}

/// As much of it as a byte of length allows, in whole characters.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let end = text.floor_char_boundary(usize::from(u8::MAX));
    bytes.push(end as u8);
    bytes.extend(text.bytes().take(end));
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or_else(short)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn text(&mut self) -> Result<String, Failure> {
        let [length] = self.take()?;
        let (text, rest) = self
            .0
            .split_at_checked(usize::from(length))
            .ok_or_else(short)?;
        self.0 = rest;
        String::from_utf8(text.to_vec())
            .map_err(|_| Failure::Invalid("a handshake message whose text is none".into()))
    }
}

fn short() -> Failure {
    Failure::Invalid("a handshake message that ends too early".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn welcome() -> Welcome {
        Welcome {
            protocol: 1,
            features: 6,
            cluster: [4; 16],
            node: "alpha".into(),
            incarnation: 9,
            generation: 2,
            chunk_port: 9502,
            release: "0.1.0".into(),
        }
    }

    #[test]
    fn what_is_said_arrives_and_no_part_of_it_does() {
        for who in [Who::Node, Who::Member(u64::MAX), Who::Joining(7)] {
            let opening = Opening {
                protocol: 3,
                service: 2,
                who,
            };
            let bytes = opening.to_bytes();
            assert_eq!(Opening::parse(&bytes), Ok(opening));
            for end in 0..bytes.len() {
                assert!(Opening::parse(&bytes[..end]).is_err());
            }
        }
        let bytes = welcome().to_bytes();
        assert_eq!(Welcome::parse(&bytes), Ok(welcome()));
        for end in 0..bytes.len() {
            assert!(Welcome::parse(&bytes[..end]).is_err());
        }
        let arrival = Arrival {
            features: 1,
            name: "desk".into(),
            release: "0.1.0".into(),
        };
        assert_eq!(Arrival::parse(&arrival.to_bytes()), Ok(arrival));
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let arrival = Arrival {
            name: "é".repeat(200),
            ..Arrival::default()
        };
        let read = Arrival::parse(&arrival.to_bytes()).expect("read");
        assert_eq!(read.name, "é".repeat(127));
    }

    #[test]
    fn a_verdict_is_the_failure_that_it_was() {
        assert_eq!(read_verdict(&verdict(Ok(()))), Ok(()));
        let failure = Failure::Denied("removed".into());
        assert_eq!(read_verdict(&verdict(Err(&failure))), Err(failure));
        assert!(read_verdict(&[]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Opening::parse(&bytes);
            let _ = Welcome::parse(&bytes);
            let _ = Arrival::parse(&bytes);
            let _ = read_verdict(&bytes);
        }
    }
}
