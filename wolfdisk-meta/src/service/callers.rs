//! Who may call what from another machine. On this machine whoever may connect to the socket may call everything.

use wolfdisk_common::member::{MemberKind, Principal, Who};
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Call;

/// Who may make a call: each row of the table of calls names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callers {
    /// Nobody on another machine.
    Local,
    /// Nodes, which hold the cluster's key.
    Nodes,
    /// Nodes and gateways.
    Gateways,
    /// All members; what of the volume they may see and change is another matter.
    Members,
    /// Who wants to become a member, and nodes.
    Joining,
}

/// What somebody on another machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Node,
    Gateway,
    Client,
    Joining,
}

impl Class {
    fn of(principal: &Principal) -> Class {
        match (principal.who, principal.kind) {
            (Who::Joining(_), _) => Class::Joining,
            // It holds the key, and nobody has registered it.
            (Who::Node, _) if principal.member == 0 => Class::Joining,
            (Who::Node, _) => Class::Node,
            (Who::Member(_), MemberKind::Gateway) => Class::Gateway,
            // Also of what it calls itself: a key of its own makes nobody a node.
            (Who::Member(_), MemberKind::Client | MemberKind::Node | MemberKind::Witness) => {
                Class::Client
            }
        }
    }
}

impl Callers {
    fn include(self, class: Class) -> bool {
        match (self, class) {
            (Callers::Local, _) => false,
            (_, Class::Node) => true,
            (Callers::Nodes, _) => false,
            (Callers::Gateways, class) => class == Class::Gateway,
            (Callers::Members, class) => class != Class::Joining,
            (Callers::Joining, class) => class == Class::Joining,
        }
    }

    /// Lets a call through, or not.
    ///
    /// # Errors
    /// `Denied`.
    pub(super) fn check(self, call: &Call) -> Result<(), Failure> {
        let Some(principal) = &call.principal else {
            return Ok(());
        };
        let class = Class::of(principal);
        if self.include(class) {
            return Ok(());
        }
        Err(Failure::Denied(match class {
            Class::Joining => "this machine has not joined yet".to_owned(),
            Class::Node | Class::Gateway | Class::Client => {
                format!(
                    "a {} may not ask for this from another machine",
                    principal.kind
                )
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wolfdisk_common::member::{PUBLIC_KEY_BYTES, Restrictions};

    use super::*;

    fn passes(callers: Callers, who: Who, kind: MemberKind, member: u64) -> bool {
        let principal = Arc::new(Principal {
            who,
            kind,
            member,
            name: String::new(),
            public_key: [1; PUBLIC_KEY_BYTES],
            restrictions: Restrictions::default(),
        });
        callers.check(&Call::remote(1, principal)).is_ok()
    }

    #[test]
    fn each_may_do_what_it_is_for_and_nothing_else() {
        let all = [
            Callers::Local,
            Callers::Nodes,
            Callers::Gateways,
            Callers::Members,
            Callers::Joining,
        ];
        for (who, kind, member, may) in [
            (
                Who::Node,
                MemberKind::Node,
                1,
                [false, true, true, true, true],
            ),
            (
                Who::Node,
                MemberKind::Witness,
                2,
                [false, true, true, true, true],
            ),
            (
                Who::Member(3),
                MemberKind::Gateway,
                3,
                [false, false, true, true, false],
            ),
            (
                Who::Member(4),
                MemberKind::Client,
                4,
                [false, false, false, true, false],
            ),
            // By its own word alone nobody is a node.
            (
                Who::Member(5),
                MemberKind::Node,
                5,
                [false, false, false, true, false],
            ),
            (
                Who::Node,
                MemberKind::Node,
                0,
                [false, false, false, false, true],
            ),
            (
                Who::Joining(6),
                MemberKind::Node,
                0,
                [false, false, false, false, true],
            ),
        ] {
            let found = all.map(|callers| passes(callers, who, kind, member));
            assert_eq!(found, may, "{who:?} {kind}");
        }
    }
}
