//! What the secrets of access keys are opened with. It is made of the cluster's key where that is at hand; elsewhere a node
//! is asked for it, it is kept in memory alone, and asked for again when a record does not open.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wolfdisk_common::access_key::record::{KeyRecord, Seal, UnreadableKey};
use wolfdisk_common::config::Secret;
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1::GatewayKeysReply;

use crate::limits::SEAL_ASKED_EVERY;

/// Asks a node; blocks.
type Ask = Box<dyn Fn() -> Result<Seal, Failure> + Send + Sync>;

/// See the module. Clones are the same.
#[derive(Clone)]
pub enum Seals {
    /// That of the cluster's key.
    Own(Arc<Seal>),
    /// One that a node gave.
    Lent(Arc<Lent>),
    /// This machine gets none: the configured key is the only one.
    Withheld,
}

/// See [`Seals::Lent`].
pub struct Lent {
    ask: Ask,
    held: Mutex<Held>,
}

struct Held {
    seal: Arc<Seal>,
    asked: Instant,
}

impl fmt::Debug for Seals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Seals::Own(_) => "Own(..)",
            Seals::Lent(_) => "Lent(..)",
            Seals::Withheld => "Withheld",
        })
    }
}

impl Seals {
    /// Asks a node with `ask`, now and whenever it is needed.
    ///
    /// # Errors
    /// No node answers.
    pub fn lent(
        ask: impl Fn() -> Result<GatewayKeysReply, Failure> + Send + Sync + 'static,
    ) -> Result<Seals, Failure> {
        let ask: Ask = Box::new(move || seal_of(&ask()?));
        match ask() {
            Ok(seal) => {
                let held = Held {
                    seal: Arc::new(seal),
                    asked: Instant::now(),
                };
                let held = Mutex::new(held);
                Ok(Seals::Lent(Arc::new(Lent { ask, held })))
            }
            Err(Failure::Denied(why)) => {
                tracing::warn!(
                    why,
                    "only the configured access key counts; for those of the cluster join as a gateway"
                );
                Ok(Seals::Withheld)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Whether keys of the index can be used at all.
    pub fn open_any(&self) -> bool {
        !matches!(self, Seals::Withheld)
    }

    /// The secret in a record. Blocks.
    ///
    /// # Errors
    /// It does not open.
    pub fn open(&self, id: &str, record: &KeyRecord) -> Result<Secret, UnreadableKey> {
        match self {
            Seals::Own(seal) => record.open(id, seal),
            Seals::Lent(lent) => lent.open(id, record, SEAL_ASKED_EVERY),
            Seals::Withheld => Err(UnreadableKey::Seal),
        }
    }
}

impl Lent {
    fn open(&self, id: &str, record: &KeyRecord, every: Duration) -> Result<Secret, UnreadableKey> {
        let seal = Arc::clone(&self.held.lock().seal);
        match record.open(id, &seal) {
            Err(UnreadableKey::Seal) => record.open(id, &self.renewed(every)),
            other => other,
        }
    }

    /// Asked for anew, unless that was just done.
    fn renewed(&self, every: Duration) -> Arc<Seal> {
        {
            let mut held = self.held.lock();
            if held.asked.elapsed() < every {
                return Arc::clone(&held.seal);
            }
            held.asked = Instant::now();
        }
        match (self.ask)() {
            Ok(seal) => self.held.lock().seal = Arc::new(seal),
            Err(failure) => {
                tracing::warn!(%failure, "the seal of access keys could not be asked for")
            }
        }
        Arc::clone(&self.held.lock().seal)
    }
}

fn seal_of(reply: &GatewayKeysReply) -> Result<Seal, Failure> {
    let bytes = <&[u8; 32]>::try_from(&*reply.seal);
    let bytes = bytes.map_err(|_| Failure::Invalid("a node's seal is none".to_owned()))?;
    Ok(Seal::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use wolfdisk_common::access_key::AccessKey;
    use wolfdisk_common::access_key::record::KeyName;
    use wolfdisk_common::access_key::rights::Rights;

    use super::*;

    fn record(seal: u8) -> (AccessKey, KeyRecord) {
        let key = AccessKey::draw().expect("random bytes");
        let seal = Seal::from_bytes(&[seal; 32]);
        let record = KeyRecord::new(&key, KeyName::default(), 7, Rights::FULL, &seal);
        (key, record.expect("a record"))
    }

    #[test]
    fn a_record_that_does_not_open_has_the_seal_asked_for_again() {
        static CURRENT: AtomicU8 = AtomicU8::new(1);
        let seals = Seals::lent(|| {
            let seal = vec![CURRENT.load(Ordering::Relaxed); 32];
            Ok(GatewayKeysReply { seal: seal.into() })
        });
        let Ok(Seals::Lent(lent)) = seals else {
            panic!("a node answered");
        };
        let (old, old_record) = record(1);
        let (new, new_record) = record(2);
        let never = Duration::from_secs(3600);
        let opened = lent.open(&old.id, &old_record, never).expect("opened");
        assert_eq!(opened.reveal(), old.secret.reveal());
        CURRENT.store(2, Ordering::Relaxed);
        // It was asked for just now.
        assert!(lent.open(&new.id, &new_record, never).is_err());
        let opened = lent
            .open(&new.id, &new_record, Duration::ZERO)
            .expect("opened");
        assert_eq!(opened.reveal(), new.secret.reveal());
        assert!(lent.open(&old.id, &old_record, never).is_err());
    }

    #[test]
    fn who_is_no_gateway_gets_none_and_a_node_that_does_not_answer_is_told_apart() {
        let denied = Seals::lent(|| Err(Failure::Denied("a client".to_owned())));
        let denied = denied.expect("an answer");
        assert!(!denied.open_any());
        let (key, record) = record(1);
        assert!(denied.open(&key.id, &record).is_err());
        assert!(Seals::lent(|| Err(Failure::Disconnected("x".to_owned()))).is_err());
        let short = GatewayKeysReply {
            seal: vec![1; 31].into(),
        };
        assert!(Seals::lent(move || Ok(short.clone())).is_err());
    }
}
