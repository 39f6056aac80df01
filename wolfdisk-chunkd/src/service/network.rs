//! Who on other machines may ask, and what: the members that wolfdisk-meta named, and the one table of calls.
//!
//! Nodes hold the cluster's key and are trusted with everything that they can ask from afar. Clients and gateways put
//! chunks, and read what a ticket shows them. Both are looked up at every call: whoever is not named any more is
//! refused from that moment on, whether its connections are closed already or not.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wolfdisk_common::cluster_key::ClusterKey;
use wolfdisk_common::member::{MemberKind, PUBLIC_KEY_BYTES, Principal, Restrictions, Who};
use wolfdisk_common::ticket::Tickets;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::noise::{Door, Guests, Welcome};
use wolfdisk_proto::v1;
use zeroize::Zeroizing;

use super::ChunkServer;
use crate::limits;

/// What can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Hello,
    Put,
    Flush,
    AttachArea,
    Locate,
    Segment,
    Retired,
    Read,
    AdvanceEpoch,
    Inventory,
    Free,
    Status,
    Compact,
    Scrub,
    Damaged,
    Admit,
    Peers,
}

/// Who may call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// This machine alone.
    Here,
    /// Nodes too.
    Nodes,
    /// Members that may write, too.
    Writers,
    /// All members.
    Members,
}

