//! The listener for other machines, and its door: who is let in, by the records of the index.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use wolfdisk_common::config;
use wolfdisk_common::member::{MemberKind, PUBLIC_KEY_BYTES, Principal, Restrictions, Who};
use wolfdisk_common::release::release;
use wolfdisk_proto::noise::{self, Door, Setup, Welcome};
use wolfdisk_proto::v1::MetaFramed;
use wolfdisk_proto::{Failure, PROTOCOL_VERSION};
use zeroize::Zeroizing;

use super::error::ServiceError;
use super::members::refusal;
use super::rpc::Service;

/// Takes the address. `Ok(Err)` says why the daemon goes on without: nobody chose the address, and another has it.
///
/// # Errors
/// What the system says.
pub fn bind(node: &config::Node) -> io::Result<Result<TcpListener, String>> {
    match TcpListener::bind(node.bind) {
        Ok(listener) => {
            listener.set_nonblocking(true)?;
            Ok(Ok(listener))
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && !node.bind_is_chosen => {
            Ok(Err(format!(
                "other machines cannot reach wolfdisk-meta: port {} is in use; set node.bind",
                node.bind.port()
            )))
        }
        Err(error) => Err(error),
    }
}

/// Registers this node as a member if it is none, then answers other machines until the listener fails or the future is
/// dropped. The service must hold its keys.
///
/// # Errors
/// The listener failed.
pub async fn serve_others(
    service: Arc<Service>,
    listener: TcpListener,
) -> Result<(), ServiceError> {
    if let Err(failure) = service.register().await {
        let trouble = format!("other machines cannot reach wolfdisk-meta: {failure}");
        service.trust().set_trouble(trouble);
        return std::future::pending().await;
    }
    let failed = |source| ServiceError::Listener { source };
    let bound = listener.local_addr().map_err(failed)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    let Ok(keys) = service.trust().keys() else {
        return Err(failed(io::Error::other("the node has no keys")));
    };
    let closing = service.clone();
    let setup = Setup {
        static_key: keys.private(),
        door: Arc::new(MetaDoor(service.clone())),
        guests: service.trust().guests().clone(),
        on_close: Arc::new(move |connection| {
            closing.core().liveness.connection_closed(connection);
        }),
    };
    service.trust().listens_at(bound);
    tracing::info!(address = %bound, "other machines are answered");
    let served = noise::serve(listener, MetaFramed(service.clone()), setup).await;
    served.map_err(failed)
}

/// See the module.
struct MetaDoor(Arc<Service>);

impl Door for MetaDoor {
    fn shared_key(&self, who: Who) -> Option<Zeroizing<[u8; 32]>> {
        let keys = self.0.trust().keys().ok()?;
        let known = {
            let core = self.0.core();
            match who {
                Who::Node => Ok(true),
                // Also of one that was removed: it is told so.
                Who::Member(number) => core.index.member(number).map(|found| found.is_some()),
                Who::Joining(number) => core.index.token(number).map(|found| found.is_some()),
            }
        };
        match known {
            Ok(known) => known.then(|| who.shared_key(&keys.cluster)),
            Err(error) => {
                self.0.broken(error);
                None
            }
        }
    }

    fn admit(
        &self,
        who: Who,
        public_key: &[u8; PUBLIC_KEY_BYTES],
        _address: SocketAddr,
    ) -> Result<Principal, Failure> {
        self.0.admit(who, public_key)
    }

    fn welcome(&self) -> Welcome {
        let options = self.0.options();
        Welcome {
            protocol: PROTOCOL_VERSION,
            features: 0,
            cluster: *options.volume.as_bytes(),
            node: options.node.clone(),
            incarnation: options.incarnation.0,
            generation: self.0.core().log.term().0,
            chunk_port: self.0.trust().chunk_port(),
            release: release().to_owned(),
        }
    }
}

impl Service {
    /// Who somebody is that has proven to hold a key of [`Who`] and a static key.
    ///
    /// # Errors
    /// Why it is not let in.
    pub fn admit(
        &self,
        who: Who,
        public_key: &[u8; PUBLIC_KEY_BYTES],
    ) -> Result<Principal, Failure> {
        let removed = || refusal(libc::EACCES);
        let principal = |kind, member, name, restrictions| Principal {
            who,
            kind,
            member,
            name,
            public_key: *public_key,
            restrictions,
        };
        let now = self.clock.now();
        let core = self.core();
        let broken = |error| self.broken(error);
        match who {
            Who::Node => match core.index.member_by_key(public_key).map_err(broken)? {
                Some((_, member)) if member.removed => Err(removed()),
                Some((_, member)) if !member.kind.holds_cluster_key() => Err(refusal(libc::EPERM)),
                Some((number, member)) => Ok(principal(
                    member.kind,
                    number,
                    member.name,
                    member.restrictions,
                )),
                None if !core.index.removed_key_holders().map_err(broken)?.is_empty() => {
                    Err(refusal(libc::EKEYREVOKED))
                }
                // It may register itself, and nothing else.
                None => Ok(principal(
                    MemberKind::Node,
                    0,
                    String::new(),
                    Restrictions::default(),
                )),
            },
            Who::Member(number) => match core.index.member(number).map_err(broken)? {
                Some(member) if member.removed => Err(removed()),
                Some(member)
                    if member.public_key == *public_key && !member.kind.holds_cluster_key() =>
                {
                    Ok(principal(
                        member.kind,
                        number,
                        member.name,
                        member.restrictions,
                    ))
                }
                _ => Err(Failure::Denied(
                    "this machine is not the one that joined; let it join by a token of its own"
                        .into(),
                )),
            },
            Who::Joining(number) => match core.index.token(number).map_err(broken)? {
                None => Err(refusal(libc::ENOENT)),
                Some(token) => match token.used_by {
                    Some(user) if user != *public_key => Err(refusal(libc::EEXIST)),
                    None if token.is_spent(now) => Err(refusal(libc::ETIME)),
                    _ => Ok(principal(token.kind, 0, String::new(), token.restrictions)),
                },
            },
        }
    }
}
