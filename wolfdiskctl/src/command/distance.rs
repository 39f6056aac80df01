//! What is wrong between this machine and nodes elsewhere, and what to do.

use std::time::{SystemTime, UNIX_EPOCH};

use wolfdisk_common::config::{Config, Peer};
use wolfdisk_proto::v1::MetaStatus;

use super::standing::Standing;

/// What is wrong with the way to a node that answers by small packets only.
pub(super) fn packet_trouble(answer: &MetaStatus) -> String {
    format!(
        "large packets between this machine and node {} are lost, small ones are not: the MTU of a link on the way is too small; \
         give all interfaces between them one MTU that every link carries (ip link set dev NAME mtu 1280)",
        answer.node
    )
}

/// What is wrong with the clock of a node elsewhere.
pub(super) fn clock_trouble(answer: &MetaStatus, now: SystemTime) -> Option<String> {
    let own_ms = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64);
    // An older release does not tell it.
    let told = (answer.wall_ms != 0).then(|| answer.wall_ms.wrapping_sub(own_ms) as i64);
    told.and_then(|skew_ms| wolfdisk_discovery::skewed(&answer.node, skew_ms))
}

/// That no node answers, where one was looked for, and what to do.
pub(super) fn nobody(config: &Config, standing: &Standing) -> String {
    let known = match standing {
        Standing::Member(member) => member.addresses.as_slice(),
        Standing::Node(_) => &[],
    };
    let peers = config.cluster.peers.iter().map(Peer::as_str);
    let mut places: Vec<&str> = peers.chain(known.iter().map(String::as_str)).collect();
    places.sort_unstable();
    places.dedup();
    match places.as_slice() {
        [] => "no node is heard; see that one runs on this network, or name one in cluster.peers"
            .to_owned(),
        places => format!(
            "no node is heard, and none answers at {}; see that one runs and can be reached, or name another in \
             cluster.peers",
            places.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_is_hours_off_is_named() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let answer = MetaStatus {
            node: "alpha".to_owned(),
            wall_ms: 20_000_000,
            ..MetaStatus::default()
        };
        assert_eq!(clock_trouble(&answer, at(20_030)), None);
        let behind = clock_trouble(&answer, at(30_000)).expect("it is named");
        assert!(behind.contains("node alpha is 10000 s behind"), "{behind}");
        let ahead = clock_trouble(&answer, at(10_000)).expect("it is named");
        assert!(
            ahead.contains("10000 s ahead of") && ahead.contains("NTP"),
            "{ahead}"
        );
        assert_eq!(clock_trouble(&MetaStatus::default(), at(10_000)), None);
    }
}
