//! Tokens, joining, and the members.

use bytes::Bytes;
use wolfdisk_common::access_key::record::Seal;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::join_token::JoinToken;
use wolfdisk_common::member::{MemberKind, Restrictions, Who};
use wolfdisk_common::node_id;
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::v1;

use super::core::Core;
use super::rpc::Service;
use crate::check::path::path_of;
use crate::index::op::{Answer, MemberChange, Op};
use crate::index::record::Member;
use crate::index::table::TableError;
use crate::limits::{ADDRESSES_MAX, MEMBERS_MAX, TOKEN_TTL_MAX_S, TOKEN_TTL_S, TOKENS_MAX};

/// What an errno of the index means to who asks to join, or for a change of a member.
pub(super) fn refusal(errno: i32) -> Failure {
    let text = match errno {
        libc::ENOENT => {
            "this token is not known here: it is too old, or of another cluster; make one on a node: wolfdiskctl join-token"
        }
        libc::EEXIST => {
            "another machine has used this token; make one for each machine: wolfdiskctl join-token"
        }
        libc::ETIME => "this token has expired; make a new one: wolfdiskctl join-token",
        libc::EACCES => {
            "this machine was removed from the cluster; to let it in again make a token for it: wolfdiskctl join-token"
        }
        libc::EALREADY => {
            "this machine is a member already; to let it join anew remove it first: wolfdiskctl node remove"
        }
        libc::EKEYREVOKED => {
            "the cluster's key alone lets no new machine in, since a node that had it was removed; make a token on a member: \
             wolfdiskctl join-token --role node, then give it here an empty data directory: wolfdiskctl init --join TOKEN"
        }
        libc::EBUSY => {
            "it is a member; what is forgotten is that one was removed: wolfdiskctl node remove"
        }
        libc::EPERM => {
            "this machine is a member without the cluster's key; to make it a node remove it first: wolfdiskctl node remove"
        }
        libc::EINVAL => {
            return Failure::Invalid(format!("that is no name; allowed: {}", node_id::ALLOWED));
        }
        libc::ENOSPC => {
            return Failure::Denied(format!(
                "the cluster has {MEMBERS_MAX} members already; remove those that are gone: wolfdiskctl node remove"
            ));
        }
        errno => return Failure::Errno(errno),
    };
    Failure::Denied(text.to_owned())
}

impl Service {
    /// Does it, durably: who is told so may go by it after a power cut.
    async fn settle(&self, op: Op) -> Result<Answer, Failure> {
        let proposed = self.propose(op, true)?;
        let (index, answer) = proposed.applied().await.ok_or_else(Service::stopping)?;
        self.wait_durable(index).await?;
        Ok(answer)
    }

    /// Makes this node a member if it is none.
    ///
    /// # Errors
    /// It was removed, or cannot become one.
    pub async fn register(&self) -> Result<(), Failure> {
        let public_key = self.trust().keys()?.public;
        let known = self.core().index.member_by_key(&public_key);
        let known = known.map_err(|error| self.broken(error))?;
        if known.is_some_and(|(_, member)| !member.removed) {
            return Ok(());
        }
        let op = Op::Join {
            token: None,
            kind: MemberKind::Node,
            name: self.options().node.clone(),
            public_key,
        };
        let answer = self.settle(op).await?;
        if answer.errno != 0 {
            return Err(refusal(answer.errno));
        }
        self.trust().changed();
        tracing::info!(member = answer.offset, "this node is a member");
        Ok(())
    }