impl Method {
    /// The table.
    fn reach(self) -> Reach {
        match self {
            Method::Hello | Method::Read => Reach::Members,
            Method::Put | Method::Flush => Reach::Writers,
            Method::AttachArea
            | Method::Locate
            | Method::Segment
            | Method::Retired
            | Method::AdvanceEpoch
            | Method::Inventory
            | Method::Free
            | Method::Status
            | Method::Compact
            | Method::Scrub
            | Method::Damaged => Reach::Nodes,
            // Whom this node lets in, and whom it asks, is said by its own wolfdisk-meta.
            Method::Admit | Method::Peers => Reach::Here,
        }
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum Asker {
    /// Somebody on this machine.
    Local,
    /// A node on another.
    Node,
    /// A member that is no node, by its number, and what it may have in flight.
    Member(u64, Arc<Semaphore>),
}

/// Bytes that somebody has in flight, given back when it is dropped.
pub(super) struct InFlight {
    own: Own,
    _all: OwnedSemaphorePermit,
}

/// What of them a member has of its own.
pub(super) type Own = Option<OwnedSemaphorePermit>;

impl InFlight {
    /// Gives back what all share: what follows waits for other machines, and nobody else is to wait for that.
    pub(super) fn waits_for_others(self) -> Own {
        self.own
    }
}

/// Waits for what a member may have in flight, and nothing that others share.
pub(super) async fn own_in_flight(asker: &Asker, bytes: u32) -> Result<Own, Failure> {
    let own = match asker {
        Asker::Local | Asker::Node => None,
        Asker::Member(_, own) => Some(own.clone().acquire_many_owned(bytes).await),
    };
    own.transpose().map_err(|_| ending())
}

fn ending() -> Failure {
    Failure::Unavailable("the daemon is ending".to_owned())
}

/// A member that may connect.
struct Member {
    kind: MemberKind,
    name: String,
    public_key: [u8; PUBLIC_KEY_BYTES],
    read_only: bool,
    in_flight: Arc<Semaphore>,
}

/// What the daemon has to do with other machines.
pub struct Network {
    key: ClusterKey,
    tickets: Tickets,
    guests: Arc<Guests>,
    /// Where it listens; 0: nowhere.
    port: u16,
    /// Why it does not.
    trouble: Option<String>,
    /// By number; none: wolfdisk-meta has not said yet.
    members: RwLock<Option<HashMap<u64, Member>>>,
    denied: AtomicU64,
}

impl Network {
    /// Of the cluster with this key. `port` is where the daemon listens, or why it does not.
    pub fn new(key: ClusterKey, port: Result<u16, String>) -> Network {
        Network {
            tickets: Tickets::new(&key),
            key,
            guests: Arc::default(),
            port: port.as_ref().copied().unwrap_or(0),
            trouble: port.err(),
            members: RwLock::new(None),
            denied: AtomicU64::new(0),
        }
    }

    /// Who is connected.
    pub fn guests(&self) -> Arc<Guests> {
        self.guests.clone()
    }

    /// How often somebody asked for what it may not have.
    pub(super) fn denied(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }

    /// Counts what is denied.
    pub(super) fn counted<T>(&self, judged: Result<T, Failure>) -> Result<T, Failure> {
        if matches!(judged, Err(Failure::Denied(_))) {
            self.denied.fetch_add(1, Ordering::Relaxed);
        }
        judged
    }

    /// Proofs for members.
    pub(super) fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// Where the daemon listens; 0: nowhere.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Why it does not.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Takes a new list of members. Who is not on it is thrown out.
    fn replace(&self, list: Vec<v1::AdmittedMember>) -> Result<(), Failure> {
        if list.len() > limits::ADMITTED_MAX {
            let text = format!("{} members, at most {}", list.len(), limits::ADMITTED_MAX);
            return Err(Failure::Invalid(text));
        }
        let parsed = list.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let mut members = self.members.write();
        let old = members.take().unwrap_or_default();
        let mut new = HashMap::with_capacity(parsed.len());
        for (number, mut member) in parsed {
            if let Some(before) = old.get(&number) {
                member.in_flight = before.in_flight.clone();
            }
            new.insert(number, member);
        }
        let stays = |number: &u64, before: &Member| {
            new.get(number)
                .is_some_and(|member| member.public_key == before.public_key)
        };
        let gone: Vec<_> = old
            .iter()
            .filter(|(number, before)| !stays(number, before))
            .map(|(_, before)| before.public_key)
            .collect();
        *members = Some(new);
        drop(members);
        gone.iter().for_each(|key| self.guests.expel(key));
        Ok(())
    }

    /// The principal that proved these keys, if it is one that may connect.
    fn find(&self, who: Who, public_key: &[u8; PUBLIC_KEY_BYTES]) -> Result<Found, Failure> {
        let members = self.members.read();
        match who {
            Who::Joining(_) => Err(denied("whoever joins asks wolfdisk-meta")),
            Who::Member(number) => {
                // It just started: who asks waits a moment, as for the start itself.
                let members = members.as_ref().ok_or_else(|| {
                    Failure::Unavailable("wolfdisk-meta has yet to say who is a member".to_owned())
                })?;
                match members.get(&number) {
                    Some(member)
                        if member.public_key == *public_key && !member.kind.holds_cluster_key() =>
                    {
                        Ok(Found::of(number, member))
                    }
                    _ => Err(denied("this machine is no member here (any more)")),
                }
            }
            Who::Node => match &*members {
                // The nodes of a cluster come up together, before any has a list.
                None => Ok(Found::unknown_node()),
                Some(members) => members
                    .iter()
                    .find(|(_, member)| {
                        member.public_key == *public_key && member.kind.holds_cluster_key()
                    })
                    .map(|(number, member)| Found::of(*number, member))
                    .ok_or_else(|| denied("this machine is no node here (any more)")),
            },
        }
    }

    fn asker(&self, principal: &Principal, method: Method) -> Result<Asker, Failure> {
        let found = self.find(principal.who, &principal.public_key)?;
        let reach = method.reach();
        let refused = || denied(&format!("a {} may not call {method:?}", found.kind));
        match found.in_flight {
            None if reach == Reach::Here => Err(refused()),
            None => Ok(Asker::Node),
            Some(_) if found.read_only && reach == Reach::Writers => {
                Err(denied("this machine may only read"))
            }
            Some(in_flight) if matches!(reach, Reach::Members | Reach::Writers) => {
                Ok(Asker::Member(found.number, in_flight))
            }
            Some(_) => Err(refused()),
        }
    }
}

/// Somebody who may connect.
struct Found {
    number: u64,
    kind: MemberKind,
    name: String,
    read_only: bool,
    /// Of members that are no nodes.
    in_flight: Option<Arc<Semaphore>>,
}

impl Found {
    fn of(number: u64, member: &Member) -> Found {
        let bounded = !member.kind.holds_cluster_key();
        Found {
            number,
            kind: member.kind,
            name: member.name.clone(),
            read_only: member.read_only,
            in_flight: bounded.then(|| member.in_flight.clone()),
        }
    }

    fn unknown_node() -> Found {
        Found {
            number: 0,
            kind: MemberKind::Node,
            name: String::new(),
            read_only: false,
            in_flight: None,
        }
    }
}

fn parse(member: v1::AdmittedMember) -> Result<(u64, Member), Failure> {
    let invalid = || Failure::Invalid(format!("member {} is none", member.number));
    let kind = u8::try_from(member.kind)
        .ok()
        .and_then(MemberKind::from_number);
    let in_flight = Semaphore::new(limits::IN_FLIGHT_MEMBER_MAX_BYTES);
    Ok((
        member.number,
        Member {
            kind: kind.ok_or_else(invalid)?,
            public_key: (&*member.public_key).try_into().map_err(|_| invalid())?,
            name: member.name,
            read_only: member.read_only,
            in_flight: Arc::new(in_flight),
        },
    ))
}

fn denied(why: &str) -> Failure {
    Failure::Denied(why.to_owned())
}

/// Lets in whom the network knows.
pub struct ChunkDoor {
    network: Arc<Network>,
    welcome: Welcome,
}

impl ChunkDoor {
    /// A door that says `welcome`, with where the daemon listens.
    pub fn new(network: Arc<Network>, welcome: Welcome) -> ChunkDoor {
        let chunk_port = network.port();
        ChunkDoor {
            network,
            welcome: Welcome {
                chunk_port,
                ..welcome
            },
        }
    }
}

impl Door for ChunkDoor {
    fn shared_key(&self, who: Who) -> Option<Zeroizing<[u8; 32]>> {
        let known = match who {
            // Whether it is one (still) is said when it has proven itself.
            Who::Node | Who::Member(_) => true,
            Who::Joining(_) => false,
        };
        known.then(|| who.shared_key(&self.network.key))
    }

    fn admit(
        &self,
        who: Who,
        public_key: &[u8; PUBLIC_KEY_BYTES],
        _address: SocketAddr,
    ) -> Result<Principal, Failure> {
        let found = self.network.find(who, public_key)?;
        Ok(Principal {
            who,
            kind: found.kind,
            member: found.number,
            name: found.name,
            public_key: *public_key,
            restrictions: Restrictions {
                read_only: found.read_only,
                ..Restrictions::default()
            },
        })
    }

    fn welcome(&self) -> Welcome {
        self.welcome.clone()
    }
}

impl ChunkServer {
    /// Who asks, if it may.
    ///
    /// # Errors
    /// `Denied`.
    pub(super) fn asker(&self, call: &Call, method: Method) -> Result<Asker, Failure> {
        match (&call.principal, &self.network) {
            (None, _) => Ok(Asker::Local),
            (Some(principal), Some(network)) => network.counted(network.asker(principal, method)),
            (Some(_), None) => Err(denied("this daemon serves no other machines")),
        }
    }

    /// Waits until so many bytes may be in flight: first for what the member itself has, so that it never takes more of
    /// what all share.
    pub(super) async fn in_flight(&self, asker: &Asker, bytes: u32) -> Result<InFlight, Failure> {
        let own = own_in_flight(asker, bytes).await?;
        let all = self.in_flight.clone().acquire_many_owned(bytes).await;
        Ok(InFlight {
            own,
            _all: all.map_err(|_| ending())?,
        })
    }

    pub(super) fn admit_members(&self, request: v1::AdmitRequest) -> Result<v1::Empty, Failure> {
        // Without a network there is nobody to let in.
        if let Some(network) = &self.network {
            network.replace(request.members)?;
        }
        Ok(v1::Empty {})
    }
}
