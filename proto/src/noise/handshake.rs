//! The handshake as two state machines over messages, without any socket; and what seals records after it.
//!
//! `Noise_XXpsk3_25519_ChaChaPoly_BLAKE2s` (The Noise Protocol Framework, revision 34): the first message names the key
//! that proves the third; who answers shows its static key to anybody, who asks only to a holder of that of the other.

use snow::{Builder, HandshakeState, TransportState};
use wolfdisk_common::member::PUBLIC_KEY_BYTES;

use super::wire::{Arrival, Opening};
use super::{PublicKey, Welcome};
use crate::failure::Failure;
use crate::limits::{
    HANDSHAKE_MAX_BYTES, RECORD_MAX_BYTES, RECORD_MAX_PLAIN_BYTES, RECORDS_PER_WRITE, TAG_BYTES,
};

const PATTERN: &str = "Noise_XXpsk3_25519_ChaChaPoly_BLAKE2s";
/// Both sides must begin from the same.
const PROLOGUE: &[u8] = b"wolfdisk noise v1";
/// Where the shared key comes in.
const SHARED_KEY_AT: usize = 3;

fn builder(static_key: &[u8; 32]) -> Result<Builder<'_>, Failure> {
    let parameters = PATTERN.parse().map_err(unusable)?;
    let builder = Builder::new(parameters).prologue(PROLOGUE);
    let builder = builder.and_then(|builder| builder.local_private_key(static_key));
    builder.map_err(unusable)
}

fn unusable(error: snow::Error) -> Failure {
    Failure::Unsupported(format!("encryption cannot be used: {error}"))
}

/// A message that is not what the other side sent, or that was made with another key.
fn refused(_: snow::Error) -> Failure {
    Failure::Denied("the keys do not fit".into())
}

fn write(state: &mut HandshakeState, payload: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut message = vec![0; HANDSHAKE_MAX_BYTES];
    let length = state
        .write_message(payload, &mut message)
        .map_err(unusable)?;
    message.truncate(length);
    Ok(message)
}

fn read(state: &mut HandshakeState, message: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut payload = vec![0; HANDSHAKE_MAX_BYTES];
    let length = state.read_message(message, &mut payload).map_err(refused)?;
    payload.truncate(length);
    Ok(payload)
}

fn remote_key(state: &HandshakeState) -> Result<PublicKey, Failure> {
    let key = state.get_remote_static().unwrap_or_default();
    <[u8; PUBLIC_KEY_BYTES]>::try_from(key)
        .map_err(|_| Failure::Invalid("a handshake without a static key".into()))
}

/// Who asks.
pub struct Asking(HandshakeState);

impl Asking {
    /// Begins, with the first message.
    pub fn begin(
        static_key: &[u8; 32],
        shared_key: &[u8; 32],
        opening: Opening,
    ) -> Result<(Asking, Vec<u8>), Failure> {
        let builder = builder(static_key)?.psk(SHARED_KEY_AT as u8, shared_key);
        let mut state = builder
            .and_then(Builder::build_initiator)
            .map_err(unusable)?;
        let message = write(&mut state, &opening.to_bytes())?;
        Ok((Asking(state), message))
    }

    /// Reads the second message: who answers, and its static key.
    pub fn read_welcome(&mut self, message: &[u8]) -> Result<(Welcome, PublicKey), Failure> {
        let payload = read(&mut self.0, message)?;
        Ok((Welcome::parse(&payload)?, remote_key(&self.0)?))
    }

    /// Ends, with the third message.
    pub fn end(mut self, arrival: &Arrival) -> Result<(Sealing, Vec<u8>), Failure> {
        let message = write(&mut self.0, &arrival.to_bytes())?;
        let transport = self.0.into_transport_mode().map_err(unusable)?;
        Ok((Sealing(transport), message))
    }
}

/// Who answers.
pub struct Answering(HandshakeState);

impl Answering {
    /// Reads the first message.
    pub fn begin(static_key: &[u8; 32], message: &[u8]) -> Result<(Answering, Opening), Failure> {
        let mut state = builder(static_key)?.build_responder().map_err(unusable)?;
        let payload = read(&mut state, message);
        let payload = payload.map_err(|_| Failure::Invalid("this is no handshake".into()))?;
        Ok((Answering(state), Opening::parse(&payload)?))
    }

    /// The second message. `shared_key` proves the third.
    pub fn welcome(
        &mut self,
        shared_key: &[u8; 32],
        welcome: &Welcome,
    ) -> Result<Vec<u8>, Failure> {
        self.0
            .set_psk(SHARED_KEY_AT, shared_key)
            .map_err(unusable)?;
        write(&mut self.0, &welcome.to_bytes())
    }

    /// Reads the third message: who asked, and its static key.
    pub fn end(mut self, message: &[u8]) -> Result<(Sealing, Arrival, PublicKey), Failure> {
        let payload = read(&mut self.0, message)?;
        let (arrival, key) = (Arrival::parse(&payload)?, remote_key(&self.0)?);
        let transport = self.0.into_transport_mode().map_err(unusable)?;
        Ok((Sealing(transport), arrival, key))
    }
}