    pub(super) async fn issue_token(
        &self,
        _call: &mut Call,
        request: v1::IssueTokenRequest,
    ) -> Result<v1::IssueTokenReply, Failure> {
        let kind = kind_of(request.kind)?;
        let ttl_s = match request.ttl_s {
            0 => TOKEN_TTL_S,
            ttl_s if ttl_s <= TOKEN_TTL_MAX_S => ttl_s,
            _ => {
                let days = TOKEN_TTL_MAX_S / (24 * 3600);
                let text = format!("a token lasts {days} days at the most");
                return Err(Failure::Invalid(text));
            }
        };
        let restrictions = self.restrictions(request.restrictions.unwrap_or_default())?;
        if kind.holds_cluster_key() && restrictions != Restrictions::default() {
            return Err(Failure::Invalid(format!(
                "a {kind} holds the cluster's key and cannot be restricted; restrict clients and gateways"
            )));
        }
        self.trust().settled().await;
        let addresses = self.token_addresses(request.addresses)?;
        let op = Op::IssueToken {
            kind,
            restrictions,
            ttl_s,
        };
        let answer = self.settle(op).await?;
        let number = answer.offset;
        let token = match answer.errno {
            0 => self.core().index.token(number),
            libc::ENOSPC => {
                return Err(Failure::Denied(format!(
                    "{TOKENS_MAX} tokens wait for their machines already; use those, or wait until they expire"
                )));
            }
            errno => return Err(Failure::Errno(errno)),
        };
        let token = token.map_err(|error| self.broken(error))?;
        let expires = token.ok_or(Failure::Errno(libc::ENOENT))?.expires;
        let keys = self.trust().keys()?;
        let text = JoinToken {
            cluster: self.options().volume,
            number,
            kind,
            shared_key: Who::Joining(number).shared_key(&keys.cluster),
            node_key: keys.public,
            addresses,
        }
        .to_text();
        if JoinToken::parse(&text).is_err() {
            return Err(Failure::Invalid(
                "a token cannot hold these addresses; give fewer or shorter ones".into(),
            ));
        }
        Ok(v1::IssueTokenReply {
            token: text.to_string(),
            expires_s: expires.seconds.max(0) as u64,
        })
    }

    /// Where who joins is to ask.
    fn token_addresses(&self, given: Vec<String>) -> Result<Vec<String>, Failure> {
        if let Some(trouble) = self.trust().trouble() {
            return Err(Failure::Unavailable(trouble));
        }
        let own = self.trust().addresses();
        if own.is_empty() {
            return Err(Failure::Unavailable(
                "this node does not listen for other machines".into(),
            ));
        }
        if given.is_empty() {
            return Ok(own.iter().map(ToString::to_string).collect());
        }
        let is_address = |text: &String| {
            let parts = text.rsplit_once(':');
            let clean = |host: &str| !host.is_empty() && !host.contains([',', ' ']);
            parts.is_some_and(|(host, port)| {
                clean(host)
                    && !host.chars().any(char::is_control)
                    && port.parse::<u16>().is_ok_and(|port| port != 0)
            })
        };
        if given.len() > ADDRESSES_MAX || !given.iter().all(is_address) {
            return Err(Failure::Invalid(format!(
                "the addresses of a token are up to {ADDRESSES_MAX}, each a host and a port, as alpha:9500"
            )));
        }
        Ok(given)
    }

    /// What the words of a request mean here.
    fn restrictions(&self, said: v1::Restrictions) -> Result<Restrictions, Failure> {
        let mut subdir = 0;
        if said.subdir.iter().any(|byte| *byte != b'/') {
            let shown = String::from_utf8_lossy(&said.subdir).into_owned();
            let core = self.core();
            let mut at = Ino::ROOT;
            for name in said.subdir.split(|byte| *byte == b'/') {
                if name.is_empty() {
                    continue;
                }
                let found = core.index.lookup(at, name);
                let found = found.map_err(|error| self.broken(error))?;
                at = match found {
                    Some((ino, inode)) if inode.is_directory() => ino,
                    Some(_) => {
                        let text = format!("{shown} is no directory, or leads through a link");
                        return Err(Failure::Invalid(text));
                    }
                    None => {
                        let text = format!("there is no directory {shown} in the volume");
                        return Err(Failure::Invalid(text));
                    }
                };
            }
            subdir = at.0;
        }
        Ok(Restrictions {
            read_only: said.read_only,
            subdir,
            squash_root: said.squash_root,
        })
    }

