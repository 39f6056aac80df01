//! `list servers`.

use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;

use super::reach::{must_run, whom};
use super::servers::{self, Server};
use crate::cli::{self, Global};
use crate::output::{json, print, table};

pub(super) fn run(global: &Global, what: &cli::List) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(None))?;
    let cli::List::Servers = what;
    let reach = whom(global, &config)?;
    // Says best what to do if nobody answers.
    must_run(&reach, &config)?;
    let servers = servers::ask(&reach)?;
    if global.json {
        print(&json(&servers)?);
    } else {
        let rows: Vec<Vec<String>> = servers.iter().map(Server::row).collect();
        print(&table(
            &[
                "id", "role", "state", "address", "release", "version", "lag", "seen",
            ],
            &rows,
        ));
        for server in &servers {
            if let Some(trouble) = &server.trouble {
                print(&format!("\n{}: {trouble}\n", server.id));
            }
        }
    }
    Ok(Exit::Ok)
}
