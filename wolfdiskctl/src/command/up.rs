//! `up`: the whole node in the foreground.

use std::path::Path;

use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;

use super::node::Node;
use crate::cli::{self, Global};
use crate::error::CtlError;
use crate::output::{print, say};
use crate::supervisor::Outcome;

pub(super) fn run(global: &Global, options: &cli::Up) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(options.mount.as_ref()))?;
    let mut node = Node::claim(config)?;
    make_mount_point(&node.config().mount.path)?;
    let outcome = match node.start(&options.options) {
        Ok(Outcome::Ready) => {
            let path = node.config().mount.path.display();
            print(&format!("ready mount={path}\n"));
            say(&explanation(node.config()));
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
    match &outcome {
        Ok(Outcome::Ended) => say("the mount was taken off; stopping"),
        Ok(Outcome::Stop | Outcome::Ready) => say("stopping"),
        Err(_) => {}
    }
    let stopped = node.stop();
    outcome?;
    stopped?;
    Ok(Exit::Ok)
}

/// Unlike `mount`, `up` makes the directory: it is the command for a machine that has nothing yet. A
/// dead mount there is the business of wolfdisk-fuse.
fn make_mount_point(path: &Path) -> Result<(), CtlError> {
    match std::fs::create_dir_all(path) {
        Err(error) if error.raw_os_error() == Some(nix::libc::ENOTCONN) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(CtlError::Create {
            path: path.to_owned(),
            source,
        }),
        Ok(()) => Ok(()),
    }
}

fn explanation(config: &Config) -> String {
    let (mount, data) = (config.mount.path.display(), config.node.data_dir.display());
    format!(
        "  files   {mount}\n  \
           data    {data}\n  \
           key     {}\n  \
           logs    here; more with RUST_LOG=debug\n  \
           stop    Ctrl-C, or: kill {}\n  \
           remove  stop, then: rm -rf {data} && rmdir {mount}",
        config.paths().cluster_key().display(),
        std::process::id(),
    )
}