    pub(super) async fn join(
        &self,
        call: &mut Call,
        request: v1::JoinRequest,
    ) -> Result<v1::JoinReply, Failure> {
        let principal = call.principal.clone().ok_or_else(|| {
            Failure::Invalid("a machine joins over the network: wolfdiskctl init --join".into())
        })?;
        let token = match principal.who {
            Who::Joining(number) => Some(number),
            Who::Node | Who::Member(_) => None,
        };
        let op = Op::Join {
            token,
            kind: principal.kind,
            name: request.name,
            public_key: principal.public_key,
        };
        let answer = self.settle(op).await?;
        if answer.errno != 0 {
            return Err(refusal(answer.errno));
        }
        self.trust().changed();
        let number = answer.offset;
        let keys = self.trust().keys()?;
        let core = self.core();
        let broken = |error| self.broken(error);
        // It may have been removed meanwhile.
        let member = core.index.member(number).map_err(broken)?;
        let member = member.filter(|member| !member.removed);
        let member = member.ok_or_else(|| refusal(libc::EACCES))?;
        let is_holder = member.kind.holds_cluster_key();
        let mut reply = v1::JoinReply {
            kind: member.kind.number().into(),
            member: if is_holder { 0 } else { number },
            restrictions: Some(said(&core, &member.restrictions).map_err(broken)?),
            name: member.name,
            volume_id: Bytes::copy_from_slice(self.options().volume.as_bytes()),
            addresses: self
                .trust()
                .addresses()
                .iter()
                .map(ToString::to_string)
                .collect(),
            ..v1::JoinReply::default()
        };
        match (is_holder, token) {
            (true, Some(_)) => {
                reply.cluster_key = Bytes::copy_from_slice(keys.cluster.reveal());
            }
            // It holds the key, else it would not have come so far.
            (true, None) => {}
            (false, _) => {
                let key = Who::Member(number).shared_key(&keys.cluster);
                reply.shared_key = Bytes::copy_from_slice(&*key);
            }
        }
        Ok(reply)
    }

    pub(super) fn list_members(
        &self,
        _call: &mut Call,
        _request: v1::Empty,
    ) -> Result<v1::ListMembersReply, Failure> {
        let core = self.core();
        let broken = |error| self.broken(error);
        let members = core.index.members().map_err(broken)?;
        let shown = members
            .into_iter()
            .map(|(number, member)| self.shown(&core, number, member));
        Ok(v1::ListMembersReply {
            members: shown.collect::<Result<_, _>>().map_err(broken)?,
            note: key_note(&core).map_err(broken)?.unwrap_or_default(),
        })
    }

    fn shown(&self, core: &Core, number: u64, member: Member) -> Result<v1::Member, TableError> {
        let (connections, address) = self.trust().guests().of(&member.public_key);
        // A node without keys is no member.
        let own = self.trust().keys();
        Ok(v1::Member {
            here: own.is_ok_and(|own| own.public == member.public_key),
            number,
            kind: member.kind.number().into(),
            public_key: Bytes::copy_from_slice(&member.public_key),
            joined_s: member.joined.seconds.max(0) as u64,
            restrictions: Some(said(core, &member.restrictions)?),
            removed: member.removed,
            connections,
            address: address
                .map(|address| address.to_string())
                .unwrap_or_default(),
            name: member.name,
        })
    }

