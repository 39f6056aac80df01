//! `list servers`.

use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;

use super::status::{ask, servers};
use crate::cli::{self, Global};
use crate::error::CtlError;
use crate::output::{json, print, table};

pub(super) fn run(global: &Global, what: &cli::List) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(None))?;
    let cli::List::Servers = what;
    let answer = ask(&config)?.ok_or_else(|| CtlError::NotRunning(config.node.data_dir.clone()))?;
    let servers = servers(&config, &answer);
    if global.json {
        print(&json(&servers)?);
    } else {
        let rows: Vec<Vec<String>> = servers.iter().map(super::status::Server::row).collect();
        print(&table(
            &[
                "id", "role", "state", "address", "release", "version", "lag", "seen",
            ],
            &rows,
        ));
    }
    Ok(Exit::Ok)
}
