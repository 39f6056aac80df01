//! Keeps the view of the disk and of wolfdisk-chunkd fresh, tells the index when the chunk store has begun a new life,
//! and the chunk store who may connect to it from other machines.

use std::time::Duration;

use wolfdisk_common::ids::{Incarnation, NodeNumber};
use wolfdisk_proto::Failure;

use super::chunkd::{self, Chunkd};
use super::stop::Stop;
use crate::index::op::Op;
use crate::service::Service;

/// Between two looks when all is well: how old `statfs` and the notice of a full disk may be.
const LOOK: Duration = Duration::from_secs(2);
/// Between two looks until the chunk store is known, and while the disk is full: writes are refused
/// meanwhile.
const LOOK_SOON: Duration = Duration::from_millis(100);

/// The thread's life.
pub fn run(service: &Service, chunkd: &Chunkd, stop: &Stop) {
    service.trust().wakes(stop.clone());
    // To which life of the chunk store the members were told, and as of which change.
    let mut told = None;
    loop {
        let status = chunkd
            .status(&mut chunkd::brief(), &wolfdisk_proto::v1::Empty {})
            .ok();
        let known = match &status {
            Some(status) => announce(
                service,
                NodeNumber(status.node),
                Incarnation(status.incarnation),
            ),
            None => false,
        };
        let now = status
            .as_ref()
            .map(|status| (status.incarnation, service.trust().revision()));
        if told != now && (now.is_none() || admit(service, chunkd)) {
            told = now;
        }
        service.space().update(status);
        let soon = !known || told != now || service.look_if_full();
        if stop.wait(if soon { LOOK_SOON } else { LOOK }) {
            return;
        }
    }
}

/// Says who may connect, and asks where.
fn admit(service: &Service, chunkd: &Chunkd) -> bool {
    let members = match service.admitted() {
        Ok(members) => members,
        Err(error) => {
            service.fail(error.into());
            return false;
        }
    };
    let hello = chunkd.hello(&mut chunkd::brief(), &wolfdisk_proto::v1::Empty {});
    let said = hello.and_then(|hello| {
        let port = u16::try_from(hello.port);
        let port = port.map_err(|_| Failure::Invalid("a port that is none".to_owned()))?;
        service.trust().set_chunk_port(port);
        chunkd.admit(&mut chunkd::brief(), &members)
    });
    if let Err(failure) = &said {
        tracing::debug!(%failure, "wolfdisk-chunkd could not be told who the members are");
    }
    said.is_ok()
}

/// Makes sure that the index knows this life of the chunk store.
pub fn announce(service: &Service, node: NodeNumber, incarnation: Incarnation) -> bool {
    let recorded = service.core().index.node(node);
    match recorded {
        Ok(Some(record)) if record.incarnation == incarnation => true,
        Ok(_) => {
            tracing::info!(
                node = node.0,
                incarnation = incarnation.0,
                "the chunk store is up"
            );
            let told = service.propose(Op::NodeUp { node, incarnation }, false);
            told.is_ok_and(|told| told.wait().is_some())
        }
        Err(error) => {
            service.fail(error.into());
            false
        }
    }
}
