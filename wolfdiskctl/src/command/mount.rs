//! `mount`.

use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;

use super::background;
use super::node::Node;
use crate::cli::{self, Global};
use crate::output::{print, say};
use crate::supervisor::Outcome;

pub(super) fn run(global: &Global, options: &cli::Mount) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(options.mount.as_ref()))?;
    if options.background {
        return background::start(&config, &options.options);
    }
    let mut node = Node::join(config)?;
    let outcome = match node.start(Some(&options.options), None) {
        Ok(Outcome::Ready) => {
            print(&format!(
                "ready mount={}\n",
                node.config().mount.path.display()
            ));
            node.run()
        }
        Ok(early) => Ok(early),
        Err(error) => {
            // What was started before it stops too; its failure to stop is the smaller news.
            if let Err(also) = node.stop() {
                say(&also.to_string());
            }
            return Err(error);
        }
    };
    let stopped = node.stop();
    outcome?;
    stopped?;
    Ok(Exit::Ok)
}
