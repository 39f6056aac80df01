//! `init`.

use serde::Serialize;
use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;
use wolfdisk_common::identity::Identity;
use wolfdisk_common::node_id::NodeId;

use super::{join, owner};
use crate::cli::{self, Global};
use crate::error::BadId;
use crate::output::{json, print};

#[derive(Serialize)]
struct Answer<'a> {
    node: &'a str,
    volume: String,
    data_dir: String,
    key: String,
}

pub(super) fn run(global: &Global, options: &cli::Init) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(None))?;
    let id = match &options.id {
        Some(text) => NodeId::parse(text).map_err(BadId)?,
        None => node_id(&config),
    };
    let paths = config.paths();
    if let Some(token) = &options.join {
        let joined = join::by_token(global, &config, token, &id)?;
        owner::give(&paths)?;
        return Ok(joined);
    }
    if let Some(file) = &options.key_file {
        let joined = join::by_key(global, &config, file, &id)?;
        owner::give(&paths)?;
        return Ok(joined);
    }
    let identity = Identity::init(&paths, id)?;
    owner::give(&paths)?;
    let answer = Answer {
        node: identity.node.as_str(),
        volume: identity.volume.to_string(),
        data_dir: paths.data_dir().display().to_string(),
        key: paths.cluster_key().display().to_string(),
    };
    if global.json {
        print(&json(&answer)?);
    } else {
        let Answer {
            node,
            volume,
            data_dir,
            key,
        } = answer;
        print(&format!(
            "node {node} of volume {volume}\n\
             data  {data_dir}\n\
             key   {key} (whoever has it is a member: keep a copy, show nobody)\n\
             next  wolfdiskctl up -d {data_dir}; where it is installed as a service: systemctl enable --now wolfdisk\n"
        ));
    }
    Ok(Exit::Ok)
}

/// The id of a new node that was not named on the command line.
pub(super) fn node_id(config: &Config) -> NodeId {
    config.node.id.clone().unwrap_or_else(NodeId::of_this_host)
}
