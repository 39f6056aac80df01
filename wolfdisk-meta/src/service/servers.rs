//! Which nodes there are, as far as this one hears them, and telling others that it is there.

use std::sync::Arc;

use anyhow::Context;
use wolfdisk_common::cluster_key::ClusterKey;
use wolfdisk_common::config::Config;
use wolfdisk_common::node_id::NodeId;
use wolfdisk_common::paths::Paths;
use wolfdisk_common::release::release;
use wolfdisk_discovery::interfaces::SystemInterfaces;
use wolfdisk_discovery::{About, Announcer, BeaconKey, Discovery, Myself, Sight, Trust, View};
use wolfdisk_proto::call::Call;
use wolfdisk_proto::{Failure, PROTOCOL_VERSION, v1};

use super::rpc::Service;

/// Listens for other nodes, and announces this one as soon as other machines can reach it; until the value is dropped.
///
/// # Errors
/// The key cannot be read, or the system has no thread or descriptor left.
pub fn discover(
    service: &Arc<Service>,
    paths: &Paths,
    config: &Config,
) -> anyhow::Result<Discovery> {
    let options = service.options();
    let key = BeaconKey::of(&ClusterKey::load(paths).context("the key of the cluster")?);
    let trust = Trust {
        cluster: Some(options.volume),
        key: Some(key.clone()),
    };
    let myself = Myself {
        node: NodeId::parse(&options.node)?,
        start: wolfdisk_discovery::random().context("cannot draw random bytes")?,
    };
    let announced = service.clone();
    let announcer = Announcer {
        myself,
        cluster: options.volume,
        key,
        about: Box::new(move || announced.about()),
    };
    let interfaces = Box::new(SystemInterfaces);
    let group = config.cluster.discovery;
    let discovery = Discovery::start(group, trust, Some(announcer), interfaces)
        .context("cannot listen for other nodes")?;
    service.hear(discovery.view().clone());
    Ok(discovery)
}

impl Service {
    /// From now on what is heard there is told. The first counts.
    pub fn hear(&self, view: View) {
        let _ = self.heard.set(view);
    }

    /// What others are told; none while they cannot reach it.
    fn about(&self) -> Option<About> {
        let bound = self.trust().bound()?;
        let options = self.options();
        let version = self.core().index.version();
        Some(About {
            incarnation: options.incarnation.0,
            version: version.0,
            protocol: PROTOCOL_VERSION,
            listens: bound.ip(),
            meta_port: bound.port(),
            chunk_port: self.trust().chunk_port(),
            role: options.role.clone(),
            state: "leader".to_owned(),
            release: release().to_owned(),
            ..About::default()
        })
    }

    pub(super) fn servers(
        &self,
        _call: &mut Call,
        _request: v1::Empty,
    ) -> Result<v1::ServersReply, Failure> {
        let options = self.options();
        let addresses = self.trust().addresses();
        let own = v1::Server {
            id: options.node.clone(),
            role: options.role.clone(),
            state: "leader".to_owned(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
            release: release().to_owned(),
            version: self.core().index.version().0,
            last_seen_ms: 0,
            volume_id: options.volume.as_bytes().to_vec().into(),
            own: true,
            trouble: self.trust().trouble().unwrap_or_default(),
        };
        let others = self.heard.get().map(View::sights).unwrap_or_default();
        let servers = std::iter::once(own).chain(others.into_iter().map(server));
        Ok(v1::ServersReply {
            servers: servers.collect(),
        })
    }
}

fn server(sight: Sight) -> v1::Server {
    let state = match (sight.own, sight.is_live()) {
        (false, _) => "stranger".to_owned(),
        (true, false) => "silent".to_owned(),
        (true, true) => sight.about.state,
    };
    v1::Server {
        id: sight.node.to_string(),
        role: sight.about.role,
        state,
        addresses: sight.addresses.iter().map(ToString::to_string).collect(),
        release: sight.about.release,
        version: sight.about.version,
        last_seen_ms: sight.last_seen.as_millis() as u64,
        volume_id: sight.cluster.as_bytes().to_vec().into(),
        own: sight.own,
        trouble: sight.trouble.unwrap_or_default(),
    }
}
