//! `config example`, `config reference`, `config check`.

use wolfdisk_common::config::{self, Config};
use wolfdisk_common::exit::Exit;

use crate::cli::{self, Global};
use crate::output::print;

pub(super) fn run(global: &Global, what: &cli::Config) -> anyhow::Result<Exit> {
    match what {
        cli::Config::Example => print(&config::example()),
        cli::Config::Reference => print(&config::reference()),
        cli::Config::Check => {
            let config = Config::load(&global.arguments(None))?;
            let source = match &config.file {
                Some(file) => format!("{} is good", file.display()),
                None => "no configuration file: all is default".to_owned(),
            };
            print(&format!("{source}\n"));
        }
    }
    Ok(Exit::Ok)
}