    pub(super) async fn change_member(
        &self,
        _call: &mut Call,
        request: v1::ChangeMemberRequest,
    ) -> Result<v1::ChangeMemberReply, Failure> {
        use v1::change_member_request::Change;
        let number = request.number;
        let change = match request.change {
            Some(Change::Remove(true)) => MemberChange::Remove,
            Some(Change::Rename(name)) => MemberChange::Rename { name },
            Some(Change::Forget(true)) => MemberChange::Forget,
            Some(Change::Remove(false) | Change::Forget(false)) | None => {
                return Err(Failure::Invalid("no change of a member is named".into()));
            }
        };
        let removes = change == MemberChange::Remove;
        let broken = |error| self.broken(error);
        let before = self.core().index.member(number).map_err(broken)?;
        if removes {
            let own = self.trust().keys()?.public;
            let member = self.core().index.member(number).map_err(broken)?;
            if member.is_some_and(|member| member.public_key == own) {
                return Err(Failure::Denied(
                    "a node does not remove itself; ask another node to".into(),
                ));
            }
        }
        let answer = self.settle(Op::ChangeMember { number, change }).await?;
        match answer.errno {
            0 => {}
            libc::ENOENT => {
                return Err(Failure::Invalid(format!(
                    "there is no member {number}; see: wolfdiskctl node list"
                )));
            }
            libc::EEXIST => {
                return Err(Failure::Invalid(
                    "another member has this name; see: wolfdiskctl node list".into(),
                ));
            }
            errno => return Err(refusal(errno)),
        }
        self.trust().changed();
        let member = self.core().index.member(number).map_err(broken)?;
        // As it was, if it is forgotten.
        let member = member.or(before).ok_or(Failure::Errno(libc::ENOENT))?;
        if removes {
            tracing::info!(number, name = member.name, "a member is shut out");
            self.trust().guests().expel(&member.public_key);
            self.close_sessions_of(number).await?;
        }
        let core = self.core();
        Ok(v1::ChangeMemberReply {
            member: Some(self.shown(&core, number, member).map_err(broken)?),
        })
    }

    /// Its locks and open files without names are free at once.
    async fn close_sessions_of(&self, member: u64) -> Result<(), Failure> {
        let sessions = self.core().sessions_of(member);
        for session in sessions {
            let expired = true;
            let closed = self.propose(Op::CloseSession { session, expired }, false)?;
            closed.applied().await.ok_or_else(Service::stopping)?;
        }
        Ok(())
    }

    pub(super) fn gateway_keys(
        &self,
        _call: &mut Call,
        _request: v1::Empty,
    ) -> Result<v1::GatewayKeysReply, Failure> {
        let seal = Seal::bytes(&self.trust().keys()?.cluster);
        Ok(v1::GatewayKeysReply {
            seal: Bytes::copy_from_slice(&*seal),
        })
    }

    /// Who may connect to wolfdisk-chunkd.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn admitted(&self) -> Result<v1::AdmitRequest, TableError> {
        let members = self.core().index.members()?;
        let inside = members.into_iter().filter(|(_, member)| !member.removed);
        Ok(v1::AdmitRequest {
            members: inside
                .map(|(number, member)| v1::AdmittedMember {
                    number,
                    kind: member.kind.number().into(),
                    name: member.name,
                    public_key: Bytes::copy_from_slice(&member.public_key),
                    read_only: member.restrictions.read_only,
                })
                .collect(),
        })
    }
}

/// Whom the cluster's key alone lets in, if that is nobody, and what opens it again.
pub(super) fn key_note(core: &Core) -> Result<Option<String>, TableError> {
    let gone = core.index.removed_key_holders()?;
    let names: Vec<_> = gone.iter().map(|member| member.name.as_str()).collect();
    Ok((!names.is_empty()).then(|| {
        format!(
            "the cluster's key alone (init --key-file) lets no new machine in: {} had it and was removed; tokens do \
             (wolfdiskctl join-token), and once that copy of the key is destroyed: wolfdiskctl node forget NAME",
            names.join(", ")
        )
    }))
}

fn kind_of(number: u32) -> Result<MemberKind, Failure> {
    let kind = u8::try_from(number).ok().and_then(MemberKind::from_number);
    kind.ok_or_else(|| {
        Failure::Invalid("a member is a node, a client, a gateway or a witness".into())
    })
}

/// In words, for people. A directory that is gone is called by its number.
fn said(core: &Core, restrictions: &Restrictions) -> Result<v1::Restrictions, TableError> {
    let subdir = match restrictions.subdir {
        0 => Vec::new(),
        ino => {
            let path = path_of(core.index.records(), Ino(ino))?;
            path.unwrap_or_else(|| format!("(directory {ino}, which is gone)").into_bytes())
        }
    };
    Ok(v1::Restrictions {
        read_only: restrictions.read_only,
        subdir: subdir.into(),
        squash_root: restrictions.squash_root,
    })
}
