//! What a data directory is: that of a node with state, or that of a member that uses others.

use wolfdisk_common::config::{Config, Role};
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::identity::{Identity, IdentityError};

/// See the module.
#[derive(Debug)]
pub(super) enum Standing {
    /// A node.
    Node(Identity),
    /// A member without state.
    Member(Box<Credentials>),
}

impl Standing {
    /// That of the configured directory.
    ///
    /// # Errors
    /// It is neither, or cannot be used.
    pub(super) fn of(config: &Config) -> Result<Standing, IdentityError> {
        let missing = match Identity::load_for(config) {
            Err(error @ IdentityError::NotInitialised { .. }) => error,
            other => return other.map(Standing::Node),
        };
        match Credentials::of_member(&config.paths())? {
            Some(member) => Ok(Standing::Member(Box::new(member))),
            None if config.node.role == Role::Client => Err(IdentityError::NotJoined {
                dir: config.node.data_dir.clone(),
            }),
            None => Err(missing),
        }
    }

    /// Who this machine is without state, if that is so.
    pub(super) fn member(self) -> Option<Credentials> {
        match self {
            Standing::Node(_) => None,
            Standing::Member(member) => Some(*member),
        }
    }
}