/// The public key of a private one.
pub fn public_key(private: &[u8; 32]) -> Result<PublicKey, Failure> {
    use snow::params::DHChoice;
    use snow::resolvers::{CryptoResolver, DefaultResolver};
    let dh = DefaultResolver.resolve_dh(&DHChoice::Curve25519);
    let mut dh = dh.ok_or_else(|| Failure::Unsupported("X25519 is missing".into()))?;
    dh.set(private);
    let key = dh.pubkey();
    <[u8; PUBLIC_KEY_BYTES]>::try_from(key)
        .map_err(|_| Failure::Unsupported("a public key of another length".into()))
}

/// Seals and opens records, in their order: two bytes of length (little-endian) and a Noise message each.
pub struct Sealing(TransportState);

impl Sealing {
    /// The records of some bytes, ready to be sent. No bytes are one empty record.
    pub fn seal(&mut self, plain: &[u8], sealed: &mut Vec<u8>) -> Result<(), Failure> {
        let records = plain.len().div_ceil(RECORD_MAX_PLAIN_BYTES).max(1);
        sealed.resize(plain.len() + records * (2 + TAG_BYTES), 0);
        let mut room = sealed.as_mut_slice();
        let mut rest = plain;
        for _ in 0..records {
            let (part, after) = rest.split_at(rest.len().min(RECORD_MAX_PLAIN_BYTES));
            let length = part.len() + TAG_BYTES;
            let (record, left) = room.split_at_mut(2 + length);
            let (head, body) = record.split_at_mut(2);
            head.copy_from_slice(&(length as u16).to_le_bytes());
            self.0.write_message(part, body).map_err(broken)?;
            (rest, room) = (after, left);
        }
        Ok(())
    }

    /// Opens a record without its length, behind what `plain` holds.
    pub fn open(&mut self, record: &[u8], plain: &mut Vec<u8>) -> Result<(), Failure> {
        let length = record.len().checked_sub(TAG_BYTES);
        let length =
            length.ok_or_else(|| Failure::Disconnected("a record without a tag".into()))?;
        let start = plain.len();
        plain.resize(start + length, 0);
        let room = plain.get_mut(start..).unwrap_or_default();
        self.0.read_message(record, room).map_err(broken)?;
        Ok(())
    }
}

/// Bytes were changed on the way, or a connection has carried 2^64 records.
fn broken(error: snow::Error) -> Failure {
    Failure::Disconnected(format!("the encrypted connection is broken: {error}"))
}

/// Plain bytes that are sealed and written at a time.
pub const BATCH_BYTES: usize = RECORDS_PER_WRITE * RECORD_MAX_PLAIN_BYTES;

const _: () = assert!(RECORD_MAX_BYTES == u16::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use wolfdisk_common::member::Who;

    fn opening() -> Opening {
        Opening {
            protocol: 1,
            service: 1,
            who: Who::Node,
        }
    }

    fn shaken(theirs: [u8; 32]) -> Result<(Sealing, Sealing), Failure> {
        let (mut asking, first) = Asking::begin(&[1; 32], &[9; 32], opening())?;
        let (mut answering, read) = Answering::begin(&[2; 32], &first)?;
        assert_eq!(read, opening());
        let second = answering.welcome(&theirs, &Welcome::default())?;
        let (_, key) = asking.read_welcome(&second)?;
        assert_eq!(key, public_key(&[2; 32])?);
        let (ours, third) = asking.end(&Arrival::default())?;
        let (sealing, _, key) = answering.end(&third)?;
        assert_eq!(key, public_key(&[1; 32])?);
        Ok((ours, sealing))
    }

    #[test]
    fn both_sides_learn_the_keys_of_the_other_and_bytes_arrive() {
        let (mut ours, mut theirs) = shaken([9; 32]).expect("shaken");
        for length in [0, 1, 65_519, 65_520, 200_000] {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut sealed = Vec::new();
            ours.seal(&bytes, &mut sealed).expect("sealed");
            let (mut rest, mut plain) = (sealed.as_slice(), Vec::new());
            while let Some((head, after)) = rest.split_first_chunk::<2>() {
                let (record, after) = after.split_at(usize::from(u16::from_le_bytes(*head)));
                theirs.open(record, &mut plain).expect("opened");
                rest = after;
            }
            assert_eq!(plain, bytes);
        }
    }

    #[test]
    fn another_shared_key_ends_it() {
        let other = shaken([8; 32]).err();
        assert!(matches!(other, Some(Failure::Denied(_))));
    }

    #[test]
    fn a_changed_or_repeated_record_is_refused() {
        let (mut ours, mut theirs) = shaken([9; 32]).expect("shaken");
        let mut sealed = Vec::new();
        ours.seal(b"hello", &mut sealed).expect("sealed");
        let mut plain = Vec::new();
        let good = sealed.clone();
        sealed[5] ^= 1;
        assert!(theirs.open(&sealed[2..], &mut plain).is_err());
        let (mut ours, mut theirs) = shaken([9; 32]).expect("shaken");
        let mut again = Vec::new();
        ours.seal(b"hello", &mut again).expect("sealed");
        assert_ne!(again, good);
        theirs.open(&again[2..], &mut plain).expect("opened");
        assert!(theirs.open(&again[2..], &mut plain).is_err());
    }
}
